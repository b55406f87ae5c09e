"""Asks a finesight server from Python as one asks a collection; needs no web framework."""

import io
import json
import re
import urllib.error
import urllib.parse
import urllib.request
import uuid
from pathlib import Path
from typing import Any

from PIL import Image

from finesight.errors import DataError, InputError
from finesight.queries import QueryInput, SearchRequest
from finesight.types import Box, Hit, Part

_ID = re.compile("[0-9a-f]{16}")


class Client:
    """A finesight server at an address, such as http://127.0.0.1:8000.

    token: where the server asks for one; collection: one of those it serves, else its first;
    timeout: in seconds. What the server refuses is raised as InputError with its sentence, what it
    cannot do as DataError.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        token: str | None = None,
        collection: str | None = None,
        timeout: float = 60.0,
    ) -> None:
        self._url = url.rstrip("/")
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._collection = collection
        self._timeout = timeout

    def search(
        self,
        query: QueryInput | SearchRequest | None = None,
        k: int | None = None,
        rank_by: str | None = None,
        *,
        near: str | None = None,
        box: Box | None = None,
        **options: Any,
    ) -> list[Hit]:
        """Return the images that answer a query best; as `Collection.search`, but for two things.

        near is the id of an image of the collection, box the part of it that is meant. options are
        those of `SearchRequest` and its filters, without conditions in SQL. Paths of hits begin at
        the folder that all images share. Images of the query are sent to the server.
        """
        given = {"k": k, "rank_by": rank_by, "near": near}
        options |= {name: value for name, value in given.items() if value is not None}
        request = SearchRequest.of(query, **options)
        files: list[bytes] = []
        parts = [_part(part, files) for part in request.parts]
        if box is not None and near is not None:
            parts[-1]["box"] = box
        asked = _options(request) | {"collection": self._collection, "parts": parts}
        body = json.dumps(asked).encode()
        kind, body = _form(body, files) if files else ("application/json", body)
        return [Hit.of_dict(hit) for hit in self._json("search", body, kind)["hits"]]

    def images(self, k: int = 60, offset: int = 0, **filters: Any) -> list[dict[str, Any]]:
        """List images without searching: id, path, width and height of each."""
        if metadata := filters.get("metadata"):
            filters["metadata"] = [f"{name}={value}" for name, value in metadata.items()]
        return self._json("images", k=k, offset=offset, **filters)["images"]

    def image(self, id: str, size: int = 640, box: Box | None = None) -> bytes:
        """Return an image or a part of it as a JPEG file; size: of the longer side, at most."""
        cut = None if box is None else ",".join(f"{edge:.6f}" for edge in box)
        return self._ask(f"images/{urllib.parse.quote(id, safe='')}", size=size, box=cut)

    def collections(self) -> list[dict[str, Any]]:
        """List the server's collections: name, images and model of each."""
        return self._json("collections")

    def status(self) -> dict[str, Any]:
        """Return what the collection holds, and how far indexing has come where it is going on."""
        return self._json("status")

    def _json(self, path: str, body: bytes | None = None, kind: str = "", **fields: Any) -> Any:
        return json.loads(self._ask(path, body, kind, **fields))

    def _ask(self, path: str, body: bytes | None = None, kind: str = "", **fields: Any) -> bytes:
        given = {name: value for name, value in fields.items() if value is not None}
        if body is None and self._collection is not None:
            given["collection"] = self._collection
        query = urllib.parse.urlencode(given, doseq=True)
        url = f"{self._url}/{path}" + (f"?{query}" if query else "")
        headers = self._headers | ({} if body is None else {"Content-Type": kind})
        try:
            request = urllib.request.Request(url, body, headers)
            with urllib.request.urlopen(request, timeout=self._timeout) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise _refused(error) from error
        except (OSError, ValueError) as error:  # no address, nobody there, or too slow
            raise DataError(
                f"the server at {self._url} does not answer ({error}): is it running?"
            ) from error


def _refused(error: urllib.error.HTTPError) -> InputError | DataError:
    with error:
        try:
            detail = str(json.loads(error.read())["detail"])
        except (OSError, ValueError, KeyError, TypeError):
            detail = f"the server answered {error.code} {error.reason}"
    return InputError(detail) if error.code < 500 else DataError(detail)


def _options(request: SearchRequest) -> dict[str, Any]:
    """Return the options of a request as the server takes them."""
    if request.where is not None:
        raise InputError("SQL does not go over HTTP: give filters, such as min_width=1000")
    given = {name: value for name, value in vars(request).items() if name not in ("parts", "where")}
    filters = {name: value for name, value in vars(request.filters).items() if value}
    return {**given, "filters": filters}


def _part(part: Part, files: list[bytes]) -> dict[str, Any]:
    """Return a part as the server takes it; the file of an image is appended to `files`."""
    plain: dict[str, Any] = {"weight": part.weight}
    if part.text is not None:
        return plain | {"text": part.text}
    if part.near is not None:
        if not _ID.fullmatch(str(part.near)):
            raise InputError("over HTTP an image of the collection is named by its id: near=ID")
        return plain | {"image": str(part.near)}
    assert part.image is not None
    files.append(_file(part.image))
    return plain | {"upload": len(files) - 1} | ({} if part.box is None else {"box": part.box})


def _file(image: Path | Image.Image) -> bytes:
    if isinstance(image, Path):
        try:
            return image.read_bytes()
        except OSError as error:
            raise InputError(f"{image} cannot be read: {error.strerror or error}") from error
    file = io.BytesIO()
    image.convert("RGB").save(file, "PNG")
    return file.getvalue()


def _form(query: bytes, files: list[bytes]) -> tuple[str, bytes]:
    """Return content type and body of a multipart form."""
    boundary = uuid.uuid4().hex
    parts = [(b'name="query"', query)]
    parts += [(b'name="image"; filename="image"', data) for data in files]
    body = b"".join(
        b"--%b\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n"
        % (boundary.encode(), head, content)
        for head, content in parts
    )
    return f"multipart/form-data; boundary={boundary}", body + f"--{boundary}--\r\n".encode()

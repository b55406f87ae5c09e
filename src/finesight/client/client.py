"""Asks a finesight server from Python as one asks a collection; needs nothing but finesight."""

import io
import json
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from finesight.errors import DataError, InputError
from finesight.types import Box, Hit, Match, Part, Query

Asked = str | Path | Image.Image | Query | Sequence[Part]
"""What can be searched for: a text, an image file, pixels, or several parts."""


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
        query: Asked | None = None,
        k: int = 10,
        rank_by: str = "regions",
        *,
        near: str | None = None,
        box: Box | None = None,
        offset: int = 0,
        group: bool = False,
        detail: float = 1.0,
        parts: str = "auto",
        min_relevance: float = 0.0,
        item: bool = False,
        **filters: Any,
    ) -> list[Hit]:
        """Return the k images that answer a query best; as `Collection.search`, but for two things.

        near is the id of an image of the collection, box a part of it that is meant. filters are
        those of the server: path, folder, min_width, shape and so on. Paths of hits begin at the
        folder that all images share. Images of the query are sent to the server.
        """
        files: list[bytes] = []
        looked_for = [_plain(part, files) for part in _parts(query)]
        if near is not None:
            looked_for.append({"image": near, **({} if box is None else {"box": box})})
        asked = {
            "split": parts,
            "min_relevance": min_relevance,
            "collection": self._collection,
            "parts": looked_for,
            "k": k,
            "offset": offset,
            "rank_by": rank_by,
            "detail": detail,
            "item": item,
            "group": group,
            "filters": filters,
        }
        body = json.dumps(asked).encode()
        if files:
            kind, body = _form(body, files)
        else:
            kind = "application/json"
        answer = self._json("search", body=body, kind=kind)
        return [_hit(hit) for hit in answer["hits"]]

    def images(self, k: int = 60, offset: int = 0, **filters: Any) -> list[dict[str, Any]]:
        """List images without searching: id, path, width and height of each."""
        found: list[dict[str, Any]] = self._json("images", k=k, offset=offset, **filters)["images"]
        return found

    def image(self, id: str, size: int = 640, box: Box | None = None) -> bytes:
        """Return an image or a part of it as a JPEG file; size: of the longer side, at most."""
        cut = None if box is None else ",".join(f"{edge:.6f}" for edge in box)
        return self._ask(f"images/{urllib.parse.quote(id, safe='')}", size=size, box=cut)

    def collections(self) -> list[dict[str, Any]]:
        """List the server's collections: name, images and model of each."""
        found: list[dict[str, Any]] = json.loads(self._ask("collections", anywhere=True))
        return found

    def status(self) -> dict[str, Any]:
        """Return what the collection holds, and how far indexing has come where it is going on."""
        return self._json("status")

    def _json(
        self, path: str, body: bytes | None = None, kind: str = "", **fields: Any
    ) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._ask(path, body, kind, **fields))
        return found

    def _ask(
        self,
        path: str,
        body: bytes | None = None,
        kind: str = "",
        anywhere: bool = False,
        **fields: Any,
    ) -> bytes:
        given = {name: value for name, value in fields.items() if value is not None}
        if body is None and not anywhere and self._collection is not None:
            given["collection"] = self._collection
        url = f"{self._url}/{path}" + (f"?{urllib.parse.urlencode(given)}" if given else "")
        headers = {**self._headers, **({"Content-Type": kind} if body is not None else {})}
        try:
            request = urllib.request.Request(url, body, headers)
            with urllib.request.urlopen(request, timeout=self._timeout) as answer:
                found: bytes = answer.read()
                return found
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


def _parts(query: Asked | None) -> Sequence[Part]:
    if query is None:
        return ()
    if isinstance(query, Query):
        return query.parts
    if isinstance(query, str):
        return (Part(text=query),)
    if isinstance(query, Path | Image.Image):
        return (Part(image=query),)
    return query


def _plain(part: Part, files: list[bytes]) -> dict[str, Any]:
    """Return a part as the server takes it; the file of an image is appended to `files`."""
    if part.text is not None:
        return {"text": part.text, "weight": part.weight}
    if part.image is None:
        raise InputError("over HTTP an image of the collection is named by its id: near=ID")
    files.append(_file(part.image))
    box = {} if part.box is None else {"box": part.box}
    return {"upload": len(files) - 1, "weight": part.weight, **box}


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


def _hit(found: dict[str, Any]) -> Hit:
    matches = tuple(
        Match(each["part"], each["weight"], each["score"], tuple(each["box"]), each["relevance"])
        for each in found["matches"]
    )
    return Hit(
        rank=found["rank"],
        score=found["score"],
        path=Path(found["path"]),
        box=tuple(found["box"]),
        id=found["id"],
        width=found["width"],
        height=found["height"],
        why=found["why"],
        part=found["part"],
        matches=matches,
        similar=tuple(Path(path) for path in found["similar"]),
        relevance=found["relevance"],
    )

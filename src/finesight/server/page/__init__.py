"""The page: its files, as they are, from memory."""

import hashlib
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response

from finesight.server.problems import Problem

router = APIRouter(include_in_schema=False)

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def _load() -> dict[str, tuple[bytes, str, str]]:
    """Return content, type and tag of every file, by name: nothing else can be asked for."""
    files = {}
    for path in sorted(Path(__file__).parent.iterdir()):
        if path.suffix in _TYPES:
            content = path.read_bytes()
            tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            files[path.name] = (content, _TYPES[path.suffix], tag)
    return files


FILES = _load()
"""The files of the page, by name."""


@router.get("/")
async def index(request: Request) -> Response:
    """Return the page itself."""
    return _file(request, "index.html")


@router.get("/page/{name}")
async def file(request: Request, name: str) -> Response:
    """Return one of the page's files."""
    return _file(request, name)


@router.get("/favicon.ico")
async def icon(request: Request) -> Response:
    """Return the icon to browsers that ask for it by this name."""
    return _file(request, "icon.svg")


def _file(request: Request, name: str) -> Response:
    if name not in FILES:
        raise Problem(404, "The page has no such file.")
    content, kind, tag = FILES[name]
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=kind, headers=headers)

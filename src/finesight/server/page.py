"""The page: the files of the folder beside this one, which say nothing of any collection."""

import mimetypes
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from finesight.server.problems import Problem

FOLDER = Path(__file__).parent / "static"
"""Where the page's files are."""

router = APIRouter(include_in_schema=False)
_files = StaticFiles(directory=FOLDER, follow_symlink=True)
mimetypes.add_type("text/javascript", ".js")  # Windows lets other programs change what it says


@router.get("/page/{name}")
async def file(request: Request, name: str) -> Response:
    """Return one of the page's files; browsers ask each time whether it has changed."""
    try:
        answer = await _files.get_response(name, request.scope)
    except HTTPException as error:
        raise Problem(404, "The page has no such file.") from error
    answer.headers["Cache-Control"] = "no-cache"
    return answer


@router.get("/")
async def index(request: Request) -> Response:
    """Return the page itself."""
    return await file(request, "index.html")


@router.get("/favicon.ico")
async def icon(request: Request) -> Response:
    """Return the icon to browsers that ask for it by this name."""
    return await file(request, "icon.svg")

"""Conditions on metadata: globs on paths become SQL, as Lance reads it."""

import re

from finesight.errors import InputError

_PIECE = re.compile(r"\*\*/|\*\*|\*|\?|\[!?[^\]/]+\]|.", re.DOTALL)
_SLASH = r"[/\\]"


def path_condition(glob: str) -> str:
    """Return the SQL condition that the column `path` matches a glob.

    * stands for anything but a slash, ** for anything, ? for one character, [ab] for one of some.
    A glob may begin at any folder, and what matches a folder matches all that is in it, as in
    .gitignore: `*.png`, `holiday`, `2024/**/beach*`. One that begins with a slash is anchored.
    """
    if not glob.strip("/ "):
        raise InputError(f"the path glob {glob!r} is empty: write, for example, holiday/*.jpg")
    pattern = "".join(_translated(piece) for piece in _PIECE.findall(glob.strip().rstrip("/")))
    start = "^" if glob.startswith("/") else f"(^|{_SLASH})"
    expression = f"{start}{pattern}({_SLASH}.*)?$".replace("'", "''")
    return f"regexp_like(path, '{expression}')"


def _translated(piece: str) -> str:
    known = {"**/": f"(.*{_SLASH})?", "**": ".*", "*": r"[^/\\]*", "?": r"[^/\\]", "/": _SLASH}
    if piece in known:
        return known[piece]
    if len(piece) > 1:  # a set of characters
        inside = piece[1:-1].replace("\\", "\\\\").replace("[", "\\[")
        return f"[^{inside[1:]}]" if inside.startswith("!") else f"[{inside}]"
    return re.escape(piece)

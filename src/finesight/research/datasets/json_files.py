"""Reads a JSON file, or says in a sentence why not."""

import json
from pathlib import Path
from typing import Any

from finesight.errors import DataError, InputError


def read_json(path: Path) -> Any:
    """Return what a file holds; raises InputError where it cannot be read, else DataError."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise DataError(
            f"{path} is not JSON, or is damaged ({error}): download it again"
        ) from error


def read_json_lines(path: Path) -> list[Any]:
    """Return what each line of a file holds; raises as `read_json` does, and says which line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    found = []
    for number, line in enumerate(lines, 1):
        try:
            if line.strip():
                found.append(json.loads(line))
        except ValueError as error:
            raise DataError(
                f"{path}, line {number} is not JSON, or is damaged ({error}): remove that line"
            ) from error
    return found

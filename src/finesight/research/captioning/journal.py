"""The file of captions: a JSON line per finished image, none twice, none lost.

A line has `image` (and `file_name`, by which `finesight index` knows it), `caption` (a list),
`made_by`, and what it was made of: `box`, where a part of the image was described, and `dialogue`.
Beside it, in `NAME.turns`, stand the answers about images that are not finished yet.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import filelock

from finesight.errors import DataError, InputError
from finesight.research.captioning.dialogue import Turn
from finesight.types import Box

_START = b'{"image": '  # of every line

Key = tuple[str, Box | None]
"""An image's name in the file, and the part of it that a caption is of."""


class Journal:
    """Captions in a file, which is made by the first one; safe for several threads.

    made_by: what decides a caption; a file of others is refused. Use `Journal.open`.
    """

    def __init__(self, path: Path, made_by: dict[str, Any]) -> None:
        self.path = path
        self.made_by = made_by
        self.done: set[Key] = set()
        self._beside = path.with_name(path.name + ".turns")
        self._turns: dict[Key, list[Turn]] = defaultdict(list)
        self._lock = Lock()

    @staticmethod
    @contextmanager
    def open(path: Path, made_by: dict[str, Any]) -> Iterator["Journal"]:
        """Open or begin a file, which no other run may write to meanwhile.

        Raises InputError where it holds captions that were made otherwise, cannot be written, or is
        being written to; DataError where it is damaged.
        """
        lock = path.with_name(path.name + ".lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(lock, timeout=0):
                journal = Journal(path, made_by)
                journal._read()
                yield journal
                if {_key(line) for line in _lines(journal._beside)} <= journal.done:
                    journal._beside.unlink(missing_ok=True)
                lock.unlink(missing_ok=True)
        except filelock.Timeout as error:
            raise InputError(
                f"another run is writing to {path}: wait until it has ended, or name another --out"
            ) from error
        except OSError as error:
            raise InputError(f"cannot write to {path}: {error.strerror or error}") from error

    def turns(self, key: Key) -> list[Turn]:
        """Return the questions and answers of an interrupted run about an image."""
        return list(self._turns[key])

    def heard(self, key: Key, turn: Turn) -> None:
        """Keep an answer about an image that is not finished."""
        self._append(self._beside, key, {"turn": turn, "made_by": self.made_by})

    def finished(self, key: Key, captions: Sequence[str], turns: Sequence[Turn] = ()) -> None:
        """Write the line of an image."""
        line = {"caption": captions, "made_by": self.made_by}
        self._append(self.path, key, line | ({"dialogue": turns} if turns else {}))
        self.done.add(key)

    def _append(self, path: Path, key: Key, said: dict[str, Any]) -> None:
        name, box = key
        part = {} if box is None else {"box": box}
        line = {"image": name, "file_name": name, **part, **said}
        text = json.dumps(line, ensure_ascii=False) + "\n"
        with self._lock, path.open("a", encoding="utf-8") as file:
            file.write(text)

    def _read(self) -> None:
        for number, line in enumerate(_lines(self.path), 1):
            try:
                key, made_by = _key(line), line["made_by"]
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(
                    f"{self.path}, line {number} is damaged, or no caption ({error!r}): remove "
                    "that line, or name another --out"
                ) from error
            if made_by != self.made_by:
                names = sorted({*made_by, *self.made_by})
                others = [name for name in names if made_by.get(name) != self.made_by.get(name)]
                raise InputError(
                    f"{self.path} holds captions that were made otherwise ({', '.join(others)} "
                    "differ): name another --out, or remove it"
                )
            self.done.add(key)
        for line in _lines(self._beside):
            if line["made_by"] == self.made_by and _key(line) not in self.done:
                question, answer = line["turn"]
                self._turns[_key(line)].append((question, answer))


def _key(line: dict[str, Any]) -> Key:
    box = line.get("box")
    if box is None:
        return str(line["image"]), None
    x0, y0, x1, y1 = (float(edge) for edge in box)
    return str(line["image"]), (x0, y0, x1, y1)


def _lines(path: Path) -> list[Any]:
    """Return what the lines of a file hold; the half line of a run that was killed is cut off."""
    if not path.exists():
        return []
    data = path.read_bytes()
    end = data.rfind(b"\n") + 1
    half = data[end:]
    try:
        found = [json.loads(line) for line in data[:end].decode().splitlines() if line.strip()]
        if half and not half.startswith(_START[: len(half)]):
            raise ValueError("its last line is not one of captions")
    except ValueError as error:
        raise DataError(
            f"{path} is damaged, or no file of captions ({error}): name another --out"
        ) from error
    if half:
        with path.open("r+b") as file:
            file.truncate(end)
    return found

"""Kill `finesight index` at random moments, with readers beside it, and see that nothing is lost.

python benchmarks/index_soak.py [KILLS] [--seed S] [--quick]

Pictures are added, changed, moved, removed and broken between the kills. In the end the collection
must equal one that was built without interruption: the same paths, hashes, sizes and boxes, every
path and id once, cosines of at least .9999, and the same files skipped. All the while a reader
searches: it must never see an error, nor a part of a batch.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from finesight import Collection, load_model
from finesight.store.schema import unpack
from finesight.store.table import ImageTable

BATCH = 64  # images a commit
INDEX = [sys.executable, "-m", "finesight", "index", "--model", "mini", "--regions", "grid2"]


def main() -> None:
    """Kill, compare, and exit with 1 if anything differs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kills", nargs="?", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="with fewer pictures")
    given = parser.parse_args()
    kills, chance = given.kills, random.Random(given.seed)
    pictures_first, pictures_more = (200, 150) if given.quick else (500, 400)
    with tempfile.TemporaryDirectory() as folder:
        pictures, collection = Path(folder) / "pictures", Path(folder) / "killed"
        _paint(pictures, range(pictures_first), chance)
        reader = Reader(collection, pictures_first)
        reader.start()
        _kill(pictures, collection, kills, pictures_more, chance, reader)
        reader.stop()
        command = [*INDEX, str(pictures), "--prune", "--collection"]
        subprocess.run([*command, str(collection)], check=True, capture_output=True)
        whole = Path(folder) / "whole"
        subprocess.run([*command, str(whole)], check=True, capture_output=True)
        wrong = [*reader.wrong, *differences(whole, collection)]
        print(f"{kills} kills, {reader.reads} reads beside them; wrong: {wrong or 'nothing'}")
        sys.exit(bool(wrong))


def _kill(
    pictures: Path,
    collection: Path,
    kills: int,
    more: int,
    chance: random.Random,
    reader: "Reader",
) -> None:
    """Start runs and kill them; when one ends by itself, change the pictures and go on.

    more: pictures that come with each change.
    """
    command = [*INDEX, str(pictures), "--prune", "--collection"]
    trial = [*command, str(collection.with_name("trial"))]
    whole, idle = (_time(trial) for _ in range(2))  # all is new; nothing is
    number = rounds = late = 0
    killed = False  # in this round
    while number < kills:
        before, start = _version(collection), time.monotonic()
        run = subprocess.Popen(
            [*command, str(collection)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        try:
            _, message = run.communicate(timeout=chance.uniform(0.7 * idle, whole))
        except subprocess.TimeoutExpired:
            run.kill()
            run.communicate()
            number, killed = number + 1, True
            late += _version(collection) > before
            continue
        if run.returncode != 0:
            sys.exit(f"a run failed: {message.decode()}")
        if not killed:  # the machine may be busier or idler than it was
            whole = time.monotonic() - start
        rounds, killed = rounds + 1, False
        reader.only_batches = False
        _change(pictures, rounds, more, chance)
        print(f"kill {number}: run {rounds} came to its end; pictures changed", flush=True)
    print(f"{late} of {kills} kills came after the run had written something")


def _time(command: list[str]) -> float:
    start = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - start


def _version(collection: Path) -> int:
    """Return the number of commits so far."""
    opened = Collection.open(collection)
    return opened.table().version if opened.exists else 0


def _paint(folder: Path, numbers: range, chance: random.Random) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        image = Image.new("RGB", (240, 180), _color(chance))
        draw = ImageDraw.Draw(image)
        for _ in range(5):
            x, y = chance.randrange(200), chance.randrange(140)
            draw.rectangle((x, y, x + chance.randrange(8, 40), y + 30), fill=_color(chance))
        image.save(folder / f"{number:05d}.jpg")


def _color(chance: random.Random) -> tuple[int, int, int]:
    return chance.randrange(256), chance.randrange(256), chance.randrange(256)


def _change(pictures: Path, number: int, more: int, chance: random.Random) -> None:
    """Do to the pictures what happens to pictures."""
    files = sorted(path for path in pictures.rglob("*.jpg"))
    some = chance.sample(files, 60)
    moved = pictures / f"moved{number}"
    moved.mkdir()
    for path in some[:20]:
        path.rename(moved / path.name)
    for path in some[20:30]:
        path.unlink()
    for path in some[30:40]:
        path.touch()
    for path in some[40:50]:
        path.write_bytes(path.read_bytes()[:200])  # broken
    with zipfile.ZipFile(pictures / f"archive{number}.zip", "w") as archive:
        for path in some[50:60]:
            archive.write(path, path.name)
    _paint(pictures / f"new{number}", range(number * 1000, number * 1000 + more), chance)


class Reader(threading.Thread):
    """Searches again and again, and notes what should not be."""

    def __init__(self, collection: Path, pictures: int) -> None:
        super().__init__()
        self.collection, self.pictures = collection, pictures
        self.model = load_model("mini")
        self.only_batches = True  # while there are new pictures alone
        self.reads = 0
        self.wrong: list[str] = []
        self._end = threading.Event()

    def run(self) -> None:
        """Read until stopped."""
        while not self._end.wait(0.05):
            try:
                self._read()
            except Exception as error:  # whatever it is, no reader may see it
                self.wrong.append(f"a reader saw {error!r}")

    def stop(self) -> None:
        """End the thread."""
        self._end.set()
        self.join()

    def _read(self) -> None:
        opened = Collection.open(self.collection, self.model)
        if not opened.exists:
            return
        only_batches = self.only_batches
        rows = opened.table().read(["id", "path", "sha256"])
        count = rows.num_rows
        for column in ("id", "path"):
            if len(set(rows[column].to_pylist())) != count:
                self.wrong.append(f"a reader saw one {column} twice")
        if only_batches and count % BATCH and count != self.pictures:
            self.wrong.append(f"a reader saw {count} images, which is part of a batch")
        if count and len(opened.search("red square", k=3)) != 3:
            self.wrong.append("a search gave too few hits")
        self.reads += 1


def differences(first: Path, second: Path) -> list[str]:
    """Return what differs between two collections of the same pictures."""
    one, two = (_rows(Collection.open(folder, "mini").table()) for folder in (first, second))
    wrong = [f"{path} is in one only" for path in sorted(one.keys() ^ two.keys())]
    for path in sorted(one.keys() & two.keys()):
        (plain, boxes, regions, fused), other = one[path], two[path]
        if plain != other[0] or not np.array_equal(boxes, other[1]):
            wrong.append(f"{path} differs")
        for a, b in ((regions, other[2]), (fused, other[3])):
            norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
            if a.shape != b.shape or ((a * b).sum(axis=1) / norms).min() < 0.9999:
                wrong.append(f"the vectors of {path} differ")
    skipped = [
        {(s.path, s.reason) for s in Collection.open(folder).skipped()}
        for folder in (first, second)
    ]
    return wrong + [f"skipped in one only: {item}" for item in skipped[0] ^ skipped[1]]


def _rows(table: ImageTable) -> dict[str, tuple]:
    """Return plain columns, boxes, regions and fused vectors by path; fail for one path twice."""
    rows = table.read()
    plain = rows.select(
        ["path", "sha256", "size", "mtime_ns", "width", "height", "looked", "pixels"]
    ).to_pylist()
    assert len({row["path"] for row in plain}) == len(plain), "a path is there twice"
    assert len(set(rows["id"].to_pylist())) == len(plain), "an id is there twice"
    parts = []
    for name in ("boxes", "regions", "fused"):
        values, counts = unpack(rows[name].combine_chunks())
        parts.append(np.split(values.astype(np.float32), np.cumsum(counts)[:-1]))
    return {row["path"]: (row, *arrays) for row, *arrays in zip(plain, *parts, strict=True)}


if __name__ == "__main__":
    main()

"""Many clients at once: `finesight serve` under load, beside the same search called in process.

Run after `make demo`: python benchmarks/serve_load.py [COLLECTION] [--quick]
The clients run in this process, the server in one of its own; both share the machine's cores.
Every client sends a query, waits for its answer, and sends the next. Writes docs/results/serve.txt.
"""

import argparse
import asyncio
import itertools
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from finesight import Collection

RESULT = Path(__file__).parents[1] / "docs" / "results" / "serve.txt"
COLORS = ("red", "green", "blue", "yellow", "purple", "brown", "gray", "cyan")
THINGS = ("mug", "car", "chair", "lamp", "boat", "table", "clock", "guitar", "knife", "camera")
QUERIES = [f"{color} {thing}" for thing in THINGS for color in COLORS]
K = 24  # hits: as many as the page asks for
STARTS = 5


@dataclass
class Load:
    """What came of a load: the seconds each answer took, how many failed, and how long it ran."""

    seconds: list[float] = field(default_factory=list)
    errors: int = 0
    duration: float = 0.0

    def row(self, name: str) -> str:
        """Return a line of the table."""
        percentiles = statistics.quantiles(self.seconds, n=100, method="inclusive")
        p50, p99 = percentiles[49] * 1000, percentiles[98] * 1000
        rate = len(self.seconds) / self.duration
        return (
            f"{name:<34}{len(self.seconds):>9}{self.errors:>8}{rate:>10.1f}{p50:>10.1f}{p99:>10.1f}"
        )


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("collection", nargs="?", default="demo/collection")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--quick", action="store_true", help="3 seconds each; writes nothing")
    given = parser.parse_args()
    seconds = 3.0 if given.quick else given.seconds
    images = len(Collection.open(given.collection))
    lines = [
        f"finesight serve, {images} images, {len(QUERIES)} queries, k = {K}, {seconds:g} s each",
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "",
        f"{'':<34}{'answers':>9}{'errors':>8}{'a second':>10}{'p50 ms':>10}{'p99 ms':>10}",
    ]
    with server(given.collection) as port:
        asyncio.run(over_http(port, 1, 1.0))  # the model is loaded
        for clients in (1, given.clients):
            load = asyncio.run(over_http(port, clients, seconds))
            lines.append(load.row(f"over HTTP, {clients} clients"))
    collection = Collection.open(given.collection)
    collection.search("red mug")
    for callers in (1, given.clients):
        load = in_process(lambda text: collection.search(text, K), callers, seconds)
        lines.append(load.row(f"Collection.search, {callers} threads"))
    pages, answers = first_answers(given.collection, 2 if given.quick else STARTS)
    lines += [
        "",
        f"start to first page    {statistics.median(pages):.2f} s (median of {len(pages)}, "
        f"slowest {max(pages):.2f})",
        f"start to first answer  {statistics.median(answers):.2f} s (slowest {max(answers):.2f})",
    ]
    table = "\n".join(lines)
    print(table)
    if not given.quick:
        RESULT.write_text(table + "\n", encoding="utf-8")


@contextmanager
def server(collection: str) -> Iterator[int]:
    """Run a server on a free port; yields the port."""
    command = [sys.executable, "-m", "finesight", "serve", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--collection", collection], stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        found = re.search(r":(\d+)/", said)
        if found is None:
            raise SystemExit(f"the server did not start: {said}{process.stderr.read()}")
        yield int(found[1])
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)


async def over_http(port: int, clients: int, seconds: float) -> Load:
    """Let clients ask one query after the other, each over one connection."""
    load = Load()
    texts = itertools.cycle(QUERIES)
    start = time.perf_counter()

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() - start < seconds:
            body = json.dumps({"text": next(texts), "k": K}).encode()
            asked = time.perf_counter()
            writer.write(
                b"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            )
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head)
            assert length is not None
            answer = json.loads(await reader.readexactly(int(length[1])))
            load.seconds.append(time.perf_counter() - asked)
            load.errors += not head.startswith(b"HTTP/1.1 200") or len(answer["hits"]) != K
        writer.close()

    results = await asyncio.gather(*(client() for _ in range(clients)), return_exceptions=True)
    load.errors += sum(isinstance(result, BaseException) for result in results)
    load.duration = time.perf_counter() - start
    return load


def in_process(search: Callable[[str], object], callers: int, seconds: float) -> Load:
    """Let threads call a search, one after the other each."""
    load = Load()
    texts = itertools.cycle(QUERIES)
    start = time.perf_counter()

    def call() -> None:
        while time.perf_counter() - start < seconds:
            asked = time.perf_counter()
            search(next(texts))
            load.seconds.append(time.perf_counter() - asked)

    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    load.duration = time.perf_counter() - start
    return load


def first_answers(collection: str, starts: int) -> tuple[list[float], list[float]]:
    """Return the seconds from a process's start to its first page, and to its first answer."""
    pages, answers = [], []
    for _ in range(starts):
        start = time.perf_counter()
        with server(collection) as port:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as page:
                assert b"finesight" in page.read()
            pages.append(time.perf_counter() - start)
            body = json.dumps({"text": "red mug"}).encode()
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/search", body, {"Content-Type": "application/json"}
            )
            with urllib.request.urlopen(request) as answer:
                assert json.load(answer)["hits"]
            answers.append(time.perf_counter() - start)
    return pages, answers


if __name__ == "__main__":
    main()

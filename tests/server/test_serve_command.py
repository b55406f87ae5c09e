"""`finesight serve` as people run it: a process that starts soon and stops when asked."""

import re
import signal
import subprocess
import sys
import urllib.request

import pytest

from finesight.server.running import bind

LATER = ("lance", "pyarrow", "onnxruntime", "tokenizers", "finesight.collection", "torch")


def serve(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "finesight", "serve", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_stop(collection, told):
    with serve("--collection", collection.directory, "--port", "0") as process:
        said = process.stderr.readline()
        url = re.search(r"http://127\.0\.0\.1:\d+/", said)[0]
        with urllib.request.urlopen(url, timeout=60) as answer:
            assert b"<title>finesight</title>" in answer.read()
        process.send_signal(told)
        out, rest = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")
    assert rest.endswith("stopped\n")


def test_in_a_network_it_makes_a_token(tmp_path):
    arguments = ("--collection", tmp_path / "none", "--host", "0.0.0.0", "--port", "0")
    with serve(*arguments) as process:
        assert "nothing is in" in process.stderr.readline()
        assert re.search(r"http://[\w.]+:\d+/#token=[\w-]{32}", process.stderr.readline())
        process.terminate()
        process.communicate(timeout=60)


def test_what_cannot_be_is_said_in_a_line(tmp_path):
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        for arguments, message in [
            (("--port", port), "--port"),
            (("--token", "short"), "token"),
            (("--host", "no.such.host.invalid"), "--host"),
        ]:
            with serve("--collection", tmp_path, *arguments) as process:
                out, said = process.communicate(timeout=60)
            assert (process.returncode, out) == (2, "")
            assert message in said
            assert "Traceback" not in said


def test_the_page_is_there_before_what_searching_needs():
    code = (
        f"import sys, finesight.server.running; print([m for m in {LATER!r} if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "[]\n"


def test_the_client_needs_no_web_framework():
    code = "import sys, finesight.client; print('fastapi' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "False\n"

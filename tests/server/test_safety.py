"""What the server refuses, and how."""

import io
import json
import struct
import time
import zlib

import pytest
from PIL import Image

from finesight.errors import InputError
from finesight.server.page import FOLDER
from finesight.server.problems import without_paths
from finesight.server.running import bind, token_for, url_of
from finesight.server.settings import Limits, Settings

from .conftest import read_all, serving
from .test_api import form, square

TOKEN = "a-token-of-enough-letters"


def is_problem(answer, status):
    """Whether this is a problem document of that status, without paths and traces."""
    document = answer.json()
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.status, document["status"]) == (status, status), document
    assert document["title"]
    assert document["detail"]
    text = json.dumps(document)
    return not any(sign in text for sign in ("Traceback", "/tmp", "/home", ".py", "finesight/"))


@pytest.mark.parametrize(
    "path",
    [
        "/images/../../etc/passwd",
        "/images/..%2f..%2fetc%2fpasswd",
        "/images/%2e%2e/%2e%2e/etc/passwd",
        "/images/%2fetc%2fpasswd",
        "/images/....//....//etc/passwd",
        "/page/../app.py",
        "/page/..%2fapp.py",
        "/page/%2e%2e%2fapp.py",
        "/page/..%5capp.py",
        "/page/__init__.py",
        "/page//etc/passwd",
        "//etc/passwd",
        "/images/0123456789abcdef%00.png",
    ],
)
def test_no_path_leads_to_a_file(served, path):
    answer = served.raw(
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    )
    assert answer.split(b" ", 2)[1] in (b"404", b"422")
    assert b"root:" not in answer
    assert b"import" not in answer


def test_only_images_of_the_collection_are_served(served, spots, tmp_path):
    secret = tmp_path / "secret.png"
    Image.new("RGB", (9, 9)).save(secret)
    for name in (str(secret), secret.name, "0" * 16, "0' OR '1'='1", "F" * 16):
        quoted = name.replace("/", "%2F").replace(" ", "%20").replace("'", "%27")
        assert served.ask(f"/images/{quoted}").status in (404, 422)
    # A text that is the name of a file is a text.
    found = served.search(text=str(spots / "small" / "red.png"), k=1)
    assert found["hits"][0]["matches"][0]["score"] < 0.999


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 422),
        (b"[]", 422),
        (b"null", 422),
        (b"\xff\xfe", 422),
        (b'{"text": "\\ud800"}', 422),
        (b'{"text": ""}', 422),
        (b'{"text": "   "}', 422),
        (b'{"text": "a\\u0000b"}', 422),
        (b"{}", 422),
        (b'{"text": "red", "k": 0}', 422),
        (b'{"text": "red", "k": 201}', 422),
        (b'{"text": "red", "k": 1e99}', 422),
        (b'{"text": "red", "offset": -1}', 422),
        (b'{"text": "red", "rank_by": "luck"}', 422),
        (b'{"text": "red", "detail": NaN}', 422),
        (b'{"text": "red", "colour": "red"}', 422),
        (b'{"text": "red", "filters": {"where": "1=1"}}', 422),
        (b'{"text": "red", "filters": {"min_width": 9, "max_width": 8}}', 422),
        (b'{"text": "red", "filters": {"metadata": {"a": 1}}}', 422),
        (b'{"text": "red", "filters": {"metadata": {"": "x"}}}', 422),
        (b'{"text": "red", "descriptions": ["x"], "words": true}', 422),
        (b'{"text": "red", "rerank": "adapt", "rerank_top": 100000}', 422),
        (b'{"text": "red", "collection": "../other"}', 404),
        (b'{"parts": [{"text": "red", "weight": -1}]}', 422),
        (b'{"parts": [{"text": "red", "weight": 0}]}', 422),
        (b'{"parts": [{"upload": 0}]}', 422),
        (b'{"parts": [{"image": "/etc/passwd"}]}', 422),
        (b'{"parts": [{"image": "0123456789abcdef"}]}', 404),
        (b'{"parts": [{"image": "0123456789abcdef", "box": [1, 0, 0, 1]}]}', 422),
        (b'{"parts": [{"url": "http://example.org/x.png"}]}', 422),
        (json.dumps({"parts": [{"text": "x"}] * 9}).encode(), 422),
        (json.dumps({"text": "x" * 1001}).encode(), 422),
        (b"[" * 7000, 422),
    ],
)
def test_malformed_searches(served, body, status):
    answer = served.ask("/search", body, {"Content-Type": "application/json"})
    assert is_problem(answer, status)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"text": "red", "colour": "red"}, "colour"),
        ({"text": "red", "filters": {"min_widht": 9}}, "filters.min_widht"),
        ({"parts": [{"text": "red", "wieght": 2}]}, "parts.0.wieght"),
        ({"text": "red", "where": "width > 9"}, "where"),
        ({"text": "red", "rank_by": "luck"}, "rank_by"),
    ],
)
def test_a_field_that_is_wrong_is_named(served, body, field):
    answer = served.ask("/search", body)
    assert is_problem(answer, 422)
    assert [error["where"] for error in answer.json()["errors"]] == [field]
    assert answer.json()["detail"].startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/images?k=0", 422),
        ("/images?k=x", 422),
        ("/images?where=1", 422),
        ("/images?metadata=author", 422),
        ("/images/0123456789abcdef?size=1", 422),
        ("/images/0123456789abcdef?size=999999", 422),
        ("/images/0123456789abcdef?box=0,0,2,2", 422),
        ("/images/0123456789abcdef?box=0,0,0,0", 422),
        ("/images/0123456789abcdef?box=nan,0,1,1", 422),
        ("/status?collection=none", 404),
        ("/nowhere", 404),
        ("/docs", 404),
    ],
)
def test_malformed_questions(served, path, status):
    assert is_problem(served.ask(path), status)


def test_methods_and_kinds_of_content(served):
    answer = served.ask("/search")
    assert is_problem(answer, 405)
    assert answer.headers["Allow"] == "POST"
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        assert is_problem(served.ask("/search", b"text=red", {"Content-Type": kind}), 415)


def test_malformed_uploads(served):
    assert is_problem(served.ask("/search", **form(b"no image")), 422)
    assert is_problem(served.ask("/search", **form(b"")), 422)
    assert is_problem(served.ask("/search", **form(square("red")[:60])), 422)
    assert is_problem(served.ask("/search", **form()), 422)
    assert is_problem(served.ask("/search", **form(square("red"), query="{")), 422)
    assert is_problem(served.ask("/search", **form(*[square("red")] * 9)), 400)
    for kind in ("multipart/form-data", "multipart/form-data; boundary=y"):
        answer = served.ask("/search", form(square("red"))["body"], {"Content-Type": kind})
        assert answer.status in (400, 422)
        assert is_problem(answer, answer.status)


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(served):
    def chunk(kind, data):
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(99)))
    start = time.monotonic()
    answer = served.ask("/search", **form(bomb))
    assert is_problem(answer, 422)
    assert "too large" in answer.json()["detail"]
    assert time.monotonic() - start < 5


def test_oversized_bodies(served):
    announced = served.raw(
        b"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 999999999999\r\n\r\n"
    )
    assert announced.startswith(b"HTTP/1.1 413")
    file = io.BytesIO()
    Image.effect_noise((600, 600), 90).save(file, "PNG")
    assert len(file.getvalue()) > 200_000
    assert is_problem(served.ask("/search", **form(file.getvalue())), 413)
    long = json.dumps({"text": "red", "junk": "x" * 9000}).encode()
    assert is_problem(served.ask("/search", long, {"Content-Type": "application/json"}), 413)
    # Without a length, in chunks.
    head = b"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    chunked = b"Transfer-Encoding: chunked\r\n\r\n" + b"1000\r\n%b\r\n" % (b"x" * 4096) * 3
    assert served.raw(head + chunked + b"0\r\n\r\n").startswith(b"HTTP/1.1 413")
    # A head that does not end.
    with served.connected() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 70_000)
        assert read_all(connection).startswith((b"HTTP/1.1 400", b""))


def test_slow_requests(served):
    with served.connected() as silent, served.connected() as head, served.connected() as body:
        head.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
        body.sendall(
            b"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b'Content-Length: 15\r\n\r\n{"text'
        )
        start = time.monotonic()
        assert read_all(silent) == b""
        assert read_all(head) == b""
        assert read_all(body).startswith(b"HTTP/1.1 408")
        assert time.monotonic() - start < 10
    assert served.search(text="red")["hits"]


def test_a_head_that_trickles_is_cut_off(served):
    with served.connected() as connection:
        start = time.monotonic()
        try:
            for letter in b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: yes" * 9:
                connection.sendall(bytes([letter]))
                time.sleep(0.05)
        except OSError:
            pass
        assert time.monotonic() - start < 8


def test_a_second_request_on_a_connection_has_the_same_deadline(served):
    with served.connected() as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /health HTT")
        start = time.monotonic()
        read_all(connection)
        assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.2", "", "[::2]"]
)
def test_other_names_for_this_machine_are_refused(served, host):
    answer = served.raw(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 421")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "LOCALHOST:8000", "[::1]:8000"])
def test_names_of_loopback_are_answered(served, host):
    answer = served.raw(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 200")


def test_other_sites_may_not_ask(served):
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    ):
        assert is_problem(served.ask("/status", headers=headers), 403)
        upload = form(square("red"))
        upload["headers"] |= headers
        assert is_problem(served.ask("/search", **upload), 403)
    own = served.ask("/status", headers={"Origin": served.url})
    assert own.status == 200
    assert "Access-Control-Allow-Origin" not in own.headers
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert served.ask("/", headers=link).status == 200
    assert served.ask("/status", headers=link).status == 403


def test_named_origins_may_ask(collection):
    settings = Settings(collections=(collection.directory,), origins=("https://intra.example",))
    with serving(settings) as served:
        answer = served.ask("/status", headers={"Origin": "https://intra.example"})
        assert answer.headers["Access-Control-Allow-Origin"] == "https://intra.example"
        assert served.ask("/status", headers={"Origin": "https://other.example"}).status == 403


@pytest.mark.parametrize("path", ["/", "/page/app.js", "/status", "/nowhere"])
def test_every_answer_tells_browsers_to_be_strict(served, path):
    headers = served.ask(path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Server" not in headers


def test_the_page_asks_no_other_host():
    files = {file.name: file for file in FOLDER.iterdir()}
    assert {"index.html", "app.js", "style.css"} <= set(files)
    for name, file in files.items():
        text = file.read_text().replace("http://www.w3.org/", "")
        assert "http:" not in text, name
        assert "https:" not in text, name
        assert "innerHTML" not in text, name


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/page/app.js", "text/javascript; charset=utf-8"),
        ("/page/style.css", "text/css; charset=utf-8"),
        ("/favicon.ico", "image/svg+xml"),
    ],
)
def test_the_page_is_asked_for_again_only_where_it_changed(served, path, kind):
    answer = served.ask(path)
    assert (answer.headers["Content-Type"], answer.headers["Cache-Control"]) == (kind, "no-cache")
    again = served.ask(path, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status, again.body, again.headers["Cache-Control"]) == (304, b"", "no-cache")
    missing = served.ask("/page/missing.js")
    assert is_problem(missing, 404)
    assert missing.json()["detail"] == "The page has no such file."


@pytest.fixture
def locked(collection):
    with serving(Settings(collections=(collection.directory,), token=TOKEN)) as running:
        yield running


def test_the_token_is_needed(locked):
    for path in ("/status", "/images", "/metrics", "/images/0123456789abcdef", "/collections"):
        assert is_problem(locked.ask(path), 401)
        for wrong in ("Bearer x", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer é"):
            assert locked.ask(path, headers={"Authorization": wrong}).status == 401
    assert is_problem(locked.ask("/search", {"text": "red"}), 401)
    right = {"Authorization": f"Bearer {TOKEN}"}
    assert locked.ask("/search", {"text": "red"}, right).status == 200
    for path in ("/", "/health", "/page/app.js"):
        assert locked.ask(path).status == 200


def test_the_page_exchanges_the_token_for_a_cookie(locked):
    wrong = locked.ask("/session", {"token": "wrong"})
    assert is_problem(wrong, 401)
    assert wrong.headers["Set-Cookie"] is None
    cookie = locked.ask("/session", {"token": TOKEN}).headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    name, _, value = cookie.partition(";")[0].partition("=")
    assert locked.ask("/status", headers={"Cookie": f"{name}={value}"}).status == 200
    until, _, signature = value.partition(".")
    for forged in ("", ".", f"{int(until) + 9}.{signature}", f"{until}.{'0' * 64}", "9e9.x"):
        assert locked.ask("/status", headers={"Cookie": f"{name}={forged}"}).status == 401


def test_a_network_needs_a_token():
    assert token_for("127.0.0.1", None) is None
    assert token_for("localhost", None) is None
    made = token_for("0.0.0.0", None)
    assert made is not None
    assert len(made) >= 32
    assert made != token_for("0.0.0.0", None)
    assert token_for("0.0.0.0", TOKEN) == TOKEN
    for weak in ("short", "has a space in its middle", "ü" * 20):
        with pytest.raises(InputError, match="token"):
            token_for("0.0.0.0", weak)


def test_a_network_server_answers_to_addresses_and_named_hosts(collection):
    settings = Settings(
        collections=(collection.directory,), host="0.0.0.0", names=("pics.lan",), token=TOKEN
    )
    with serving(settings) as served:
        for host, code in [
            ("192.168.1.20:8000", b"200"),
            ("pics.lan", b"200"),
            ("evil.example", b"421"),
        ]:
            answer = served.raw(
                f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
            )
            assert answer.split(b" ", 2)[1] == code


def test_addresses_that_cannot_be_listened_on():
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match="--port"):
            bind("127.0.0.1", port)
        assert url_of(taken, Settings((), token=TOKEN)) == f"http://127.0.0.1:{port}/#token={TOKEN}"
    with pytest.raises(InputError, match="--host"):
        bind("no.such.host.invalid", 0)


def test_too_many_at_once_are_told_so(collection):
    limits = Limits(waiting=-100)
    with serving(Settings(collections=(collection.directory,), limits=limits)) as served:
        answer = served.ask("/search", {"text": "red"})
        assert is_problem(answer, 503)
        assert answer.headers["Retry-After"]
        assert served.ask("/health").status == 200


def test_a_failure_inside_shows_nothing_of_it(served, monkeypatch):
    def fail(*given):
        raise RuntimeError("the secret is in /home/someone/file.py")

    monkeypatch.setattr("finesight.server.api.answer", fail)
    answer = served.ask("/search", {"text": "red"})
    assert is_problem(answer, 500)
    assert "secret" not in answer.body.decode()


def test_paths_are_taken_out_of_messages():
    assert without_paths("there is no image /home/a b") == "there is no image … b"
    assert without_paths("in /var/lib/x.lance: broken") == "in …: broken"
    assert without_paths(r"C:\Users\me\x.jpg, damaged") == "…, damaged"
    assert without_paths("'/tmp/x' and ~/y") == "'…' and …"
    assert without_paths("and/or 1/2 of 3 / 4") == "and/or 1/2 of 3 / 4"

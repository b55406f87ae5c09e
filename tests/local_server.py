"""HTTP servers on this machine, for tests of what asks others."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Reads JSON, sends answers, and logs nothing."""

    def read(self):
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def answer(self, status, data, headers=None):
        try:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            pass  # the client has gone

    def log_message(self, *arguments):
        pass


@contextmanager
def serving(handler):
    """Serve until left, each request in a thread; yields the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

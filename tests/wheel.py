"""Tries an installed promwrite in an environment that holds nothing else: one push, to a receiver made here."""

from __future__ import annotations

import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import promwrite

BODY = b"# TYPE tried gauge\ntried 1\n"
arrived: list[tuple[str, str, bytes]] = []


class Receiver(BaseHTTPRequestHandler):
    """Notes what is pushed."""

    def do_PUT(self) -> None:
        arrived.append((self.command, self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002, because that is its name in the base class
        """Says nothing."""


def main() -> int:
    if "prometheus_client" in sys.modules or not promwrite.__file__.startswith(sys.prefix):
        print(f"this is not the clean environment: {promwrite.__file__}")
        return 1
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/metrics/job/wheel"
    promwrite.handler(url, "PUT", 5, [("Content-Type", "text/plain; version=0.0.4; charset=utf-8")], BODY)()
    report = promwrite.flush(timeout=5)
    server.shutdown()
    if not report or arrived != [("PUT", "/metrics/job/wheel", BODY)]:
        print(f"the push did not arrive: {report}, {arrived}")
        return 1
    print(f"promwrite {promwrite.__version__} on Python {sys.version.split()[0]}: imported, pushed, arrived")
    return 0


if __name__ == "__main__":
    sys.exit(main())

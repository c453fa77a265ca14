"""A server of ours that speaks the range protocol of Pwned Passwords, for tests: real HTTP on this machine, a list of
our own. It is no copy of that service and holds nothing from it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PADDED_TO = 800


@dataclass
class RangeServer:
    """`breached` are the passwords of its list; `asked` what it was sent: path and whether padding was wanted.

    `status` other than 200 and `body` other than None make it answer badly."""

    breached: set[str] = field(default_factory=set)
    asked: list[tuple[str, str]] = field(default_factory=list)
    status: int = 200
    body: bytes | None = None
    url: str = ""

    def answer(self, prefix: str, padding: bool) -> bytes:
        """Each ending of the list that goes with the five digits, then padding: endings that nobody has, counted 0."""
        hashes = [hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest().upper() for text in self.breached]
        lines = [f"{item[5:]}:3" for item in hashes if item.startswith(prefix)]
        while padding and len(lines) < PADDED_TO:
            lines.append(f"{hashlib.sha1(f'{prefix}{len(lines)}'.encode()).hexdigest().upper()[5:]}:0")
        return "\r\n".join(sorted(lines)).encode()


@contextmanager
def range_server() -> Iterator[RangeServer]:
    """Running until the end of the block."""
    state = RangeServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append((self.path, self.headers.get("Add-Padding", "")))
            prefix = self.path.rpartition("/")[2]
            given = state.answer(prefix, self.headers.get("Add-Padding") == "true")
            body = given if state.body is None else state.body
            self.send_response(state.status)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}/range/"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)

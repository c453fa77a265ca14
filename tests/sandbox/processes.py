"""The real processes, a real receiver of webhooks, and a certificate for it: what the tests here share."""

import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import stripe

ROOT = Path(__file__).resolve().parents[2]
SECRET = "sk_test_forTests"
EMBEDDER = "http://shop.localhost:9"


@contextmanager
def process(module: str, *arguments: str) -> Iterator[str]:
    """A stand-in as its own process; gives the line that it prints when ready."""
    command = [sys.executable, "-m", module, *arguments]
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert running.stdout is not None
        line = running.stdout.readline().strip()
        assert line, running.stderr.read() if running.stderr else ""
        yield line
    finally:
        running.send_signal(signal.SIGTERM)
        out, err = running.communicate(timeout=20)
        assert running.returncode == 0, err
        assert (out, err) == ("", ""), out + err


@dataclass(frozen=True)
class Processor:
    """A running processor and the ways to speak to it."""

    url: str

    @property
    def sdk(self) -> stripe.StripeClient:
        """The real SDK, without retries of its own."""
        return stripe.StripeClient(SECRET, base_addresses={"api": self.url}, max_network_retries=0)

    @property
    def patient_sdk(self) -> stripe.StripeClient:
        """The real SDK with its usual retries."""
        return stripe.StripeClient(SECRET, base_addresses={"api": self.url}, max_network_retries=2)

    def behave(self, **fields: Any) -> dict[str, Any]:
        """Ask for behaviour; everything else goes back to a good day."""
        headers = {"Authorization": f"Bearer {SECRET}"}
        body = {"reset": True, **fields}
        answer = httpx.post(f"{self.url}/sandbox/behaviour", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


@contextmanager
def processor_process(*arguments: str) -> Iterator[Processor]:
    """The processor as its own process."""
    given = ("--secret-key", SECRET, "--retry-seconds", "0.05", "--embedder", EMBEDDER, *arguments)
    with process("sandbox.processor", *given) as line:
        found = re.fullmatch(r"processor ready at (https?://\S+)", line)
        assert found, line
        yield Processor(found[1])


@dataclass
class Receiver:
    """What a webhook endpoint was sent; `answers` are the statuses of the next answers, 200 after that."""

    url: str
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    def events(self, secret: str) -> list[stripe.Event]:
        """The events, each verified by the real SDK."""
        return [
            stripe.Webhook.construct_event(body, headers["stripe-signature"], secret)
            for headers, body in list(self.got)
        ]


@contextmanager
def receiver(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A web server that takes webhooks."""
    state = Receiver("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            state.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(state.answers.pop(0) if state.answers else 200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "http" if tls is None else "https"
    host = "127.0.0.1" if tls is None else "shop.localhost"
    state.url = f"{scheme}://{host}:{server.server_port}/webhooks"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate for names of this machine."""

    cert: Path
    key: Path

    def server(self) -> ssl.SSLContext:
        """TLS 1.3 only."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self.cert, self.key)
        return context


def eventually(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until something holds; fails when it does not in time."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def in_files(folder: Path, needle: str) -> bool:
    """Whether any file below a folder contains these characters."""
    return any(
        needle.encode() in (Path(base) / name).read_bytes() for base, _, names in os.walk(folder) for name in names
    )

"""Real listeners in processes of their own: `python -m tests.edge.listening https|http FOLDER [CLIENT_CA]`."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from granian.server import Server as Granian
from starlette.types import ASGIApp

from subscription_services.edge.certificate import local_certificate
from subscription_services.edge.listener import Listening, options
from subscription_services.edge.redirect import redirect_app
from subscription_services.edge.stack import EdgeSettings, protect
from subscription_services.kernel.clock import system_random
from subscription_services.kernel.ids import Ids
from subscription_services.web.api import api_routes
from subscription_services.web.page import Person
from subscription_services.web.pages import toolkit_routes
from subscription_services.web.routes import RouteTable
from tests.web import house


@dataclass(frozen=True)
class Running:
    https: int
    http: int
    certificate: Path


def application(port: int) -> ASGIApp:
    """The web floor with the house of the web tests behind the whole edge."""
    person = Person("ada.lovelace@example.org", "Subscriber")
    site, _ = house.make_site(house.ADA, person, sandbox=True, mailbox_url="https://localhost:1/", development=True)
    table = RouteTable(
        [*house.ROUTES, *toolkit_routes(development=True), *api_routes(house.REGISTRY, product="Shop", version="1")]
    )
    settings = EdgeSettings(
        hosts=["localhost", "127.0.0.1"],
        origins=[f"https://localhost:{port}"],
        csrf_key=bytes(32),
        machine_paths=table.machine_paths(),
    )
    ids = Ids(lambda: datetime.now(UTC), system_random)
    return protect(table.application(site), settings, random=system_random, new_id=lambda: ids.new("req"))


def secure() -> ASGIApp:
    """Factory for granian, as front.create is in the service."""
    return application(int(os.environ["TEST_HTTPS_PORT"]))


def plain() -> ASGIApp:
    """Factory for the listener that only points to HTTPS."""
    return redirect_app("localhost", int(os.environ["TEST_HTTPS_PORT"]))


def serve(kind: str, folder: Path, client_ca: Path | None) -> None:
    files = local_certificate(folder, datetime.now(UTC))
    port = int(os.environ[f"TEST_{kind.upper()}_PORT"])
    if kind == "https":
        listening = Listening("127.0.0.1", port, files.certificate, files.key, client_ca, lifespan=False)
    else:
        listening = Listening("127.0.0.1", port, lifespan=False)
    factory = "secure" if kind == "https" else "plain"
    Granian(f"tests.edge.listening:{factory}", factory=True, workers_kill_timeout=10, **options(listening)).serve()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(folder: Path, client_ca: Path | None = None) -> Iterator[Running]:
    """Start both listeners, wait until they answer, and end them with SIGTERM."""
    ports = {"https": free_port(), "http": free_port()}
    environment = os.environ | {f"TEST_{kind.upper()}_PORT": str(port) for kind, port in ports.items()}
    extra = [str(client_ca)] if client_ca else []
    local_certificate(folder, datetime.now(UTC))
    processes = {
        kind: subprocess.Popen([sys.executable, "-m", __name__, kind, str(folder), *extra], env=environment)
        for kind in ports
    }
    try:
        for kind, port in ports.items():
            _wait(processes[kind], port)
        yield Running(ports["https"], ports["http"], folder / "local.crt")
    finally:
        for process in processes.values():
            process.terminate()
        codes = [process.wait(20) for process in processes.values()]
        assert codes == [0, 0], f"the servers ended with {codes}"


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(150):
        assert process.poll() is None, "the server ended at its start"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise TimeoutError(f"nothing answers on port {port}")


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None)

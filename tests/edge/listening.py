"""A real server in a process of its own: `python -m tests.edge.listening FOLDER HTTPS_PORT HTTP_PORT [CLIENT_CA]`."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from starlette.types import ASGIApp

from subscription_services.edge.certificate import local_certificate
from subscription_services.edge.listener import Listening, server
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


async def serve(folder: Path, https: int, http: int, client_ca: Path | None) -> None:
    files = local_certificate(folder, datetime.now(UTC))
    secure = Listening("127.0.0.1", https, files.certificate, files.key, client_ca, lifespan=False)
    servers = [
        server(application(https), secure),
        server(redirect_app("localhost", https), Listening("127.0.0.1", http, lifespan=False)),
    ]
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    tasks = [asyncio.create_task(item.serve()) for item in servers]
    await stop.wait()
    for item in servers:
        item.stop()
    await asyncio.gather(*tasks)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(folder: Path, client_ca: Path | None = None) -> Iterator[Running]:
    """Start it, wait until it answers, and end it with SIGTERM."""
    https, http = free_port(), free_port()
    extra = [str(client_ca)] if client_ca else []
    process = subprocess.Popen([sys.executable, "-m", __name__, str(folder), str(https), str(http), *extra])
    try:
        for port in (https, http):
            _wait(process, port)
        yield Running(https, http, folder / "local.crt")
    finally:
        process.terminate()
        try:
            assert process.wait(15) == 0
        finally:
            process.kill()


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(150):
        assert process.poll() is None, "the server ended at its start"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise TimeoutError(f"nothing answers on port {port}")


if __name__ == "__main__":
    client_ca = Path(sys.argv[4]) if len(sys.argv) > 4 else None
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), client_ca))

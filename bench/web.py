"""Signed-in reads over HTTPS: our whole service against Django with django-allauth on the same server, in turns.

Both: granian with the same options (TLS 1.3), the same certificate, as many processes, wrk with 32 connections. Ours is
`subs run` with all its parts, on SQLCipher, and writes an event of each read to its log. The one that is not measured
does not run.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.allauth_serve import PLACES as THEIRS
from bench.load import BROWSER, load, require_wrk, running
from bench.measure import Ratio, from_pairs
from bench.people import enter, environment_of, join, opened
from sandbox.loopback import choose_port
from subscription_services import app
from subscription_services.kernel.context import Origin
from subscription_services.kernel.settings import HouseSettings

OURS = {"json": "/api/identity.profile", "page": "/account"}
PROCESSES = 2
SECONDS = 5.0
SETTLE = 6.0
"""Seconds that either side gets before it is measured, for what it does once when it starts (ours: its live checks)."""
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Side:
    """A server that can be started, and where the signed-in person finds what."""

    start: Callable[[], AbstractContextManager[int]]
    base: str
    cookie: str
    places: dict[str, str]
    certificate: Path

    def rates(self) -> dict[str, float]:
        """Start, warm up, measure each place, stop."""
        with self.start():
            for path in self.places.values():
                load(self.base + path, self.cookie, 1, self.certificate)
            time.sleep(SETTLE)
            return {
                name: load(self.base + path, self.cookie, SECONDS, self.certificate)
                for name, path in self.places.items()
            }


def run() -> list[Ratio]:
    """JSON and page, each against its like."""
    require_wrk()
    with sides() as (ours, theirs):
        pairs = [(ours.rates(), theirs.rates()) for _ in range(ROUNDS)]
    return [
        from_pairs("signed-in JSON read", "django-allauth, signed-in JSON view",
                   [(left["json"], right["json"]) for left, right in pairs], 5),
        from_pairs("signed-in page", "django-allauth, account page",
                   [(left["page"], right["page"]) for left, right in pairs], 20),
    ]  # fmt: skip


@contextmanager
def sides() -> Iterator[tuple[Side, Side]]:
    """Ours and the baseline, prepared but not started; their files are removed on leaving."""
    with tempfile.TemporaryDirectory(prefix="subs-bench-") as folder:
        ours = _ours(Path(folder))
        yield ours, _theirs(Path(folder), ours.certificate)


def _ours(folder: Path, **settings: str) -> Side:
    https, http = choose_port("127.0.0.1", 0), choose_port("127.0.0.1", 0)
    environment = environment_of(
        folder / "data", SUBS_PROCESSES=str(PROCESSES), SUBS_HTTPS_PORT=str(https), SUBS_HTTP_PORT=str(http),
        **settings,
    )  # fmt: skip
    with opened(environment) as house:
        certificate = app.certificate(house.settings.of(HouseSettings)).certificate
        cookie = f"__Host-session={asyncio.run(_signed_in(house))}"
    base = f"https://localhost:{https}"
    command = [sys.executable, "-m", "subscription_services.cli", "run"]
    start = partial(running, command, environment, f"{base}/health/ready", certificate)
    return Side(start, base, cookie, OURS, certificate)


async def _signed_in(house: app.House) -> str:
    """As a browser would: the session belongs to its network, and every request shows that it comes from there."""
    await join(house, "ada@example.org", 1)
    return await enter(house, "ada@example.org", 1, Origin("127.0.0.1", BROWSER, "page"))


def _theirs(folder: Path, certificate: Path) -> Side:
    port = choose_port("127.0.0.1", 0)
    environment = os.environ | {"BENCH_FOLDER": str(folder)}
    command = [sys.executable, "-m", "bench.allauth_serve"]
    made = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    key = next(certificate.parent.glob("*key*"))
    base = f"https://localhost:{port}"
    serve = [*command, str(port), str(certificate), str(key), str(PROCESSES)]
    start = partial(running, serve, environment, f"{base}/accounts/login/", certificate)
    return Side(start, base, made.stdout.strip(), THEIRS, certificate)

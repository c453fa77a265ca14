"""One foreground command: checks everything, starts the processes, says when it is ready, stops them in order.

Processes: the key service (when it is kept apart), the web server (granian with its workers), the worker (jobs,
sequencer, checks) and the plain HTTP listener that sends browsers to HTTPS. One that ends by itself is started again,
with a pause that grows.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import structlog
from sqlalchemy.exc import SQLAlchemyError

from subscription_services import app, monitoring
from subscription_services.apart import KEYS, keys_apart
from subscription_services.edge.listener import require_free
from subscription_services.kernel.clock import monotonic
from subscription_services.kernel.errors import DomainError, StartError
from subscription_services.kernel.settings import HouseSettings, Settings

READY_SECONDS = 60
STOP_SECONDS = 20
DOORS = ("serve", "redirect")
REFUSED = 2
"""Exit status of a command that said in one line why it does not start."""
log = structlog.get_logger("serving")


@dataclass(slots=True)
class _Part:
    name: str
    process: subprocess.Popen[bytes]
    restarts: int = 0
    started: float = field(default_factory=monotonic)


class Supervisor:
    """Starts the parts and keeps them running until a signal says stop."""

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        self._settings = settings
        self._house = settings.of(HouseSettings)
        self._environment = dict(environment)
        self._keys = keys_apart(settings)
        self._inner = settings
        self._parts: list[_Part] = []
        self._stopping = False
        self._run = ""

    def run(self) -> int:
        """Until SIGTERM or SIGINT; returns the exit status."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        try:
            if self._keys is not None:
                self._parts.append(_Part(KEYS, self._start(KEYS)))
                self._keys.wait_until_ready(self._alive)
            if not self._stopping:
                self._inner = self._keys.settings_for(self._environment) if self._keys else self._settings
                app.check_may_start(self._inner)
                app.prepare(self._inner)
                self._record_start()
            for name in () if self._stopping else DOORS:
                self._parts.append(_Part(name, self._start(name)))
            if self._stopping or not self._wait_until_ready():
                return 0
            # the worker's live checks go through the doors, so these are open first
            self._parts.append(_Part("work", self._start("work")))
            print(f"Ready: {self._house.public_url}", flush=True)
            while not self._stopping:
                self._look_after()
                time.sleep(0.2)
        finally:
            self._end()
        return 0

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "subscription_services.cli", *name.split()]
        environment = self._environment | (self._keys.variables(name) if self._keys else {})
        # a session of its own: Ctrl-C reaches us alone, and we end the parts in order
        return subprocess.Popen(command, env=environment, start_new_session=True)

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _wait_until_ready(self) -> bool:
        limit = monotonic() + READY_SECONDS
        files = app.certificate(self._house)
        url = f"https://localhost:{self._house.https_port}/health/ready"
        with httpx.Client(verify=str(files.certificate), timeout=2, trust_env=False) as client:
            while not self._stopping and monotonic() < limit:
                self._alive()
                try:
                    if client.get(url).status_code == 200:
                        return True
                except httpx.HTTPError:
                    pass
                time.sleep(0.1)
        if not self._stopping:
            raise StartError(f"The service was not ready within {READY_SECONDS} seconds; its log says why.")
        return False

    def _alive(self) -> bool:
        """Whether to go on waiting. Raises StartError when a part has ended."""
        ended = [part for part in self._parts if part.process.poll() is not None]
        if ended and ended[0].process.returncode == REFUSED:
            # it said in its own line what is to be mended
            raise SystemExit(REFUSED)
        if ended:
            raise StartError(f"The part {ended[0].name!r} ended at once; its message stands above.")
        return not self._stopping

    def _look_after(self) -> None:
        if self._keys is not None:
            self._keys.renew_certificates()
        for part in self._parts:
            status = part.process.poll()
            if status is None:
                if part.restarts and monotonic() - part.started > 60:
                    part.restarts = 0
                continue
            if monotonic() - part.started < min(2**part.restarts, 30):
                continue
            log.error("part.ended", part=part.name, status=status, restarts=part.restarts)
            part.process = self._start(part.name)
            part.restarts += 1
            part.started = monotonic()
            if part.name != KEYS:
                self._record_end(part.name, status, part.restarts - 1)

    def _end(self) -> None:
        """The doors close first, then the worker, each given time to finish; the key service when they are gone."""
        self._end_parts([part for part in self._parts if part.name != KEYS])
        if self._run:
            self._record(lambda house: monitoring.stopped(house.kernel, self._run))
        self._end_parts([part for part in self._parts if part.name == KEYS])
        if self._keys is not None:
            self._keys.withdraw()

    def _record_start(self) -> None:
        """Nothing serves before its start stands in the log."""
        present, data = app.present(self._settings), self._house.data_path
        began = app.record(self._inner, lambda house: monitoring.started(house.kernel, data, present))
        self._run = began.run
        if began.unclean:
            log.warning("service.unclean_stop", says="the run before this one ended without a stop")

    def _record_end(self, part: str, status: int, restarts: int) -> None:
        self._record(lambda house: monitoring.part_ended(house.kernel, part, status, restarts))

    def _record(self, happening: Callable[[app.House], Coroutine[Any, Any, None]]) -> None:
        """Going on or stopping does not depend on the record; what is missing is found at the next start."""
        try:
            app.record(self._inner, happening)
        except (DomainError, SQLAlchemyError, OSError) as error:
            log.error("service.unrecorded", error=type(error).__name__)

    def _end_parts(self, parts: list[_Part]) -> None:
        for part in parts:
            if part.process.poll() is None:
                part.process.terminate()
        limit = monotonic() + STOP_SECONDS
        for part in parts:
            try:
                part.process.wait(max(0.1, limit - monotonic()))
            except subprocess.TimeoutExpired:
                log.error("part.killed", part=part.name)
                part.process.kill()
                part.process.wait()


def run(environment: Mapping[str, str] | None = None) -> int:
    """Check settings, ports, keys and schema, then serve. Raises StartError, SettingsError with what to do."""
    environment = dict(os.environ if environment is None else environment)
    settings = app.read_settings(environment)
    house = settings.of(HouseSettings)
    require_free(house.host, house.https_port, "SUBS_HTTPS_PORT")
    require_free(house.host, house.http_port, "SUBS_HTTP_PORT")
    house.data_path.mkdir(mode=0o700, parents=True, exist_ok=True)
    app.certificate(house)
    return Supervisor(settings, environment).run()

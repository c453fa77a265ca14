"""A real Valkey or Redis server for tests, on a port of this machine that nobody else has."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import redis

PASSWORD = "only for tests"  # noqa: S105  the server lives as long as the tests


def find_valkey() -> str | None:
    """The server's program."""
    return shutil.which("valkey-server") or shutil.which("redis-server")


@dataclass(slots=True)
class ValkeyServer:
    """A started server without files that matter; `stop()` ends it, also when it was stopped before."""

    port: int
    directory: Path
    _process: subprocess.Popen[bytes] | None = field(default=None)

    @classmethod
    def start(cls) -> ValkeyServer:
        """Raises LookupError where there is none, RuntimeError when it does not answer."""
        server = cls(_free_port(), Path(tempfile.mkdtemp(prefix="subs-valkey-")))
        server.again()
        return server

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{self.port}/0"

    def again(self) -> None:
        """Start it, empty."""
        program = find_valkey()
        if program is None:
            raise LookupError("neither Valkey nor Redis is installed")
        options = {
            "--port": str(self.port), "--bind": "127.0.0.1", "--save": "", "--appendonly": "no",
            "--requirepass": PASSWORD, "--dir": str(self.directory), "--daemonize": "no",
        }  # fmt: skip
        command = [program, *(part for option in options.items() for part in option)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(600):
            try:
                self.ask().ping()
                return
            except redis.RedisError:
                if self._process.poll() is not None:
                    break
                time.sleep(0.05)
        raise RuntimeError("the Valkey server does not answer")

    def ensure(self) -> None:
        """Answering and empty."""
        if self._process is None:
            self.again()
        self.ask().flushall()

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def ask(self) -> Any:
        """A client."""
        return redis.Redis.from_url(self.url, socket_timeout=20)

    def pass_time(self, step: timedelta) -> None:
        """As if so much time had passed for everything that ends."""
        client, milliseconds = self.ask(), int(step.total_seconds() * 1000)
        for key in client.scan_iter():
            left = client.pttl(key)
            if left <= milliseconds:
                client.delete(key)
            else:
                client.pexpire(key, left - milliseconds)

    def stored(self) -> list[bytes]:
        return sorted(self.ask().scan_iter())


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])

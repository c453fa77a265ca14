"""The whole service as `make run` starts it, for tests that use it from outside."""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")


@dataclass(frozen=True)
class Service:
    """A running service with its stand-ins; `folder` holds its data directory and what it printed."""

    folder: Path
    process: subprocess.Popen[bytes]
    https_port: int
    http_port: int

    @property
    def url(self) -> str:
        return f"https://localhost:{self.https_port}"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def config(self) -> Path:
        return self.folder / "data-sandbox" / "subs.toml"

    @property
    def certificate(self) -> Path:
        return self.data / "tls" / "local.crt"

    @property
    def said(self) -> str:
        """Everything that was printed so far, standard output and error."""
        return (self.folder / "out").read_text() + (self.folder / "err").read_text()

    @property
    def mailbox(self) -> str:
        return self._told(r"Letters are read at (\S+)")

    @property
    def processor(self) -> str:
        found = re.search(r'^processor_url = "(.+)"$', self.config.read_text(), re.MULTILINE)
        assert found
        return found[1]

    def children(self) -> dict[int, str]:
        """Every process below the one that was started, with its command line."""
        return descendants(self.process.pid)

    def parts(self, wanted: str) -> list[int]:
        """Processes whose command line ends with these words, such as "cli serve"."""
        return [number for number, line in self.children().items() if line.endswith(wanted)]

    def client(self, address: str | None = None, **options: Any) -> httpx.Client:
        """A client that trusts the local certificate and nothing else; it comes from `address` of this machine."""
        trusted = ssl.create_default_context(cafile=str(self.certificate))
        transport = httpx.HTTPTransport(verify=trusted, local_address=address, trust_env=False)
        return httpx.Client(base_url=self.url, transport=transport, trust_env=False, timeout=20, **options)

    def letters(self, address: str) -> list[dict[str, Any]]:
        """The letters to an address, newest first, with their text and links."""
        listed = httpx.get(f"{self.mailbox}/messages.json", params={"to": address}, trust_env=False).json()
        return [
            httpx.get(f"{self.mailbox}/messages/{item['id']}.json", trust_env=False).json()
            for item in listed["messages"]
        ]

    def letter(self, address: str, subject: str, seconds: float = 20) -> dict[str, Any]:
        """Wait for a letter whose subject holds these words."""
        return eventually(
            lambda: next((item for item in self.letters(address) if subject in item["subject"]), None), seconds
        )

    def link(self, address: str, subject: str, path: str) -> str:
        """The link in a letter that leads to a path of ours."""
        letter = self.letter(address, subject)
        return str(next(link for link in letter["links"] if link.startswith(f"{self.url}{path}")))

    def processor_behaves(self, **fields: Any) -> None:
        """Make the stand-in processor harsher; without fields everything is as on a good day."""
        key = (self.folder / "data-sandbox" / "secret-key").read_text().strip()
        answer = httpx.post(
            f"{self.processor}/sandbox/behaviour", json={"reset": True, **fields}, trust_env=False,
            headers={"Authorization": f"Bearer sk_test_{key}"},
        )  # fmt: skip
        assert answer.status_code == 200, answer.text

    def mailbox_behaves(self, **fields: Any) -> None:
        """Make the stand-in mail server refuse what comes next."""
        answer = httpx.post(f"{self.mailbox}/sandbox/behaviour", json=fields, trust_env=False)
        assert answer.status_code < 300, answer.text

    def subs(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The command line of the operators, speaking of this installation."""
        return subs(*words, environment={"SUBS_CONFIG": str(self.config)})

    def stop(self) -> None:
        """SIGTERM as a terminal or an init system sends it; fails unless everything ended well and in time."""
        children = self.children()
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(40)
        finally:
            left = {number: line for number, line in children.items() if alive(number, line)}
            for number in left:
                os.kill(number, signal.SIGKILL)
        assert status == 0, self.said
        assert not left, f"still running after the stop: {left}"
        assert len(children) >= 6, children

    def _told(self, pattern: str) -> str:
        found = re.search(pattern, self.said)
        assert found, self.said
        return found[1]


def start(folder: Path, **settings: str) -> Service:
    """Start a fresh installation and wait until it says that it is ready."""
    https_port, http_port = free_ports(2)
    environment = plain_environment() | {
        "SUBS_DATA": str(folder / "data"), "SUBS_HTTPS_PORT": str(https_port), "SUBS_HTTP_PORT": str(http_port),
        "SUBS_IDENTITY_BCRYPT_COST": "6", "SUBS_ACCESS_ALONE_SECONDS": "4", **settings,
    }  # fmt: skip
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "sandbox.run"], cwd=ROOT, env=environment, stdout=out, stderr=err,
            start_new_session=True,
        )  # fmt: skip
    service = Service(folder, process, https_port, http_port)
    try:
        eventually(lambda: "Ready: " in service.said or process.poll() is not None, 180)
        assert process.poll() is None, service.said
        assert f"Ready: {service.url}\n" in service.said
    except BaseException:
        if process.poll() is None:
            process.terminate()
            process.wait(40)
        raise
    return service


def subs(*words: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """`subs` with these words, as an operator types them."""
    return subprocess.run(
        [sys.executable, "-m", "subscription_services.cli", *words], cwd=ROOT, env=plain_environment() | environment,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def plain_environment() -> dict[str, str]:
    """The environment without anything that would change the service."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("SUBS_", "SANDBOX_"))}


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(item.getsockname()[1]) for item in sockets]
    for item in sockets:
        item.close()
    return ports


def descendants(number: int) -> dict[int, str]:
    """The processes below one, by id, with their command lines."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parents.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    found: dict[int, str] = {}
    waiting = list(parents.get(number, []))
    while waiting:
        child = waiting.pop()
        found[child] = command_line(child)
        waiting.extend(parents.get(child, []))
    return found


def command_line(number: int) -> str:
    """How a process was started; empty when it is gone."""
    try:
        return (Path("/proc") / str(number) / "cmdline").read_text().replace("\0", " ").strip()
    except OSError:
        return ""


def alive(number: int, line: str) -> bool:
    """Whether this very process still runs."""
    return bool(line) and command_line(number) == line


def eventually(found: Callable[[], T | None], seconds: float = 20) -> T:
    """Ask until the answer is true; fails when it never was."""
    end = time.monotonic() + seconds
    while True:
        answer = found()
        if answer:
            return answer
        assert time.monotonic() < end, f"it did not happen within {seconds} seconds"
        time.sleep(0.1)


def unique(word: str) -> str:
    """A word that nothing else holds."""
    return f"{word}{secrets.token_hex(6)}"

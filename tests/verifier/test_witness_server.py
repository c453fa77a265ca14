"""The witness as a process of its own: HTTP, TLS, bounds, and being killed at any moment."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import subs_verifier
from subs_verifier import Key, parse_key
from subs_verifier.note import open_note
from subs_verifier.witness.state import State, make_state, watch
from tests.mail.certificate import make_certificate
from tests.verifier.building import LOG, checkpoint, consistency_file, entries_of, leaf

LEAVES = [leaf(entry) for entry in entries_of(30)]
HOME = Path(subs_verifier.__file__).parent.parent


@contextlib.contextmanager
def running(place: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`subs-witness serve` on a free port."""
    command = [sys.executable, "-m", "subs_verifier.witness.cli", "serve", "--state", str(place), "--port", "0"]
    process = subprocess.Popen(
        [*command, *options], env=os.environ | {"PYTHONPATH": str(HOME)}, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process, int(process.stdout.readline().rsplit(" ", 1)[1])
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    make_state(tmp_path / "state", "witness.example/w1")
    watch(tmp_path / "state", [parse_key(LOG.vkey)])
    return tmp_path / "state"


def post(connection: http.client.HTTPConnection, body: bytes) -> tuple[int, bytes, str]:
    connection.request("POST", "/add-checkpoint", body)
    answer = connection.getresponse()
    return answer.status, answer.read(), answer.headers["Content-Type"]


def test_over_http(place: Path) -> None:
    with running(place) as (process, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        note = checkpoint(LEAVES[:10])
        status, line, _ = post(connection, consistency_file(0, LEAVES[:10], note))
        assert status == 200
        assert post(connection, consistency_file(0, LEAVES, checkpoint(LEAVES)))[::2] == (409, "text/x.tlog.size")
        connection.request("GET", f"/{hashlib.sha256(LOG.name.encode()).hexdigest()}/checkpoint")
        shown = connection.getresponse()
        assert (shown.status, shown.read()) == (200, note + line)
        for method, path in (("GET", "/"), ("GET", "/../key/checkpoint"), ("POST", "/other")):
            connection.request(method, path, b"" if method == "POST" else None)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 404
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("POST /add-checkpoint HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", "413"),
        ("POST /add-checkpoint HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "411"),
        ("POST /add-checkpoint HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", "411"),
        ("POST /add-checkpoint HTTP/1.1\r\n\r\n", "411"),
        ("DELETE / HTTP/1.1\r\n\r\n", "501"),
        ("GET /" + "x" * 70_000 + " HTTP/1.1\r\n\r\n", "414"),
        ("POST /add-checkpoint HTTP/1.1\r\nContent-Length: 3\r\n\r\n\xff\xff\xff", "400"),
    ],
)
def test_bad_requests(place: Path, head: str, status: str) -> None:
    with running(place) as (_, port), socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(head.encode("latin-1"))
        assert connection.recv(100).split(b" ")[1].decode() == status


def test_over_tls(place: Path, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    with running(place, "--certificate", str(certificate), "--private-key", str(key)) as (_, port):
        # a client that never finishes its handshake holds nobody up
        with socket.create_connection(("127.0.0.1", port)):
            context = ssl.create_default_context(cafile=str(certificate))
            connection = http.client.HTTPSConnection("localhost", port, timeout=30, context=context)
            assert post(connection, consistency_file(0, LEAVES, checkpoint(LEAVES)))[0] == 200
        old = ssl.create_default_context(cafile=str(certificate))
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(OSError):
            http.client.HTTPSConnection("localhost", port, timeout=30, context=old).connect()


class Crowd:
    """Clients of one log that all extend it by entries of their own, so that every size has forks."""

    def __init__(self, key: Key) -> None:
        self.key = key
        self.cosigned: dict[int, set[bytes]] = defaultdict(set)
        self._asked: dict[int, list[list[bytes]]] = defaultdict(list)
        self._longest: list[bytes] = []
        self.answers = threading.Semaphore(0)

    def ask(self, port: int, client: int) -> None:
        """Until the witness is gone."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        with contextlib.suppress(OSError, http.client.HTTPException):
            while True:
                known = self._longest
                grown = [*known, leaf(b"%d of %d" % (len(known), client))]
                self._asked[len(grown)].append(grown)
                status, size = self._post(connection, len(known), grown)
                if status == 409 and size > len(self._longest):
                    # the answer was lost or is on its way to somebody else: find out which fork it was
                    for fork in list(self._asked[size]):
                        self._post(connection, size, fork)

    def _post(self, connection: http.client.HTTPConnection, old: int, leaves: list[bytes]) -> tuple[int, int]:
        note = checkpoint(leaves)
        status, body, _ = post(connection, consistency_file(old, leaves, note))
        if status == 200:
            open_note(note + body, [self.key])
            self.cosigned[len(leaves)].add(note)
            self._longest = max(self._longest, leaves, key=len)
            self.answers.release()
        return status, int(body) if status == 409 else 0


def test_killed_at_any_moment_it_never_cosigns_two_roots(place: Path) -> None:
    state = State(place)
    crowd = Crowd(state.witness.key)
    state.close()
    chance = random.Random(7)
    for _ in range(6):
        with running(place) as (process, port):
            clients = [threading.Thread(target=crowd.ask, args=(port, number)) for number in range(4)]
            for client in clients:
                client.start()
            for _ in range(chance.randint(1, 25)):
                assert crowd.answers.acquire(timeout=60)
            process.kill()
            for client in clients:
                client.join()
    assert len(crowd.cosigned) >= 6
    assert [size for size, notes in crowd.cosigned.items() if len(notes) != 1] == []

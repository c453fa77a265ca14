"""The key service goes away, hangs, is killed and comes back; its clients wait, refuse, and go on."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from subscription_services.kernel.clock import system_random
from subscription_services.keys import KeyRing, KeySettings, KeyUnavailable, Kind, SubjectErased
from subscription_services.keys.certificates import SERVER
from subscription_services.keys.remote import RemoteKeyService

from .listening import Listening, everything, free_port, listening, process


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Listening]:
    with listening(tmp_path) as found:
        yield found


def eventually(check: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, f"it did not happen within {seconds} seconds"
        time.sleep(0.02)


def fails(work: Callable[[], object]) -> bool:
    try:
        work()
    except KeyUnavailable:
        return True
    return False


def test_a_service_that_is_not_there_is_named_at_start_with_what_to_do(house: Listening) -> None:
    house.stop()
    with pytest.raises(KeyUnavailable, match=f"127.0.0.1:{house.port} cannot be used: nothing listens there. See that"):
        house.client(patience=0.1)


def test_a_request_waits_out_a_restart(house: Listening) -> None:
    client = house.client(patience=30.0, call_seconds=30.0)
    client.create("identity", Kind.SUBJECT, "subject", "acc_1")
    house.stop()
    back = threading.Timer(0.5, house.start)
    back.start()
    began = time.monotonic()
    assert client.open("identity", Kind.SUBJECT, "acc_1").version == 1
    assert time.monotonic() - began >= 0.3
    back.join()


def test_after_the_patience_requests_fail_at_once_and_recover_by_themselves(house: Listening) -> None:
    client = house.client(patience=0.3)
    client.create("identity", Kind.SUBJECT, "subject", "acc_1")
    house.stop()
    assert fails(lambda: client.open("identity", Kind.SUBJECT, "acc_1"))
    began = time.monotonic()
    for _ in range(50):
        with pytest.raises(KeyUnavailable, match="not answering"):
            client.open("identity", Kind.SUBJECT, "acc_1")
    assert time.monotonic() - began < 1
    house.start()
    eventually(lambda: not fails(lambda: client.open("identity", Kind.SUBJECT, "acc_1")))


def test_unwrapped_keys_bridge_a_short_outage_and_are_not_used_in_a_long_one(house: Listening) -> None:
    settings = house.client_settings(trust_cache=3.0, patience=0.1)
    ring = KeyRing(house.client(trust_cache=3.0, patience=0.1), settings, system_random, time.monotonic)
    keys = ring.for_caller("identity")
    keys.ensure_subject("acc_1")
    sealed = keys.seal("acc_1", "f", "r", b"x")
    mac = keys.mac("identity.link", b"m")
    stopped = time.monotonic()
    house.stop()
    while time.monotonic() < stopped + 1.0:
        assert keys.unseal("acc_1", "f", "r", sealed) == b"x"
    eventually(lambda: fails(lambda: keys.unseal("acc_1", "f", "r", sealed)), 15)
    assert time.monotonic() - stopped >= 2
    assert fails(lambda: keys.seal("acc_1", "f", "r", b"x"))
    # nobody can be erased from a code: these go on
    keys.verify_mac("identity.link", b"m", mac)
    house.start()
    eventually(lambda: not fails(lambda: keys.unseal("acc_1", "f", "r", sealed)))


def test_who_is_cut_off_misses_no_erasure_afterwards(house: Listening) -> None:
    settings = house.client_settings()
    rings = [KeyRing(house.client(), settings, system_random, time.monotonic) for _ in range(2)]
    first, second = rings[0].for_caller("identity"), rings[1].for_caller("identity")
    first.ensure_subject("acc_1")
    sealed = first.seal("acc_1", "f", "r", b"x")
    assert second.unseal("acc_1", "f", "r", sealed) == b"x"
    rings[0].for_caller("privacy").destroy_subject("acc_1", "asked for it")
    destroyed = time.monotonic()

    def gone() -> bool:
        try:
            second.unseal("acc_1", "f", "r", sealed)
        except SubjectErased:
            return True
        return False

    eventually(gone)
    # the notice of the ring and that of its connection, and room for a busy machine
    assert time.monotonic() - destroyed < 2 * 0.25 + 1


def test_the_generation_is_asked_without_the_network(house: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    client = house.client()
    tries, once = itertools.count(), RemoteKeyService._once
    monkeypatch.setattr(RemoteKeyService, "_once", lambda *given: (next(tries), once(*given))[1])
    end, asked = time.monotonic() + 0.7, 0
    while time.monotonic() < end:
        asked += client.generation() == 0
    # the watcher may come late on a busy machine, and then the caller looks for itself
    assert next(tries) * 50 < asked


def test_a_service_that_hangs_is_given_up_in_time(house: Listening) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = KeySettings(call_seconds=0.5, patience=0.2)
        house.settings = settings
        house.port, port = silent.getsockname()[1], house.port
        began = time.monotonic()
        with pytest.raises(KeyUnavailable):
            house.client()
        assert time.monotonic() - began < 5
        house.port = port


def test_many_threads_share_few_connections(house: Listening) -> None:
    client = house.client(connections=3)
    for number in range(8):
        client.create("identity", Kind.SUBJECT, "subject", f"acc_{number}")
    alone = {number: client.open("identity", Kind.SUBJECT, f"acc_{number}").material for number in range(8)}
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda n: client.open("identity", Kind.SUBJECT, f"acc_{n % 8}").material, range(200)))
    assert found == [alone[n % 8] for n in range(200)]
    assert house.listener is not None
    assert len(house.listener._open) <= 3 + 1


def test_a_closed_client_and_a_forked_one_give_nothing(house: Listening) -> None:
    client = house.client()
    child = os.fork()
    if child == 0:
        os._exit(7 if fails(client.generation) and fails(lambda: client.tombstones("backups")) else 0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    client.close()
    assert fails(client.generation)
    assert fails(lambda: client.tombstones("backups"))


def test_renewed_certificates_are_taken_up_without_a_restart(house: Listening) -> None:
    client = house.client()
    for name in ("web", SERVER):
        before = (house.authority.directory / f"{name}.crt").read_bytes()
        (house.authority.directory / f"{name}.crt").unlink()
        house.authority.issue(name, house.clock(), server=name == SERVER)
        assert (house.authority.directory / f"{name}.crt").read_bytes() != before
    assert house.client().generation() == 0
    house.stop()
    house.start()
    assert client.tombstones("backups") == ()


def test_killed_in_the_middle_of_requests_nothing_that_was_acknowledged_is_lost(tmp_path: Path) -> None:
    house = Listening(tmp_path)
    house.port = free_port()
    told: list[str] = []
    with process(house) as running:
        client = house.client(patience=60.0, call_seconds=60.0)
        stop = threading.Event()

        def make() -> None:
            while not stop.is_set():
                client.create("identity", Kind.SUBJECT, "subject", f"acc_{len(told)}")
                told.append(f"acc_{len(told)}")

        maker = threading.Thread(target=make)
        maker.start()
        eventually(lambda: len(told) > 20, 180)
        running.kill()
        running.wait(10)
        before = len(told)
        with process(house) as again:
            eventually(lambda: len(told) > before + 20, 180)
            stop.set()
            maker.join(60)
            for subject in told:
                assert client.open("identity", Kind.SUBJECT, subject).version == 1
            again.send_signal(signal.SIGTERM)
            assert again.wait(20) == 0
    house.close()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"SUBS_KEYS_AUTHORITY": ""}, "SUBS_KEYS_AUTHORITY is not set"),
        ({"SUBS_KEYS_CERTIFICATE": "/nowhere"}, "SUBS_KEYS_CERTIFICATE names /nowhere"),
        ({"SUBS_KEYS_ALLOW": ""}, "SUBS_KEYS_ALLOW is not set"),
        ({"SUBS_KEYS_ALLOW": "/nowhere"}, "allow list"),
        ({"SUBS_KEYS_LISTEN": "nonsense"}, "SUBS_KEYS_LISTEN"),
    ],
)
def test_it_refuses_to_start_and_says_why(tmp_path: Path, change: dict[str, str], says: str) -> None:
    house = Listening(tmp_path)
    with process(house, **change) as running:
        _, error = running.communicate(timeout=60)
        assert running.returncode == 2
        assert error.startswith("subs: ")
        assert says in error
        assert not (tmp_path / "keys" / "root.key").exists() or "LISTEN" in says


def test_an_authority_that_holds_no_certificate_is_refused_at_start(tmp_path: Path) -> None:
    house = Listening(tmp_path)
    empty = tmp_path / "empty.crt"
    empty.touch()
    with process(house, SUBS_KEYS_AUTHORITY=str(empty)) as running:
        _, error = running.communicate(timeout=60)
        assert (running.returncode, "authority" in error) == (2, True)


def test_an_empty_allow_list_starts(tmp_path: Path) -> None:
    house = Listening(tmp_path)
    house.allow()
    house.port = free_port()
    with process(house) as running:
        assert running.stderr is not None
        assert '"clients": 0' in running.stderr.readline()
        house.allow(everything(house.authority.identity("web")))
    house.close()

"""One sequencer leads; when its process dies another takes over by itself, and the log stays one."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

import pytest

from subscription_services.storage.lease import Lease

from .conftest import Bench, opened

CHECKOUT = Path(__file__).parents[2]
LIMIT = 60.0


@contextmanager
def sequencer(place: Path, database: str) -> Iterator[tuple[subprocess.Popen[str], Queue[str]]]:
    """A process, and the lines that it says."""
    command = [sys.executable, "-m", "tests.ledger.lease_child", str(place), database]
    said: Queue[str] = Queue()
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as child:

        def listen() -> None:
            assert child.stdout is not None
            for line in child.stdout:
                said.put(line.strip())

        listener = threading.Thread(target=listen)
        listener.start()
        try:
            assert said.get(timeout=LIMIT) == "started"
            yield child, said
        finally:
            child.kill()
            listener.join()


@pytest.mark.timeout(180)
def test_the_next_takes_over_from_a_killed_one_and_no_index_is_given_twice(tmp_path: Path, database: str) -> None:
    for bench in opened(tmp_path, database):
        with sequencer(tmp_path, database) as (first, said):
            assert said.get(timeout=LIMIT) == "leads"
            bench.append_many(20)
            wait_for(bench, 20)
            with sequencer(tmp_path, database) as (_, later):
                events = bench.append_many(30)
                wait_for(bench, 50)
                assert later.empty()
                first.kill()
                # while nobody leads, events are written all the same
                events += bench.append_many(30)
                assert later.get(timeout=LIMIT) == "leads"
                wait_for(bench, 80)
        assert bench.verify().size == 80
        indexes = [bench.find(event).log_index for event in events]
        assert indexes == list(range(20, 80))


@pytest.mark.postgres
@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_a_lost_session_is_a_lost_lease(bench: Bench) -> None:
    mine, other = bench.store.lease("ledger.test"), bench.store.lease("ledger.test")
    assert [mine.hold(), mine.hold(), other.hold()] == [True, True, False]
    ended = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
    assert bench.sql(ended) == [(True,)]
    assert not mine.hold()
    takes(other)
    assert not mine.hold()
    other.release()
    takes(mine)
    mine.release()


def test_a_lease_that_was_let_go_is_free(bench: Bench) -> None:
    mine, other = bench.store.lease("ledger.test"), bench.store.lease("ledger.test")
    assert [mine.hold(), other.hold()] == [True, False]
    mine.release()
    assert [other.hold(), mine.hold(), bench.store.lease("ledger.else").hold()] == [True, False, True]
    other.release()


def takes(lease: Lease) -> None:
    """Within a moment: a server notices the end of a session a little later."""
    limit = time.monotonic() + LIMIT
    while not lease.hold():
        assert time.monotonic() < limit
        time.sleep(0.02)


def wait_for(bench: Bench, size: int) -> None:
    """Until a checkpoint of so many entries is published."""
    limit = time.monotonic() + LIMIT
    while bench.sql("SELECT coalesce(max(size), 0) FROM ledger_checkpoint") < [(size,)]:
        assert time.monotonic() < limit
        time.sleep(0.02)

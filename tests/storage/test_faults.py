"""What must survive: kill -9 under load, several processes at once, a disk that fills up."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select

from subscription_services.ledger.sequencer import sequence
from subscription_services.ledger.verify import verify_log
from subscription_services.testing import World

from .sample import OPERATIONS, sample

ROOT = Path(__file__).parents[2]


@contextmanager
def load(data: Path, database: str, name: str, limit: int = 0) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.storage.load", str(data), database, name]

    def bound() -> None:
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, preexec_fn=bound) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        try:
            yield process
        finally:
            process.kill()


def prepare(data: Path, database: str) -> None:
    with World.open(data, database, more=OPERATIONS) as world:
        sample.metadata.create_all(world.house.store.write_engine)


def acknowledged(process: subprocess.Popen[str]) -> set[str]:
    """Whole lines only: what was cut off was not acknowledged."""
    assert process.stdout is not None
    return {line.strip() for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")}


def check_agreement(data: Path, database: str, said: set[str]) -> int:
    """Every acknowledged number is there, none is half there, and the log has exactly one entry for each."""
    with World.open(data, database, more=OPERATIONS) as world:
        with world.house.store.reading() as connection:
            kept = set(connection.execute(select(sample.c.id)).scalars())
        logged = [e.object for e in world.events("kernel.keep") if e.outcome == "success"]
        assert said <= kept
        assert len(logged) == len(set(logged))
        assert set(logged) == kept
        world.run(sequence(world.house.store, world.house.log, world.clock))
        assert verify_log(world.house.store, world.house.log).waiting == 0
        return len(kept)


def test_kill_during_load_loses_nothing_that_was_acknowledged(place: tuple[Path, str]) -> None:
    data, database = place
    prepare(data, database)
    said: set[str] = set()
    for round_ in range(2):
        with load(data, database, f"r{round_}") as process:
            time.sleep(1.2)
            process.kill()
            said |= acknowledged(process)
    assert len(said) > 50
    assert check_agreement(data, database, said) >= len(said)


def test_several_processes_write_without_starving_each_other(place: tuple[Path, str]) -> None:
    data, database = place
    prepare(data, database)
    with load(data, database, "a") as first, load(data, database, "b") as second, load(data, database, "c") as third:
        time.sleep(3)
        for process in (first, second, third):
            process.kill()
        counts = [len(acknowledged(process)) for process in (first, second, third)]
    assert min(counts) > 20
    assert min(counts) * 8 > max(counts), counts


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)  # a server's disk is not this process's to fill
def test_a_full_disk_is_a_clear_error_and_nothing_is_corrupt(place: tuple[Path, str]) -> None:
    data, database = place
    prepare(data, database)
    size = max(path.stat().st_size for path in data.rglob("*") if path.is_file())
    with load(data, database, "full", limit=size + 400_000) as process:
        lines = acknowledged(process)
        process.wait(30)
    assert "! StoreFull" in lines, sorted(lines)[:5]
    said = {line for line in lines if line.startswith("num_")}
    assert said
    check_agreement(data, database, said)

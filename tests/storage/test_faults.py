"""What must survive: kill -9 under load, several processes at once, a disk that fills up."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import select

from subscription_services.ledger.sequencer import sequence
from subscription_services.ledger.verify import verify_log
from subscription_services.testing import World

from .sample import OPERATIONS, sample

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Load:
    """A process under load; what it says goes to a file, because a full pipe would stop it."""

    process: subprocess.Popen[str]
    out: Path

    def acknowledged(self) -> set[str]:
        """Whole lines only: what was cut off was not acknowledged."""
        lines = self.out.read_text().splitlines(keepends=True)
        return {line.strip() for line in lines if line.endswith("\n")} - {"started"}

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def load(data: Path, database: str, name: str, limit: int = 0) -> Iterator[Load]:
    command = [sys.executable, "-m", "tests.storage.load", str(data), database, name]
    out = data.parent / f"{name}.out"

    def bound() -> None:
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    with out.open("w") as file:
        process = subprocess.Popen(command, stdout=file, text=True, cwd=ROOT, preexec_fn=bound)
    running = Load(process, out)
    try:
        end = time.monotonic() + 180
        while "started\n" not in out.read_text():
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        yield running
    finally:
        running.kill()


def prepare(data: Path, database: str) -> None:
    with World.open(data, database, more=OPERATIONS) as world:
        sample.metadata.create_all(world.house.store.write_engine)


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
        with load(data, database, f"r{round_}") as running:
            time.sleep(1.2)
            running.kill()
            said |= running.acknowledged()
    assert len(said) > 50
    assert check_agreement(data, database, said) >= len(said)


def test_several_processes_write_without_starving_each_other(place: tuple[Path, str]) -> None:
    data, database = place
    prepare(data, database)
    names = ("a", "b", "c")
    with load(data, database, "a"), load(data, database, "b"), load(data, database, "c"):
        before = kept_by(data, database, names)
        time.sleep(3)
        after = kept_by(data, database, names)
    counts = [after[name] - before[name] for name in names]
    assert min(counts) > 10
    assert min(counts) * 8 > max(counts), counts


def kept_by(data: Path, database: str, names: tuple[str, ...]) -> dict[str, int]:
    """How many numbers each process has kept so far."""
    with World.open(data, database, more=OPERATIONS) as world, world.house.store.reading() as connection:
        ids = list(connection.execute(select(sample.c.id)).scalars())
    return {name: sum(item.startswith(f"num_{name}_") for item in ids) for name in names}


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)  # a server's disk is not this process's to fill
def test_a_full_disk_is_a_clear_error_and_nothing_is_corrupt(place: tuple[Path, str]) -> None:
    data, database = place
    prepare(data, database)
    size = max(path.stat().st_size for path in data.rglob("*") if path.is_file())
    with load(data, database, "full", limit=size + 400_000) as running:
        running.process.wait(60)
        lines = running.acknowledged()
    assert "! StoreFull" in lines, sorted(lines)[:5]
    said = {line for line in lines if line.startswith("num_")}
    assert said
    check_agreement(data, database, said)

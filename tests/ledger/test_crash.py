"""kill -9 while events are appended, sequenced and signed: what was acknowledged is there, and the log verifies."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from subscription_services.ledger.queries import find_event

from .conftest import opened

CHECKOUT = Path(__file__).parents[2]


@pytest.mark.timeout(120)
def test_a_killed_log_goes_on_where_it_was(tmp_path: Path, database: str) -> None:
    acknowledged: list[str] = []
    for lifetime in (0.05, 0.15, 0.3, 0.5):
        acknowledged += run_and_kill(tmp_path, database, lifetime)
        for bench in opened(tmp_path, database):
            waiting = bench.verify()
            bench.sequence()
            verified = bench.verify()
            assert verified.waiting == 0
            assert waiting.size + waiting.waiting == verified.size >= len(acknowledged)
            found = [bench.read(lambda c, i=identifier: find_event(c, i)) for identifier in acknowledged]  # type: ignore[misc]
            assert all(item.log_index is not None for item in found)
    assert len(acknowledged) > 20


def run_and_kill(place: Path, database: str, lifetime: float) -> list[str]:
    """The ids acknowledged before the end; the process dies `lifetime` seconds after its first one."""
    command = [sys.executable, "-m", "tests.ledger.crash_child", str(place), database]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        first = child.stdout.readline()
        time.sleep(lifetime)
        child.kill()
        lines = [first, *child.stdout.readlines()]
    return [line.strip() for line in lines if line.endswith("\n")]

"""Every access is recorded or refused: full disks, a stuck log, callers that were restricted."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from subscription_services.keys import (
    DEFAULT_POLICY,
    CallerKeys,
    Denial,
    JournalEntry,
    KeyConflict,
    KeyPolicyRefused,
    KeySettings,
    KeyUnavailable,
    Kind,
    Outcome,
    Verb,
)
from subscription_services.keys.journal import UNACKNOWLEDGED

from .conftest import House

ROOT = Path(__file__).parents[2]


def taken(house: House) -> list[JournalEntry]:
    found: list[JournalEntry] = []
    while batches := house.keys("ledger").drain_journal(10_000):
        for batch in batches:
            found += batch.entries
            house.keys("ledger").acknowledge(batch.id)
    return found


def test_a_stuck_log_leaves_a_bounded_journal_in_which_every_access_is_counted(house: House) -> None:
    house.settings = KeySettings(journal_entries=200, journal_window=1)
    house.keys().ensure_subject("acc_1")
    ledger = house.keys("ledger")
    for _ in range(3):
        ledger.drain_journal(10)
    with capture_logs() as logs:
        for number in range(600):
            if number % 5 == 0:
                with pytest.raises(KeyPolicyRefused):
                    house.keys("mail").ensure_subject(f"invented_{number}")
            ledger.sign("ledger.checkpoint", b"x")
            house.pass_time(1)
    waiting = house.keys("keys").states().journal
    assert waiting.waiting <= 200 + 200
    assert waiting.folded
    assert any(entry["event"] == "journal.folded" and entry["log_level"] == "error" for entry in logs)
    entries = taken(house)
    assert sum(e.count for e in entries if e.verb is Verb.SIGN) == 600
    assert sum(e.count for e in entries if e.outcome is Outcome.REFUSED) == 120
    signed = [e for e in entries if e.verb is Verb.SIGN]
    assert (max(e.last_at for e in signed) - min(e.first_at for e in signed)).total_seconds() == 599
    assert house.keys("keys").states().journal.waiting <= 3


def test_what_is_never_acknowledged_is_not_given_out_in_ever_more_batches(house: House) -> None:
    ledger = house.keys("ledger")
    for number in range(50):
        house.keys().ensure_subject(f"acc_{number}")
        found = ledger.drain_journal(5)
    assert len(found) == UNACKNOWLEDGED
    assert {e.name for e in taken(house)} >= {f"acc_{number}" for number in range(50)}


def break_journal(house: House, broken: bool) -> None:
    with house.direct() as store:
        if broken:
            store.execute("CREATE TRIGGER full BEFORE INSERT ON journal BEGIN SELECT RAISE(ABORT, 'no room'); END")
        else:
            store.execute("DROP TRIGGER full")


def test_when_accesses_cannot_be_recorded_there_is_an_alarm_and_a_record_of_it_afterwards(house: House) -> None:
    keys = house.keys()
    keys.ensure_subject("acc_1")
    sealed = keys.seal("acc_1", "f", "r", b"x")
    house.close()
    keys = house.keys()
    taken(house)
    break_journal(house, broken=True)
    attempts: list[Callable[[], object]] = [
        lambda: keys.unseal("acc_1", "f", "r", sealed), lambda: house.keys("keys").rotate("subject"),
        lambda: house.keys("privacy").destroy_subject("acc_1", "r"),
    ]  # fmt: skip
    with capture_logs() as logs:
        for attempt in attempts:
            with pytest.raises(KeyUnavailable):
                attempt()
    assert [(e["event"], e["log_level"]) for e in logs] == [("audit.unwritable", "error")]
    break_journal(house, broken=False)
    with capture_logs() as logs:
        assert keys.unseal("acc_1", "f", "r", sealed) == b"x"
    assert [(e["event"], e["turned_away"]) for e in logs] == [("audit.writable", 3)]
    (told,) = [e for e in taken(house) if e.name.startswith("unwritable-since-")]
    assert (told.outcome, told.count) == (Outcome.FAILED, 3)
    with house.direct() as store:
        assert store.execute("SELECT max(version) FROM kek WHERE purpose = 'subject'").fetchone() == (1,)


def test_ready_says_whether_an_access_could_be_recorded(house: House) -> None:
    ring = house.ring()
    service = ring.service
    service.ready()
    ring.check_ready()
    with house.direct() as store:
        store.execute("CREATE TRIGGER full BEFORE INSERT ON meta BEGIN SELECT RAISE(ABORT, 'no room'); END")
    service.ready()
    service._ready_at = float("-inf")  # type: ignore[attr-defined]
    with pytest.raises(KeyUnavailable):
        service.ready()
    ring.check_ready()
    house.pass_time(1)
    with pytest.raises(KeyUnavailable):
        ring.check_ready()


def test_a_restriction_takes_away_at_once_even_what_is_in_memory_and_can_be_taken_back(house: House) -> None:
    billing, other = house.keys("billing"), house.ring().for_caller("billing")
    billing.ensure_subject("acc_1")
    sealed = billing.seal("acc_1", "f", "r", b"x")
    assert other.unseal("acc_1", "f", "r", sealed) == b"x"
    operator = house.keys("keys")
    operator.restrict(
        [Denial("billing", None, Kind.SUBJECT, "subject"), Denial("mail", Verb.SIGN, Kind.SIGN, "mail.*")]
    )
    house.pass_time(1)
    attempts: list[Callable[[CallerKeys], object]] = [
        lambda k: k.unseal("acc_1", "f", "r", sealed), lambda k: k.seal("acc_1", "f", "r", b"y"),
        lambda k: k.ensure_subject("acc_2"), lambda k: k.ensure_subject("acc_1"),
    ]  # fmt: skip
    for keys in (billing, other):
        for attempt in attempts:
            with pytest.raises(KeyPolicyRefused):
                attempt(keys)
    assert house.keys("identity").unseal("acc_1", "f", "r", sealed) == b"x"
    billing.ensure_subject("accounting", "accounting")
    with pytest.raises(KeyPolicyRefused):
        house.keys("mail").sign("mail.dkim", b"x")
    assert len(operator.restrictions()) == 2
    operator.restrict([])
    house.pass_time(1)
    assert other.unseal("acc_1", "f", "r", sealed) == b"x"


def test_no_restriction_widens_and_none_locks_everybody_out(house: House) -> None:
    operator = house.keys("keys")
    for wrong in (
        Denial("keys", None, None, "*"),
        Denial("keys", Verb.POLICY, None, "policy"),
        Denial("x", None, None, "*"),
    ):
        with pytest.raises(KeyConflict):
            operator.restrict([wrong])
    every = [Denial(caller, None, kind, "*") for caller in DEFAULT_POLICY.callers if caller != "keys" for kind in Kind]
    operator.restrict(every)
    house.pass_time(1)
    for caller in DEFAULT_POLICY.callers:
        with pytest.raises(KeyPolicyRefused):
            house.keys(caller).ensure_subject("acc_1")
    operator.restrict([])
    house.pass_time(1)
    house.keys("identity").ensure_subject("acc_1")
    with pytest.raises(KeyPolicyRefused):
        house.keys("mail").ensure_subject("acc_2")


def run_full_disk(place: Path, *words: str) -> str:
    """A process of its own on a file system of 2 MiB; where none can be mounted, with a bound on the size of files."""
    script = [sys.executable, "-m", "tests.keys.full_disk", str(place), *words]
    mounted = [
        "unshare",
        "-rm",
        "sh",
        "-c",
        'mount -t tmpfs -o size=2m tmpfs "$1" && shift && exec "$@"',
        "sh",
        str(place),
    ]
    may_mount = False
    with suppress(OSError, subprocess.SubprocessError):
        may_mount = subprocess.run([*mounted, "true"], capture_output=True, timeout=20, check=False).returncode == 0
    command = [*mounted, *script, "mounted"] if may_mount else [*script, "bounded"]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, timeout=120, env=dict(os.environ), check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def test_a_full_disk_leaves_all_or_nothing_and_everything_works_again(tmp_path: Path) -> None:
    said = run_full_disk(tmp_path, "requests")
    assert "full: refused\n" in said
    assert "afterwards: all works" in said


def test_a_disk_that_the_stores_own_log_filled_comes_free_by_itself(tmp_path: Path) -> None:
    assert "own log: came out of it" in run_full_disk(tmp_path, "own-log")

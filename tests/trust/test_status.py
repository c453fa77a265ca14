"""Runs are recorded as events, and what the page says follows from them and the clock alone."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from subscription_services import trust
from subscription_services.jobs import run_due
from subscription_services.kernel.actors import Anonymous, Role, TeamMember
from subscription_services.kernel.checks import Check, Doors, Finding, Verdict
from subscription_services.kernel.errors import DomainError, NotFound, Refusal
from subscription_services.kernel.perform import perform
from subscription_services.kernel.ports import Writer
from subscription_services.ledger.sequencer import sequence
from subscription_services.testing import World
from subscription_services.trust import operations
from subscription_services.trust.model import RUNS_KEPT
from subscription_services.trust.proof import ProvedRun
from subscription_services.trust.queries import PromiseStatus, TrustStatus
from tests.trust.served import room


def check(promise: str, finding: Finding | Exception, every: int = 300) -> Check:
    async def run(doors: Doors) -> Finding:
        if isinstance(finding, Exception):
            raise finding
        return finding

    return Check(promise, f"We look at {promise}.", run, timedelta(seconds=every))


KEPT = Finding(Verdict.KEPT, "All is well.", {"things_seen": 3, "how": "well"})
BROKEN = Finding(Verdict.BROKEN, "It is not so.")


class Room:
    """The room on a world; the jobs of its checks are run by hand."""

    def __init__(self, world: World, *checks: Check) -> None:
        self.world = world
        self.kernel, self.outbox, self.register = room(world, checks)

    def do(self, name: str, request: msgspec.Struct, actor: Any = None) -> Any:
        found = self.kernel.registry.get(name)
        assert found is not None
        return self.world.run(perform(self.kernel, found, actor or Anonymous(), request))

    def run(self) -> None:
        """Run every check once, as the schedule would."""

        async def all_of_them() -> None:
            for schedule in trust.schedules(self.register):
                job = schedule.make(self.kernel.clock())
                await self.kernel.store.write(Writer.OUTBOX, partial(self._add, job))
            while await run_due(self.kernel, self.outbox, "test"):
                pass

        self.world.run(all_of_them())

    def _add(self, job: msgspec.Struct, connection: Connection) -> str:
        return self.outbox.add(connection, job, now=self.kernel.clock(), run_at=None, key=None)

    def status(self) -> TrustStatus:
        found: TrustStatus = self.do("trust.status", operations.ReadStatus())
        return found

    def of(self, promise: str) -> PromiseStatus:
        return next(item for item in self.status().promises if item.id == promise)


def test_a_new_house_claims_nothing(world: World) -> None:
    status = Room(world).status()
    assert len(status.promises) == 66
    assert status.summary == {"kept": 0, "broken": 0, "could_not_check": 0, "stale": 0, "not_built": 66}


def test_each_run_is_an_event_in_the_log_with_its_finding(world: World) -> None:
    here = Room(world, check("transit.tls13", KEPT), check("transit.https", BROKEN))
    here.run()
    kept, broken = here.of("transit.tls13"), here.of("transit.https")
    assert (kept.state, kept.finding, kept.checked_at) == ("kept", "All is well.", world.clock())
    assert kept.evidence == {"things_seen": 3, "how": "well"}
    assert (broken.state, broken.finding) == ("broken", "It is not so.")
    events = {event.object: event for event in world.events("trust.record_run")}
    assert kept.event is not None
    event = events[kept.event.object]
    assert event.details["promise"] == "transit.tls13"
    assert event.details["verdict"] == "kept"
    assert event.details["evidence.things_seen"] == 3
    assert here.status().summary["not_built"] == 64


def test_a_good_run_turns_stale_by_time_alone(world: World) -> None:
    here = Room(world, check("transit.tls13", KEPT))
    here.run()
    world.clock.advance(minutes=15)
    assert here.of("transit.tls13").state == "kept"
    world.clock.advance(seconds=1)
    assert here.of("transit.tls13").state == "stale"
    world.clock.advance(hours=-2)
    assert here.of("transit.tls13").state == "stale"


def test_a_check_that_raises_could_not_check_and_its_words_stay_out(world: World) -> None:
    here = Room(world, check("transit.tls13", RuntimeError("ada@example.org")))
    here.run()
    found = here.of("transit.tls13")
    assert found.state == "could_not_check"
    assert found.evidence == {"error": "RuntimeError"}
    assert b"ada@" not in msgspec.json.encode(here.status())
    assert b"ada@" not in msgspec.json.encode(world.events())


def test_a_check_that_could_not_be_carried_out_is_tried_again_soon(world: World) -> None:
    findings: list[Finding | Exception] = [KEPT, ConnectionRefusedError()]

    async def run(doors: Doors) -> Finding:
        found = findings.pop()
        if isinstance(found, Exception):
            raise found
        return found

    here = Room(world, Check("rest.aes256", "We look.", run, timedelta(hours=1)))
    here.run()
    assert here.of("rest.aes256").state == "could_not_check"
    world.clock.advance(seconds=20)
    assert world.run(run_due(here.kernel, here.outbox, "test")) == 1
    assert here.of("rest.aes256").state == "kept"


def test_a_wordy_check_is_cut_short_and_still_recorded(world: World) -> None:
    figures: dict[str, str | int] = {f"figure {number} {'x' * 90}": "y" * 900 for number in range(60)}
    here = Room(world, check("transit.tls13", Finding(Verdict.BROKEN, "z" * 2000, figures)))
    here.run()
    found = here.of("transit.tls13")
    assert found.state == "broken"
    assert len(found.finding) == 1000
    assert len(found.evidence) == 40


def test_a_check_has_a_time_limit(world: World) -> None:
    async def sleep(doors: Doors) -> Finding:
        await asyncio.sleep(30)
        return KEPT

    kernel, _, _ = room(world)
    doors = Doors(kernel, world.house.settings, "", "", "")
    found = world.run(trust.run_check(Check("transit.tls13", "how", sleep), doors, 0.05))
    assert found.verdict is Verdict.COULD_NOT_CHECK
    assert "stopped" in found.says


def test_a_removed_check_is_not_built_any_more_and_the_log_says_who_removed_it(world: World) -> None:
    here = Room(world, check("transit.tls13", KEPT), check("transit.https", KEPT))
    here.run()
    assert len(world.events("trust.declare_checks")) == 1
    world.clock.advance(minutes=1)
    fewer = Room(world, check("transit.https", KEPT))
    fewer.run()
    assert fewer.of("transit.tls13").state == "not_built"
    assert world.events("trust.declare_checks")[-1].details["removed"] == ["transit.tls13"]


def test_declaring_the_same_checks_again_writes_nothing(world: World) -> None:
    here = Room(world, check("transit.tls13", KEPT))
    here.run()
    here.run()
    assert len(world.events("trust.declare_checks")) == 1


def test_a_declared_check_without_a_run_is_not_kept(world: World) -> None:
    here = Room(world, check("transit.tls13", KEPT))
    world.run(trust.declare(here.kernel, here.register))
    found = here.of("transit.tls13")
    assert (found.state, found.finding) == ("could_not_check", "The check has not run yet.")


def test_history_is_bounded_here_and_whole_in_the_log(world: World) -> None:
    here = Room(world, check("transit.tls13", KEPT))
    for _ in range(RUNS_KEPT + 3):
        here.do("trust.record_run", _run(), trust.jobs.ACTOR)
    runs = here.do("trust.runs", operations.ReadRuns("transit.tls13", RUNS_KEPT)).runs
    assert len(runs) == RUNS_KEPT
    assert len(world.events("trust.record_run")) == RUNS_KEPT + 3


def _run(promise: str = "transit.tls13") -> operations.RecordRun:
    return operations.RecordRun(promise, "kept", "All is well.", 1)


def test_nobody_else_can_record_or_declare(world: World) -> None:
    here = Room(world)
    everything = TeamMember("acc_t", "ses_t", world.clock(), frozenset(Role), second_factor=True)
    for name, request in (("trust.record_run", _run()), ("trust.declare_checks", operations.DeclareChecks([]))):
        for actor in (Anonymous(), everything):
            with pytest.raises(Refusal):
                here.do(name, request, actor)
            assert world.events(name)[-1].outcome == "refused"
    assert here.status().summary["kept"] == 0


def test_a_run_of_something_not_promised_is_refused(world: World) -> None:
    with pytest.raises(DomainError):
        Room(world).do("trust.record_run", _run("transit.tls14"), trust.jobs.ACTOR)


def test_a_run_can_be_proved_once_it_is_sequenced(world: World) -> None:
    here = Room(world, check("transit.tls13", KEPT))
    here.run()
    event = here.of("transit.tls13").event
    assert event is not None
    waiting: ProvedRun = here.do("trust.proof", operations.ReadProof(event.object))
    assert waiting.index is None
    world.run(sequence(here.kernel.store, world.house.log, here.kernel.clock))
    proved: ProvedRun = here.do("trust.proof", operations.ReadProof(event.object))
    assert proved.index is not None
    assert proved.index < proved.tree_size
    assert event.object in proved.entry
    assert _root(proved) == proved.root
    with pytest.raises(NotFound):
        here.do("trust.proof", operations.ReadProof("run_0"))


def _root(proved: ProvedRun) -> str:
    """RFC 9162, 2.1.3.2, written out again here so that the page's figures are what they claim to be."""
    import hashlib

    def pair(left: bytes, right: bytes) -> bytes:
        return hashlib.sha256(b"\x01" + left + right).digest()

    value = hashlib.sha256(b"\x00" + proved.entry.encode()).digest()
    assert value.hex() == proved.leaf_hash
    place, last = proved.index or 0, proved.tree_size - 1
    for step in map(bytes.fromhex, proved.path):
        if place & 1 or place == last:
            value = pair(step, value)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            value = pair(value, step)
        place, last = place >> 1, last >> 1
    assert last == 0
    return value.hex()

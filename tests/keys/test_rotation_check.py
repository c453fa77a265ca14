"""The live check of rest.rotation: kept when all is well, broken when the control is taken away."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from subscription_services.kernel.checks import Doors, Finding, Verdict
from subscription_services.keys import CallerKeys, jobs
from subscription_services.keys.checks.rotation import rotated
from subscription_services.keys.operations.probing import PROBE
from subscription_services.keys.states import KeyStates, RotationRule
from subscription_services.testing import World


@pytest.fixture
def engine() -> str:
    """Keys are the same beside each store."""
    return "sqlite"


def check(world: World) -> Finding:
    kernel = world.house.kernel
    finding = world.run(rotated(Doors(kernel, world.house.settings, "https://localhost:1", "http://localhost:1", "")))
    assert isinstance(finding, Finding)
    return finding


def run_schedule(world: World) -> None:
    async def plan() -> None:
        from subscription_services.jobs.worker import _plan

        kernel = world.house.kernel
        await _plan(kernel, world.house.outbox, [s for s in world.house.schedules if s.name == "keys.rotation"])

    world.run(plan())
    world.run_jobs()


def test_kept_and_the_probe_really_rotates(world: World) -> None:
    world.subscriber()
    for turn in (1, 2, 3):
        assert check(world).verdict is Verdict.KEPT
        probe = next(s for s in world.house.ring.for_caller("keys").states().purposes if s.purpose == PROBE)
        states = [version.state.value for version in probe.versions]
        assert states == ["active"] + ["destroyed"] * turn
    assert len(world.events("keys.probe_rotation")) == 3


def test_broken_when_a_key_is_overdue_and_kept_again_once_the_schedule_ran(world: World) -> None:
    world.subscriber()
    world.clock.advance(days=93)
    finding = check(world)
    assert finding.verdict is Verdict.BROKEN
    assert "should have been replaced" in finding.says
    run_schedule(world)
    assert check(world).verdict is Verdict.KEPT


def test_broken_when_the_schedule_stands_still(world: World) -> None:
    run_schedule(world)
    assert check(world).verdict is Verdict.KEPT
    world.clock.advance(hours=3)
    finding = check(world)
    assert (finding.verdict, "has not run" in finding.says) == (Verdict.BROKEN, True)


def test_broken_when_the_schedule_is_off(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real = CallerKeys.states

    def off(self: CallerKeys) -> KeyStates:
        found = real(self)
        return KeyStates(found.root, RotationRule(0, 30), found.purposes, found.callers, found.journal)

    monkeypatch.setattr(CallerKeys, "states", off)
    finding = check(world)
    assert (finding.verdict, "turned off" in finding.says) == (Verdict.BROKEN, True)


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("rotate", lambda self, purpose, after=None, reason=None: after),
        ("rewrap", lambda self, purpose, limit=100: 1),
        ("retire", lambda self, purpose, version=None: ()),
    ],
)
def test_broken_when_a_rotation_does_not_do_what_it_must(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, instead: object
) -> None:
    assert check(world).verdict is Verdict.KEPT
    monkeypatch.setattr(CallerKeys, name, instead)
    finding = check(world)
    assert finding.verdict is Verdict.BROKEN
    assert finding.says.startswith("We rotated a key to try it, and ")


def test_broken_when_data_keys_do_not_follow(world: World) -> None:
    world.subscriber()
    world.house.ring.for_caller("keys").rotate("subject")
    assert check(world).verdict is Verdict.KEPT
    world.clock.advance(days=3)
    finding = check(world)
    assert (finding.verdict, "did not follow" in finding.says) == (Verdict.BROKEN, True)
    run_schedule(world)
    assert check(world).verdict is Verdict.KEPT


def test_the_schedule_is_among_those_that_run(world: World) -> None:
    (schedule,) = [schedule for schedule in world.house.schedules if schedule.name == "keys.rotation"]
    assert schedule.every <= timedelta(hours=1)
    assert msgspec.json.encode(schedule.make(world.clock())) == b"{}"
    assert any(kind.name == "keys.rotation" for kind in jobs.kinds())
    assert "rest.rotation" in world.house.register.checks

"""rest.rotation: keys are replaced regularly by themselves, and what was sealed before stays readable."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from subscription_services.jobs import recent_jobs
from subscription_services.kernel.actors import System
from subscription_services.kernel.checks import Doors, Finding, Verdict
from subscription_services.kernel.perform import perform
from subscription_services.keys.operations.probing import ProbeRotation, probe_rotation
from subscription_services.keys.sealing import KeyRing
from subscription_services.keys.states import KeyStates

SLACK = timedelta(days=2)
"""How late a rotation, and the moving of the data keys after it, may be."""
ROUND = timedelta(hours=2)
"""How long ago the schedule may have run last."""


async def rotated(doors: Doors) -> Finding:
    """Broken when the schedule is off or stands still, a key is overdue, or a rotation tried for real fails."""
    ring = doors.kernel.keys
    assert isinstance(ring, KeyRing)
    now = doors.kernel.clock()
    states = await asyncio.to_thread(ring.for_caller("keys").states)
    trouble = _overdue(states, now) or await _standing_still(doors, now)
    if trouble:
        return Finding(Verdict.BROKEN, trouble, _evidence(states, now))
    probed = await perform(doors.kernel, probe_rotation, System("keys.check"), ProbeRotation())
    if probed.failed:
        return Finding(Verdict.BROKEN, f"We rotated a key to try it, and {probed.failed}.", _evidence(states, now))
    return Finding(
        Verdict.KEPT,
        f"Every key-encryption key is replaced after {states.rule.rotate} days at the latest; none in use is older. We "
        "rotated one to try it: new data used the new version and old data stayed readable.",
        _evidence(states, now),
    )


def _overdue(states: KeyStates, now: datetime) -> str:
    if not states.rule.rotate:
        return "The schedule that replaces keys is turned off."
    late = [state for state in states.purposes if state.rotation_due is None or state.rotation_due + SLACK < now]
    if late:
        return f"{len(late)} of {len(states.purposes)} key-encryption keys should have been replaced by now."
    stuck = [
        state
        for state in states.purposes
        if state.rewrapping and state.rewrapping.left and state.rewrapping.started_at + SLACK < now
    ]
    if stuck:
        return f"For {len(stuck)} purposes some data keys did not follow the last rotation."
    return ""


async def _standing_still(doors: Doors, now: datetime) -> str:
    """A schedule that was taken away would show only when the first key is overdue: look whether it runs."""
    runs = await doors.kernel.store.read(lambda connection: recent_jobs(connection, "keys.rotation", 20))
    done = [run.done_at for run in runs if run.done_at is not None]
    oldest = min((run.created_at for run in runs), default=now)
    if max(done, default=oldest) + ROUND < now:
        return "The schedule that replaces keys has not run for hours."
    return ""


def _evidence(states: KeyStates, now: datetime) -> dict[str, str | int]:
    ages = [(now - state.versions[0].created_at).days for state in states.purposes]
    return {
        "keys": len(ages), "oldest in use, days": max(ages, default=0), "replaced after, days": states.rule.rotate,
    }  # fmt: skip

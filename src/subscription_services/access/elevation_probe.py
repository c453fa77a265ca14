"""The live check of elevation through the public door: a probe is lent one look, uses it, and loses it everywhere."""

from __future__ import annotations

import pyotp

from subscription_services.identity import Probe, expect, probe
from subscription_services.kernel.actors import System
from subscription_services.kernel.checks import Doors, Finding, Verdict
from subscription_services.kernel.perform import perform

from .operations.probing import LENT, LendToProbe, lend_to_probe, take_from_probe
from .operations.tasks import OneTask

ACTOR = System("access.checks")
_STEP = 30


async def lent_access_ends(doors: Doors) -> Finding:
    """In two sessions of the same person: closed by themselves, and taken back by somebody else."""
    async with probe(doors, "elevation", team=True) as someone:
        sessions = await _two_sessions(doors, someone)
        if await _looks(someone, sessions) != {403}:
            return Finding(Verdict.BROKEN, "Somebody without a task was let do what takes one.")
        for way in ("closed", "taken back"):
            lent = await perform(doors.kernel, lend_to_probe, ACTOR, LendToProbe(someone.account))
            used = await _looks(someone, sessions)
            if way == "closed":
                expect(await someone.change("access.close_task", {"id": lent.id}), 200)
            else:
                await perform(doors.kernel, take_from_probe, ACTOR, OneTask(lent.id))
            if used != {200}:
                return Finding(Verdict.COULD_NOT_CHECK, "An open task did not lend what it names.")
            if await _looks(someone, sessions) != {403}:
                return Finding(Verdict.BROKEN, f"A task that was {way} went on lending.")
    return Finding(Verdict.KEPT, "What a task lent was gone in every session as soon as it ended.", {"ways": 2})


async def _two_sessions(doors: Doors, someone: Probe) -> list[str]:
    """Of the probe, both with its second factor: codes of two steps that follow each other."""
    await someone.signed_in()
    totp = pyotp.TOTP(expect(await someone.change("identity.start_totp"), 200)["secret"])
    now = int(doors.kernel.clock().timestamp())
    made = expect(await someone.change("identity.confirm_totp", {"code": totp.at(now)}), 200)
    challenge = expect(await someone.sign_in(), 200)["challenge"]
    second = expect(await someone.code(challenge, totp.at(now + _STEP)), 200)["token"]
    return [str(made["token"] or someone.token), str(second)]


async def _looks(someone: Probe, sessions: list[str]) -> set[int]:
    """What each session is answered."""
    answers = set()
    for token in sessions:
        someone.token = token
        answers.add((await someone.look(LENT)).status_code)
    return answers

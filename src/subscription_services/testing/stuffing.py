"""Credential stuffing as attackers do it, against a whole house with the limits that ship, while owners sign in.

The attackers have a list: for each account some passwords, of which for a few accounts one is right (used elsewhere
and leaked there). They try it from many sources; none meets the same account twice before it must. Owners come in
browsers that the account knows and in new ones.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from subscription_services.identity.errors import WrongCredentials
from subscription_services.identity.model import Purpose
from subscription_services.identity.operations.sign_in import SignIn, sign_in
from subscription_services.identity.operations.sign_up import IssueLink, SignUp, VerifyAddress
from subscription_services.kernel.actors import Anonymous, System
from subscription_services.kernel.context import Origin
from subscription_services.kernel.errors import TooMany
from subscription_services.kernel.perform import perform

if TYPE_CHECKING:
    from .world import World

STRANGER = Anonymous()
LETTERS = System("identity.letters")
WRONG = "some other password number"


@dataclass(frozen=True, slots=True)
class Plan:
    """`leaked` accounts have their right password in the list. `spray` tries the same wrong password everywhere."""

    tries: int
    accounts: int
    sources: int
    leaked: int
    owners: int
    minutes: int = 60
    spray: bool = False
    seed: int = 5
    at_once: int = 1


@dataclass(slots=True)
class Report:
    """What became of the attackers' tries and of the owners' sign-ins."""

    tries: int = 0
    let_through: int = 0
    right_in_the_list: int = 0
    waited: int = 0
    """Answered that they have to wait."""
    held: int = 0
    """Recognised, and answered as if wrong."""
    answered_wrong: int = 0
    """Recognised or not."""
    owners: int = 0
    owners_refused: int = 0
    beside: int = 0
    """Sign-ins of owners in a new browser behind the address of an attacker."""
    beside_refused: int = 0
    recognised: list[str] = field(default_factory=list)

    @property
    def looked_at(self) -> int:
        """Tries whose password was believed or not by what it was."""
        return self.let_through + self.answered_wrong - self.held

    def lines(self) -> list[str]:
        return [
            f"attackers: {self.tries} tries with {self.right_in_the_list} right passwords among them; "
            f"{self.looked_at} looked at, {self.held} recognised and answered as wrong, {self.waited} made to wait",
            f"attackers let through: {self.let_through}",
            f"owners refused: {self.owners_refused} of {self.owners} sign-ins",
            f"owners refused in a new browser behind an attacker's address: {self.beside_refused} of {self.beside}",
            f"events of recognition: {len(self.recognised)} ({', '.join(sorted(set(self.recognised))) or 'none'})",
        ]


def people(world: World, count: int) -> list[str]:
    """Accounts with proved addresses; each has signed in once. Returns the cookies of the browsers that they know."""
    known = []
    for number in range(count):
        origin = Origin(_home(number), "their own browser")
        begun = world.do("identity.sign_up", STRANGER, SignUp(email(number), "Ada", password(number)), origin=origin)
        link = world.do("identity.issue_link", LETTERS, IssueLink(world.account(email(number)), Purpose.VERIFY))
        world.do("identity.verify_address", STRANGER, VerifyAddress(link.token, begun.browser), origin=origin)
        signed = world.do("identity.sign_in", STRANGER, SignIn(email(number), password(number)), origin=origin)
        known.append(signed.device)
        world.clock.advance(seconds=10)
    world.clock.advance(hours=2)
    return known


def simulate(world: World, plan: Plan, known: list[str]) -> Report:
    """Carry out the plan; the clock goes through its minutes in equal steps."""
    report = Report()
    seen, held = len(world.events("identity.stuffing_recognised")), _held(world)
    world.run(_attacked(world, plan, report, known))
    report.held = _held(world) - held
    found = world.events("identity.stuffing_recognised")[seen:]
    report.recognised = [str(event.details["recognised"]) for event in found]
    return report


async def _attacked(world: World, plan: Plan, report: Report, known: list[str]) -> None:
    chance = random.Random(plan.seed)  # noqa: S311  the same attack each time
    attempts = -(-plan.tries // plan.accounts)
    every = max(1, plan.tries // plan.owners)
    tries = _list(plan, chance)
    for start in range(0, len(tries), plan.at_once):
        under_way = []
        for number, (account, attempt) in enumerate(tries[start : start + plan.at_once], start):
            right = account < plan.leaked and attempt == account // plan.sources % attempts and not plan.spray
            tried = password(account) if right else WRONG if plan.spray else f"{WRONG} {account} {attempt}"
            report.right_in_the_list += right
            source = Origin(_source((account + attempt) % plan.sources), "attacker")
            under_way.append(_enter(world, report, source, SignIn(email(account), tried)))
            if number % every == every - 1:
                owner = chance.randrange(plan.accounts)
                under_way.append(_owner(world, plan, report, known[owner], owner, number // every))
        await asyncio.gather(*under_way)
        world.clock.advance(seconds=plan.at_once * plan.minutes * 60 / plan.tries)


def _list(plan: Plan, chance: random.Random) -> list[tuple[int, int]]:
    """Each account once before any one twice, so that no account is tried more often than must be."""
    found: list[tuple[int, int]] = []
    for attempt in range(-(-plan.tries // plan.accounts)):
        turn = [(account, attempt) for account in range(plan.accounts)]
        chance.shuffle(turn)
        found += turn
    return found[: plan.tries]


async def _enter(world: World, report: Report, origin: Origin, request: SignIn) -> None:
    report.tries += 1
    try:
        await perform(world.house.kernel, sign_in, STRANGER, request, origin=origin)
        report.let_through += 1
    except WrongCredentials:
        report.answered_wrong += 1
    except TooMany:
        report.waited += 1


async def _owner(world: World, plan: Plan, report: Report, known: str, account: int, turn: int) -> None:
    """In turns: a known browser; a known one after one wrong password; a new one elsewhere; a known and a new one
    behind the address of an attacker."""
    manner, beside = turn % 5, _source(turn % plan.sources)
    device = "" if manner in (2, 4) else known
    origin = Origin(beside if manner > 2 else f"198.18.{turn >> 8 & 255}.{turn & 255}", "owner")
    if manner == 1:
        await _enter(world, Report(), origin, SignIn(email(account), "typed it wrong, once", device))
    mine = Report()
    await _enter(world, mine, origin, SignIn(email(account), password(account), device))
    if manner == 4:
        report.beside, report.beside_refused = report.beside + 1, report.beside_refused + 1 - mine.let_through
    else:
        report.owners, report.owners_refused = report.owners + 1, report.owners_refused + 1 - mine.let_through


def _held(world: World) -> int:
    return sum("recognised" in event.details for event in world.events("identity.sign_in"))


def email(number: int) -> str:
    return f"person{number}@example.org"


def password(number: int) -> str:
    """Chosen by the person of that number, and nobody else."""
    return f"horse {number} battery staple 7"


def _home(number: int) -> str:
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def _source(number: int) -> str:
    """Each in a network of its own."""
    return f"100.{64 + (number >> 8 & 63)}.{number & 255}.7"

"""Decoys: people and programs that do not exist, among those that a review asks about.

Whoever reads recognises nobody and revokes; whoever only presses keep keeps one, and the review is void. A decoy is a
row of a review and nothing else: no account, no grant, no service account belongs to it, so it gives no power ever.
What can be taken from real ones is (who grants, for which reasons, at which times, addresses of which domain), so that
a list of what decoys say, such as this public file, helps little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from subscription_services.kernel.actors import Role
from subscription_services.kernel.clock import Random
from subscription_services.kernel.ids import Ids

from . import catalogue
from .accounts import Account
from .independence import mailbox
from .review_facts import USES, Facts, Kind, Use
from .review_policy import Scope, period, scope_of, stands_until
from .review_use import operations_of

T = TypeVar("T")
GIVEN = (
    "Anna", "Ben", "Carla", "David", "Elena", "Felix", "Greta", "Hannah", "Ivan", "Julia", "Karim", "Laura", "Marco",
    "Nadia", "Oliver", "Paula", "Quentin", "Rosa", "Samuel", "Tara", "Ursula", "Victor", "Wanda", "Yusuf", "Zoe",
    "Adam", "Bianca", "Chris", "Diana", "Erik", "Fiona", "George", "Helen", "Isabel", "Jonas", "Katrin", "Lukas",
    "Maria", "Nils", "Olga", "Peter", "Rahul", "Sofia", "Thomas", "Vera", "William",
)  # fmt: skip
FAMILY = (
    "Adler", "Baker", "Castro", "Dubois", "Evans", "Fischer", "Garcia", "Hoffmann", "Ivanova", "Jensen", "Kowalski",
    "Lehmann", "Martin", "Novak", "Olsen", "Patel", "Richter", "Schmidt", "Torres", "Usman", "Vogel", "Weber", "Young",
    "Zimmer", "Becker", "Clark", "Diaz", "Engel", "Franke", "Green", "Haas", "Jones", "Keller", "Lang", "Meyer",
    "Nagel", "Otto", "Peters", "Roth", "Sanders", "Taylor", "Wagner", "Winter", "Wolf",
)  # fmt: skip
WHAT = ("Invoice", "Ticket", "Report", "Usage", "Metrics", "Ledger", "Archive", "Contract", "Status", "Mail", "Audit")
DOES = ("export", "sync", "import", "bridge", "collector", "dashboard", "backup", "reader", "notifier", "mirror")
REASONS = (
    "helps the team", "joins the team", "covers for a colleague", "needed for the migration", "takes over on-call",
    "works on month-end closing", "supports the new office",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Model:
    """What decoys are made to resemble: the real items of the review with their reasons, and the team."""

    scope: Scope
    items: Sequence[tuple[Facts, str]]
    team: Sequence[Account]
    programs: frozenset[str]
    now: datetime
    due: datetime
    again: bool = False
    """Whether the review takes the place of a void one, which has set all ends to its due date."""


def number_of(items: int, random: Random) -> int:
    """How many decoys to plant among so many: one at least, and nobody can know that there is not another."""
    return 1 + items // 10 + below(2, random)


def invent(model: Model, number: int, random: Random) -> list[Facts]:
    """So many decoys, no two of one name."""
    made: list[Facts] = []
    while len(made) < number:
        found = _one(model, random)
        if found.name not in {item.name for item in made}:
            made.append(found)
    return made


def below(bound: int, random: Random) -> int:
    """A number from 0 to `bound` - 1. 8 bytes leave no bias that anybody could see."""
    return int.from_bytes(random(8), "big") % bound


def shuffled(items: Sequence[T], random: Random) -> list[T]:
    """In an order that says nothing."""
    return sorted(items, key=lambda item: random(16))


def _one(model: Model, random: Random) -> Facts:
    facts, reason = model.items[below(len(model.items), random)]
    if facts.kind is Kind.PROGRAM:
        return _program(model, facts, random)
    return _person(model, facts, reason, random)


def _person(model: Model, like: Facts, reason: str, random: Random) -> Facts:
    roles = [role for role in Role if scope_of(role) is model.scope]
    role = roles[below(len(roles), random)]
    name, email = _somebody(model, random)
    granted_at, since, end = _times(model, like, role, random)
    allowed = sorted(operations_of(role))
    used, last = _use(model, allowed, since, random)
    mine = reason if reason and below(2, random) else REASONS[below(len(REASONS), random)]
    ids = Ids(lambda: granted_at, random)
    return Facts(
        decoy=1, kind=Kind.PERSON, object=ids.new("grt"), account=ids.new("acc"), role=role.value, scopes=[],
        granted_by=_granter(model, like, random), granted_at=granted_at, ends_at=end, since=since,
        used=used, last_used_at=last, name=name, email=email, reason=mine,
    )  # fmt: skip


def _program(model: Model, like: Facts, random: Random) -> Facts:
    granted_at, since, end = _times(model, like, None, random)
    known = sorted(catalogue.scopes())
    scopes = sorted({known[below(len(known), random)] for _ in range(1 + below(3, random))})
    used, last = _use(model, scopes, since, random)
    while True:
        name = f"{_pick(WHAT, random)} {_pick(DOES, random)}"
        if name not in model.programs:
            break
        name = f"{name} {2 + below(8, random)}"
        if name not in model.programs:
            break
    ids = Ids(lambda: granted_at, random)
    # somebody real answers for it, as for every program
    return Facts(
        decoy=1, kind=Kind.PROGRAM, object=ids.new("svc"), account=like.account, role="", scopes=scopes,
        granted_by=_granter(model, like, random), granted_at=granted_at, ends_at=end, since=since,
        used=used, last_used_at=last, name=name,
    )  # fmt: skip


def _somebody(model: Model, random: Random) -> tuple[str, str]:
    """A name and an address that nobody on the team has, made as theirs are."""
    names = {person.name.casefold() for person in model.team}
    boxes = {mailbox(person.email) for person in model.team}
    domain = _pick([person.email.rpartition("@")[2] for person in model.team], random)
    for _ in range(100):
        given, family = _pick(GIVEN, random), _pick(FAMILY, random)
        forms = (f"{given}.{family}", given, f"{given[0]}{family}")
        email = f"{_pick(forms, random).lower()}@{domain}"
        if f"{given} {family}".casefold() not in names and mailbox(email) not in boxes:
            return f"{given} {family}", email
    raise LookupError("every name is taken")


def _times(model: Model, like: Facts, role: Role | None, random: Random) -> tuple[datetime, datetime, datetime]:
    """When it was given, since when its use counts, and its end: each in the relation that real ones have."""
    odd = timedelta(seconds=below(3600, random), microseconds=below(10**6, random))
    earlier = like.granted_at - timedelta(hours=1 + below(2000, random)) - odd
    if like.since > like.granted_at:  # there was a review before, in which it was kept
        granted_at, since = earlier, like.since
    elif like.granted_at < model.now - period(model.scope) - timedelta(days=1):  # older than reviews are
        return earlier, earlier, like.ends_at
    else:
        hours = int((model.now - like.granted_at) / timedelta(hours=1))
        granted_at = since = like.granted_at + timedelta(hours=below(max(1, hours - 1), random)) + odd
    return granted_at, since, model.due if model.again else min(stands_until(role, since), model.due)


def _granter(model: Model, like: Facts, random: Random) -> str:
    """A person: what the service itself gave, to the first of all, is known to everybody."""
    if like.granted_by.startswith("acc_"):
        return like.granted_by
    people = [facts.granted_by for facts, _ in model.items if facts.granted_by.startswith("acc_")]
    return _pick(people or [facts.account for facts, _ in model.items], random)


def _use(model: Model, allowed: Sequence[str], since: datetime, random: Random) -> tuple[list[Use], datetime | None]:
    """Some of what it may do, some number of times; not seldom nothing, as with real ones."""
    different = below(5, random)
    if not different or not allowed:
        return [], None
    names = shuffled(allowed, random)[: min(different, USES)]
    uses = [Use(name, 1 + below(1 + below(60, random), random)) for name in names]
    span = int((model.now - max(since, model.now - period(model.scope))) / timedelta(seconds=1))
    last = model.now - timedelta(seconds=below(max(1, span), random), microseconds=below(10**6, random))
    return sorted(uses, key=lambda item: (-item.count, item.operation)), last


def _pick(items: Sequence[T], random: Random) -> T:
    return items[below(len(items), random)]

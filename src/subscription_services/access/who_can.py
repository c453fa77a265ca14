"""Who can carry out an operation now, and why: everybody who holds something that might allow it is asked about."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select

from subscription_services.kernel import authorise
from subscription_services.kernel.actors import Role, Standing, Subscriber, TeamMember
from subscription_services.kernel.authorise import By, Way, ways
from subscription_services.kernel.errors import TaskNeeded
from subscription_services.kernel.operations import Operation, Public, SystemOnly
from subscription_services.kernel.transaction import ReadTransaction

from . import accounts, catalogue
from .approval_queries import names_of
from .authority import powers_of
from .explaining import as_program, conditions, good_tokens, grant_reason, named, task_reason, token_reason
from .explanations import Able, Reason, WhoCan
from .history import History, history_of
from .model import grant
from .queries import live
from .role_limits import withheld_of
from .task_model import task

SHOWN = 200
"""As many people as are named."""
_APPROVE = "access.approve"


def who_can(tx: ReadTransaction, operation: Operation, about: str, now: datetime) -> WhoCan:
    """Everybody; `about` is the id of a person or thing that it would be about, where that matters."""
    roles = [rule for rule in operation.by if isinstance(rule, Role)]
    withheld = withheld_of(tx.connection, tx.keys, now)
    people, whole = _people(tx, operation, roles, about, now)
    needs = conditions(operation, [By.ROLE] if roles else [By.PUBLIC])
    approving = [item for item in needs if item.kind == "approvals"]
    return WhoCan(
        operation=operation.name, summary=operation.summary, room=operation.room, changes=operation.changes,
        people=people, programs=_programs(tx, operation, now),
        own=[kind.kind for kind in (Subscriber, TeamMember) if kind.own in operation.by],
        public=next((rule.reason for rule in operation.by if isinstance(rule, Public)), ""),
        system=next((rule.reason for rule in operation.by if isinstance(rule, SystemOnly)), ""),
        roles=roles, taken=[role for role in roles if (role, operation.name) in withheld], needs=needs,
        approvers=_approvers(tx, approving[0].roles, now) if approving else [], whole=whole,
    )  # fmt: skip


def _people(
    tx: ReadTransaction, operation: Operation, roles: Collection[Role], about: str, now: datetime
) -> tuple[list[Able], bool]:
    if not roles:
        return [], True
    found: list[Able] = []
    for person in _candidates(tx, roles, now):
        past = history_of(tx, person.id)
        standing = powers_of(tx.connection, tx.keys, person.id, now)
        every = [way for way in ways(operation, past.actor(now), standing) if way.role or way.task]
        counted = [way for way in every if _serves(way, about)]
        if counted:
            if len(found) == SHOWN:
                return found, False
            reasons = [reason for way in counted if (reason := _reason(tx, way, past, now)) is not None]
            found.append(Able(person.id, person.name, person.second_factor, named(tx, reasons)))
    return found, True


def _candidates(tx: ReadTransaction, roles: Collection[Role], now: datetime) -> list[accounts.Account]:
    """Open accounts of the team that hold one of the roles, or any task that is open."""
    held = select(grant.c.account).where(grant.c.role.in_(sorted(roles)), live(now))
    lent = select(task.c.account).where(task.c.ended_at.is_(None), task.c.granted_at.is_not(None), task.c.ends_at > now)
    ids = {*tx.connection.execute(held).scalars(), *tx.connection.execute(lent).scalars()}
    found = [person for person in accounts.people(tx, sorted(ids)) if person.team and person.open]
    return sorted(found, key=lambda person: (person.name.casefold(), person.id))


def _serves(way: Way, about: str) -> bool:
    """A task about somebody serves nobody else."""
    if way.task is None or not about:
        return True
    try:
        authorise.check_task((way.task,), (about,))
    except TaskNeeded:
        return False
    return True


def _reason(tx: ReadTransaction, way: Way, past: History, now: datetime) -> Reason | None:
    if way.task is not None:
        return next((task_reason(tx, row) for row in past.tasks if row.id == way.task.id), None)
    return next((grant_reason(tx, row) for row in past.held(now) if row.role == way.role), None)


def _programs(tx: ReadTransaction, operation: Operation, now: datetime) -> list[Able]:
    by_account: dict[str, list[Reason]] = {}
    for row in good_tokens(tx, now):
        actor, standing = as_program(row)
        if any(way.by is By.SCOPE for way in ways(operation, actor, standing)):
            by_account.setdefault(row.service_account, []).append(token_reason(tx, row))
    names = names_of(tx, by_account)
    return [Able(key, names.get(key, key), True, named(tx, reasons)) for key, reasons in sorted(by_account.items())]


def _approvers(tx: ReadTransaction, roles: Collection[Role], now: datetime) -> list[Able]:
    """Those who hold such a role themselves and can approve at all; independence depends on who asks."""
    approve = catalogue.named(_APPROVE)
    found = []
    for person in _candidates(tx, roles, now) if approve is not None and roles else []:
        past = history_of(tx, person.id)
        standing = powers_of(tx.connection, tx.keys, person.id, now)
        held = [row for row in past.held(now) if row.role in roles]
        may = Standing(roles=standing.roles, withheld=standing.withheld)
        able = person.state == "active" and person.second_factor
        if held and able and approve is not None and any(way.role for way in ways(approve, past.actor(now), may)):
            reasons = named(tx, [grant_reason(tx, row) for row in held])
            found.append(Able(person.id, person.name, person.second_factor, reasons))
    return found[:SHOWN]

"""Why somebody may do something: the ways that the decision itself finds (`authorise.ways`), with what stands behind
each: who gave it, when, why, until when, and where the log says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Row

from subscription_services.kernel.actors import Actor, Role, ServiceAccount, Standing, Subscriber
from subscription_services.kernel.authorise import By, Way, ways
from subscription_services.kernel.errors import ApprovalNeeded, NotFound, SubjectErased
from subscription_services.kernel.needs import ApprovalsNeeded, OpenTask, RecentSignIn
from subscription_services.kernel.operations import Operation
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.kernel.words import words
from subscription_services.ledger import queries as ledger
from subscription_services.storage.rows import open_row

from . import accounts, catalogue, queries
from .approval_queries import names_of
from .approvals import policy_of
from .authority import GOOD_TOKENS, decode_scopes, powers_of
from .errors import NothingToApprove
from .explanations import OWN, PUBLIC, Allowed, Condition, Reason, Taken, WhatCan
from .history import history_of
from .role_limits import in_force
from .task_model import task

_GRANTED_TASK = ("access.grant_task", "access.ask_task")  # a rule grants it in the moment that it is asked for
_BY_ITSELF = {By.OWN: OWN, By.PUBLIC: PUBLIC}


def what_can(tx: ReadTransaction, whose: str, at: datetime, now: datetime) -> WhatCan:
    """Everything that this account can do. Raises NotFound."""
    sound = in_force(tx.connection, tx.keys).sound
    if whose.startswith("svc_"):
        return _program(tx, whose, now, sound)
    found = accounts.people(tx, [whose])
    if not found:
        raise NotFound()
    person = found[0]
    if not person.team:
        actor = Subscriber(whose, "", at, person.second_factor)
        allowed = _allowed(actor, Standing(), _itself) if person.open else []
        return WhatCan(whose, "", actor.kind, person.open, True, at, _plain(allowed), allowed, [], sound)
    past = history_of(tx, whose)
    standing = past.at(at) if at < now else powers_of(tx.connection, tx.keys, whose, now)
    grants = {Role(row.role): row for row in past.held(at)}
    lent = {item.id for item in standing.elevations}
    allowed = _allowed(past.actor(at), standing, lambda way: _id(way, grants)) if person.open or at < now else []
    reasons = [
        *(grant_reason(tx, grants[role]) for role in sorted(standing.roles) if role in grants),
        *(task_reason(tx, row) for row in past.tasks if row.id in lent),
        *_plain(allowed),
    ]
    taken = [
        Taken(role, name, item.summary if (item := catalogue.named(name)) else "")
        for role, name in sorted(standing.withheld)
        if role in standing.roles
    ]
    return WhatCan(
        whose, person.name, "team-member", person.open, person.second_factor, at, named(tx, reasons), allowed, taken,
        sound,
    )  # fmt: skip


def conditions(operation: Operation, by: Iterable[By]) -> list[Condition]:
    """What is asked beside permission of whom it is allowed to by these."""
    by = set(by)
    found = [Condition("second-factor")] if by & {By.ROLE, By.TASK} else []
    for need in operation.needs:
        if isinstance(need, RecentSignIn):
            if by - {By.SCOPE, By.SYSTEM}:
                found.append(Condition("recent-sign-in", need.minutes))
        elif isinstance(need, ApprovalsNeeded):
            try:
                roles = sorted(policy_of(operation).roles)
            except (ApprovalNeeded, NothingToApprove):
                roles = []  # a policy that makes no sense, which nobody can satisfy
            found.append(Condition("approvals", need.count, roles))
        else:
            found.append(Condition("open-task" if isinstance(need, OpenTask) else need.name))
    return found


def grant_reason(tx: ReadTransaction, row: Row[Any]) -> Reason:
    """A role that was granted."""
    held = queries.open_grant(tx, row)
    entry, approval = _entry(tx, row.id)
    if not entry and held.granted_by.startswith("system:"):
        entry, approval = _entry(tx, "", "access.bootstrap")  # one for all of the first people
    return Reason(
        row.id, By.ROLE, role=held.role, given_by=held.granted_by, since=held.granted_at,
        until=held.ends_at if held.ended_at is None else held.ended_at, why=held.reason, entry=entry,
        approval=approval,
    )  # fmt: skip


def task_reason(tx: ReadTransaction, row: Row[Any]) -> Reason:
    """A task that lends operations of a role."""
    try:
        title = str(open_row(tx, task, row)["title"])
    except SubjectErased:
        title = ""
    entry, approval = _entry(tx, row.id, *_GRANTED_TASK)
    return Reason(
        row.id, By.TASK, role=Role(row.role), given_by=row.granted_by, since=row.granted_at,
        until=row.ends_at if row.ended_at is None else row.ended_at, why=title, about=row.about, entry=entry,
        approval=approval,
    )  # fmt: skip


def token_reason(tx: ReadTransaction, row: Row[Any]) -> Reason:
    """A token of a program."""
    entry, approval = _entry(tx, row.id)
    return Reason(
        row.id, By.SCOPE, given_by=row.issued_by, since=row.issued_at, until=row.expires_at, entry=entry,
        approval=approval,
    )  # fmt: skip


def named(tx: ReadTransaction, reasons: Iterable[Reason], names: Mapping[str, str] | None = None) -> list[Reason]:
    """The same with the names of those who gave them."""
    reasons = list(reasons)
    known = names_of(tx, {item.given_by for item in reasons if item.given_by}) if names is None else names
    return [replace(item, given_by_name=known.get(item.given_by, _called(item.given_by))) for item in reasons]


def _called(giver: str) -> str:
    return words("the installation itself") if giver.startswith("system:") else giver


def good_tokens(tx: ReadTransaction, now: datetime) -> list[Row[Any]]:
    """Every token that counts now."""
    return list(tx.connection.execute(GOOD_TOKENS, {"now": now}))


def as_program(row: Row[Any]) -> tuple[ServiceAccount, Standing]:
    """Who comes with this token, for those who decide."""
    scopes = decode_scopes(row.scopes)
    return ServiceAccount(row.service_account, row.id, scopes), Standing(scopes=scopes)


def _program(tx: ReadTransaction, whose: str, now: datetime, sound: bool) -> WhatCan:
    account = queries.one_service_account(tx, whose)
    tokens = [row for row in good_tokens(tx, now) if row.service_account == whose]
    by_operation: dict[str, list[str]] = {}
    for row in tokens:
        actor, standing = as_program(row)
        for item in catalogue.operations():
            for way in ways(item, actor, standing):
                key = row.id if way.by is By.SCOPE else _BY_ITSELF[way.by]
                if key not in by_operation.setdefault(item.name, []):
                    by_operation[item.name].append(key)
    allowed = []
    for item in catalogue.operations():
        if keys := by_operation.get(item.name):
            by = {By.PUBLIC if key == PUBLIC else By.SCOPE for key in keys}
            allowed.append(Allowed(item.name, item.summary, item.room, False, keys, conditions(item, by)))
    reasons = named(tx, [*(token_reason(tx, row) for row in tokens), *_plain(allowed)])
    return WhatCan(whose, account.name, "service-account", bool(tokens), True, now, reasons, allowed, [], sound)


def _allowed(actor: Actor, standing: Standing, key: Callable[[Way], str]) -> list[Allowed]:
    found = []
    for item in catalogue.operations():
        every = list(ways(item, actor, standing))
        if every:
            own, by = every[0].by is By.OWN, [key(way) for way in every]
            found.append(
                Allowed(item.name, item.summary, item.room, own, by, conditions(item, (way.by for way in every[:1])))
            )
    return found


def _id(way: Way, grants: Mapping[Role, Row[Any]]) -> str:
    if way.role is not None:
        return str(grants[way.role].id)
    return way.task.id if way.task is not None else _BY_ITSELF[way.by]


def _itself(way: Way) -> str:
    return _BY_ITSELF[way.by]


def _plain(allowed: Iterable[Allowed]) -> list[Reason]:
    """What needs nobody to give it, as far as it is a reason for something."""
    used = {key for item in allowed for key in item.by}
    return [Reason(by.value, by) for by in (By.OWN, By.PUBLIC) if by.value in used]


def _entry(tx: ReadTransaction, about: str, *actions: str) -> tuple[str, str]:
    """The entry of the log by which this began, and the request for approval that it names."""
    for action in actions or ("",):
        wanted = ledger.Search(object=about, action=action, outcome="success")
        page = ledger.search(tx.connection, wanted, limit=1, oldest_first=True)
        if page.found:
            event = page.found[0].event
            return event.id, str(event.details.get("approval", ""))
    return "", ""

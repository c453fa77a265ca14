"""Elevation for a task: ask, grant, refuse, close, revoke; and what was done under one, from the log."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy import insert, update

from subscription_services.access import accounts, catalogue, row_codes
from subscription_services.access.authority import roles_of
from subscription_services.access.errors import NotIndependent, TaskEnded, TaskGranted, TaskRefused
from subscription_services.access.independence import can_decide, eligible, why_not
from subscription_services.access.settings import in_force
from subscription_services.access.task_model import TaskEnd, rule, task
from subscription_services.access.task_rules import (
    TaskRule,
    TaskRules,
    granting_rule,
    live_rules,
    rule_of,
    rule_row,
)
from subscription_services.access.tasks import (
    About,
    Task,
    Tasks,
    change_row,
    done_under,
    holder_of,
    one,
    open_task_row,
    task_row,
    tasks_for,
)
from subscription_services.kernel.actors import Role, TeamMember
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import Refusal
from subscription_services.kernel.events import Detail
from subscription_services.kernel.ids import PATTERN
from subscription_services.kernel.needs import approvals, recent_sign_in
from subscription_services.kernel.operations import Change, Limit, Seen, operation
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.kernel.words import as_words, joined, words
from subscription_services.mail import SendLetter
from subscription_services.storage.rows import insert_row

from .log import LogEntry, entry_of
from .people import Id, Reason

GRANTERS = (Role.ADMINISTRATOR, Role.SECURITY)
WATCHERS = (*GRANTERS, Role.AUDITOR)
Name = Annotated[str, Meta(min_length=3, max_length=120)]


class AskTask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`operations` are names of what is needed; without them all that `role` may do. `about` is the id of the person or
    thing, `minutes` how long from now."""

    title: Annotated[str, Meta(min_length=3, max_length=200)]
    about_kind: About
    about: Annotated[str, Meta(max_length=80, pattern=r"^[A-Za-z0-9_.:-]*$")]
    role: Role
    minutes: Annotated[int, Meta(ge=5, le=7 * 24 * 60)]
    operations: Annotated[list[Name], Meta(max_length=100)] = []


class MakeTaskRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Holders of `held` get these `operations` of `role` at once, for `minutes` at most."""

    held: Role
    role: Role
    operations: Annotated[list[Name], Meta(min_length=1, max_length=20)]
    minutes: Annotated[int, Meta(ge=5, le=480)]


class OneTask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id


class EndTask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id
    reason: Reason


class ListTasks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class TaskRecord(msgspec.Struct, frozen=True):
    """What was done under a task, oldest first; `whole` is false where there is more than is listed. Each entry's proof
    is at /team/log/entries/ID."""

    task: Task
    entries: list[LogEntry]
    whole: bool


@operation("access.ask_task", by=[TeamMember.own], limits=[Limit(30, 3600, "actor")])
def ask_task(tx: Transaction, ctx: Context, request: AskTask) -> Change[Task]:
    """Ask to be lent a role, or some of its operations, for one task and until a time.

    Somebody else grants it, or a rule that two people made; those who grant are told of both."""
    check_asked(request, catalogue.lends(request.role), in_force().task_longest_minutes)
    values: dict[str, Any] = {
        "id": ctx.ids.new("tsk"), "account": ctx.actor.id, "about_kind": request.about_kind.value,
        "about": request.about, "role": request.role.value,
        "operations": msgspec.json.encode(sorted(set(request.operations))).decode(), "asked_at": ctx.now,
        "ends_at": ctx.now + timedelta(minutes=request.minutes),
    }  # fmt: skip
    held = roles_of(tx.connection, ctx.actor.id, ctx.now)
    by_rule = granting_rule(tx, ctx.actor.id, held, request.role, request.operations, request.minutes)
    if by_rule is not None:
        values |= {"granted_at": ctx.now, "granted_by": by_rule.id}
    code = row_codes.code_of(tx.keys, task.name, row_codes.TASK, values)
    tx.keys.ensure_subject(ctx.actor.id)
    insert_row(tx, task, {**values, "title": request.title, "mac": code})
    for person in eligible(tx, _granters(request.role), ctx.actor.id, (), ctx.now):
        _write(tx, "access.task_asked" if by_rule is None else "access.task_taken", person.id, values["id"])
    return _changed(tx, ctx, values["id"])


@operation("access.grant_task", by=GRANTERS, needs=[recent_sign_in], subject=holder_of)
def grant_task(tx: Transaction, ctx: Context, request: OneTask) -> Change[Task]:
    """Grant a task of somebody else, who did not invite or appoint oneself."""
    row = open_task_row(tx, ctx, request.id)
    if row.granted_at is not None:
        raise TaskGranted()
    if not row_codes.is_ours(tx.keys, task.name, row_codes.TASK, row):
        raise TaskEnded("This task is not one that this service wrote.")
    wanted = _granters(Role(row.role))
    me = accounts.people(tx, [ctx.actor.id])
    if not me or not can_decide(tx, wanted, me[0], ctx.now):
        raise Refusal(words("Granting this takes one of these roles: %(roles)s.", roles=joined(*sorted(wanted))))
    if objection := why_not(tx, row.account, me[0]):
        raise NotIndependent(objection)
    change_row(tx, row, {"granted_at": ctx.now, "granted_by": ctx.actor.id})
    _write(tx, "access.task_granted", row.account, row.id)
    return _changed(tx, ctx, row.id)


@operation("access.refuse_task", by=GRANTERS, subject=holder_of)
def refuse_task(tx: Transaction, ctx: Context, request: EndTask) -> Change[Task]:
    """Refuse a task that somebody asked for."""
    row = open_task_row(tx, ctx, request.id)
    if row.granted_at is not None:
        raise TaskGranted()
    return _end(tx, ctx, row, TaskEnd.REFUSED, request.reason)


@operation("access.revoke_task", by=GRANTERS, subject=holder_of)
def revoke_task(tx: Transaction, ctx: Context, request: EndTask) -> Change[Task]:
    """End somebody's task at once, in every session and on every node; what has not committed by then fails."""
    return _end(tx, ctx, open_task_row(tx, ctx, request.id), TaskEnd.REVOKED, request.reason)


@operation("access.close_task", by=[TeamMember.own], subject=holder_of)
def close_task(tx: Transaction, ctx: Context, request: OneTask) -> Change[Task]:
    """Close one's own task, since it is done; what it lent ends at once."""
    return _end(tx, ctx, open_task_row(tx, ctx, request.id), TaskEnd.CLOSED, "")


@operation("access.tasks", by=[*GRANTERS, Role.AUDITOR, TeamMember.own])
def tasks(tx: ReadTransaction, ctx: Context, request: ListTasks) -> Seen[Tasks]:
    """One's own tasks, and for those who decide or watch also other people's."""
    roles = roles_of(tx.connection, ctx.actor.id, ctx.now)
    found = tasks_for(tx, ctx, granting=bool(roles & set(GRANTERS)), watching=Role.AUDITOR in roles)
    return Seen(found)


@operation("access.task_record", by=[*WATCHERS, TeamMember.own], subject=holder_of)
def task_record(tx: ReadTransaction, ctx: Context, request: OneTask) -> Seen[TaskRecord]:
    """What was done under a task, from the log."""
    row = task_row(tx, request.id)
    found, whole = done_under(tx.connection, row)
    entries = [entry_of(item.event, item.log_index) for item in found]
    answer = TaskRecord(one(tx, ctx, row.id), entries, whole)
    return Seen(answer, object=row.id, details={"entries": len(entries)})


def _rules_now(tx: ReadTransaction, ctx: Context, request: MakeTaskRule) -> bytes:
    """The rules in force, beside which this one will stand."""
    return msgspec.json.encode(sorted(item.id for item in live_rules(tx)))


@operation(
    "access.make_task_rule", by=[Role.ADMINISTRATOR], needs=[recent_sign_in, approvals(1)], concerns=_rules_now
)  # fmt: skip
def make_task_rule(tx: Transaction, ctx: Context, request: MakeTaskRule) -> Change[TaskRule]:
    """Have tasks for named operations granted at once to who holds a role; who makes the rule is not among them."""
    if strange := sorted(set(request.operations) - catalogue.lends(request.role)):
        raise TaskRefused(fields={"operations": _cannot_lend(request.role, strange[0])})
    values: dict[str, Any] = {
        "id": ctx.ids.new("trl"), "held": request.held.value, "role": request.role.value,
        "operations": msgspec.json.encode(sorted(set(request.operations))).decode(), "minutes": request.minutes,
        "made_by": ctx.actor.id, "made_at": ctx.now,
    }  # fmt: skip
    code = row_codes.code_of(tx.keys, rule.name, row_codes.RULE, values)
    tx.connection.execute(insert(rule), {**values, "mac": code})
    made = rule_of(rule_row(tx, values["id"]))
    return Change(None, made, details={"role": made.role.value, "held": made.held.value, "operations": made.operations})


@operation("access.end_task_rule", by=GRANTERS)
def end_task_rule(tx: Transaction, ctx: Context, request: OneTask) -> Change[TaskRule]:
    """End a rule. Tasks that it granted go on until their end, or until somebody revokes them."""
    row = rule_row(tx, request.id)
    if row.ended_at is not None:
        raise TaskEnded("This rule has ended already.")
    values = {**row._mapping, "ended_at": ctx.now}
    code = row_codes.code_of(tx.keys, rule.name, row_codes.RULE, values)
    ended = update(rule).where(rule.c.id == row.id)
    tx.connection.execute(ended.values(ended_at=ctx.now, ended_by=ctx.actor.id, mac=code))
    return Change(rule_of(row), rule_of(rule_row(tx, row.id)))


@operation("access.task_rules", by=[*Role])
def task_rules(tx: ReadTransaction, ctx: Context, request: ListTasks) -> Seen[TaskRules]:
    """The rules by which tasks are granted at once."""
    return Seen(TaskRules(live_rules(tx)))


def _cannot_lend(role: Role, operation: str) -> str:
    return words("The role %(role)s cannot lend %(operation)s.", role=as_words(role.value), operation=operation)


def check_asked(request: Any, lends: Collection[str], longest: int) -> None:
    """That this can be lent: `request` names role, operations, minutes and what it is about. Raises TaskRefused."""
    if strange := sorted(set(request.operations) - set(lends)):
        raise TaskRefused(fields={"operations": _cannot_lend(request.role, strange[0])})
    if request.minutes > longest:
        raise TaskRefused(fields={"minutes": words("A task lasts %(minutes)s minutes at most.", minutes=longest)})
    if request.about_kind is About.SUBSCRIBER and not (
        PATTERN.fullmatch(request.about) and request.about[:4] == "acc_"
    ):
        raise TaskRefused(fields={"about": "Enter the account of the subscriber, acc_ and 32 characters."})
    if request.about_kind is not About.OTHER and not request.about:
        raise TaskRefused(fields={"about": "Enter the id or number of what it is about."})


def _granters(role: Role) -> tuple[Role, ...]:
    """What administrators may do is lent by administrators alone."""
    return (Role.ADMINISTRATOR,) if role is Role.ADMINISTRATOR else GRANTERS


def _end(tx: Transaction, ctx: Context, row: Any, outcome: TaskEnd, reason: str) -> Change[Task]:
    change_row(tx, row, {"ended_at": ctx.now, "ended_by": ctx.actor.id, "outcome": outcome})
    if outcome is not TaskEnd.CLOSED:
        _write(tx, f"access.task_{outcome.value}", row.account, row.id)
    return _changed(tx, ctx, row.id, reason)


def _changed(tx: Transaction, ctx: Context, identifier: str, reason: str = "") -> Change[Task]:
    found = one(tx, ctx, identifier)
    details: dict[str, Detail] = {
        "role": found.role.value, "operations": found.operations, "about": found.about, "about_kind": found.about_kind,
        "ends_at": found.ends_at.isoformat(),
    }  # fmt: skip
    return Change(None, found, subject=found.account, details=details, personal={"reason": reason} if reason else {})


def _write(tx: Transaction, letter: str, account: str, identifier: str) -> None:
    tx.outbox.add(SendLetter(letter=letter, account=account, values={"task": identifier}))

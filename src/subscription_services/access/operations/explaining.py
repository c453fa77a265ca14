"""What can this person do and why; who can do this and why."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from subscription_services.access import catalogue, explaining, queries
from subscription_services.access import who_can as answering
from subscription_services.access.explanations import WhatCan, WhoCan
from subscription_services.kernel.actors import Role, Subscriber, TeamMember
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import Invalid, NotFound
from subscription_services.kernel.operations import Seen, operation
from subscription_services.kernel.transaction import ReadTransaction

WATCHERS = (Role.ADMINISTRATOR, Role.SECURITY, Role.AUDITOR)
Whose = Annotated[str, Meta(max_length=48, pattern=r"^[a-z0-9_]*$")]


class AskWhatCan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`id` is an account or service account, one's own when left out. `at` asks about a moment in the past, by the
    times of what was granted and today's code."""

    id: Whose = ""
    at: Annotated[datetime, Meta(tz=True)] | None = None


class AskWhoCan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`about` is the id of a person or thing: a task about another one does not count then."""

    operation: Annotated[str, Meta(min_length=3, max_length=120, pattern=r"^[a-z0-9_.]+$")]
    about: Annotated[str, Meta(max_length=80, pattern=r"^[A-Za-z0-9_.:-]*$")] = ""


def _whose(tx: ReadTransaction, ctx: Context, request: AskWhatCan) -> str:
    """The account, or who answers for the program."""
    if request.id.startswith("svc_"):
        return queries.one_service_account(tx, request.id).owner
    return request.id or ctx.actor.id


@operation("access.what_can", by=[*WATCHERS, TeamMember.own, Subscriber.own], subject=_whose)
def what_can(tx: ReadTransaction, ctx: Context, request: AskWhatCan) -> Seen[WhatCan]:
    """What a person or program can do, and why: by which role or task, who gave it, when, and what else it takes."""
    if request.at is not None and (request.at > ctx.now or request.id.startswith("svc_")):
        raise Invalid(fields={"at": "Only the past of a person can be asked for."})
    found = explaining.what_can(tx, request.id or ctx.actor.id, request.at or ctx.now, ctx.now)
    return Seen(found, object=found.account, details={"operations": len(found.operations)})


@operation("access.who_can", by=WATCHERS)
def who_can(tx: ReadTransaction, ctx: Context, request: AskWhoCan) -> Seen[WhoCan]:
    """Who can carry out an operation now, and why; and who could approve it."""
    wanted = catalogue.named(request.operation)
    if wanted is None:
        raise NotFound()
    found = answering.who_can(tx, wanted, request.about, ctx.now)
    return Seen(found, details={"operation": wanted.name, "people": len(found.people)})

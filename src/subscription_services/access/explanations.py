"""Answers to "what can they do and why" and "who can do this and why"."""

from __future__ import annotations

from datetime import datetime

import msgspec

from subscription_services.kernel.actors import Role
from subscription_services.kernel.authorise import By
from subscription_services.kernel.personal import ColleagueName

OWN, PUBLIC = By.OWN.value, By.PUBLIC.value


class Reason(msgspec.Struct, frozen=True):
    """One thing that somebody holds. `id` is that of the grant, task or token; "own" is the account itself, "public"
    what everybody may do.

    `why` is what was written down as the reason, of a task its title. `entry` is the entry of the log that says so,
    with its proof; empty where the log has none (any more). `approval` is the request that others approved."""

    id: str
    by: By
    role: Role | None = None
    given_by: str = ""
    given_by_name: ColleagueName = ""
    since: datetime | None = None
    until: datetime | None = None
    why: str = ""
    about: str = ""
    entry: str = ""
    approval: str = ""


class Condition(msgspec.Struct, frozen=True):
    """What is asked beside permission: "second-factor", "recent-sign-in" (`number` minutes), "approvals" (`number`
    people who hold one of `roles`) or "open-task"."""

    kind: str
    number: int = 0
    roles: list[Role] = []


class Allowed(msgspec.Struct, frozen=True):
    """An operation that is allowed, `by` the reasons with these ids, the first counts. `own`: for one's own account
    only."""

    operation: str
    summary: str
    room: str
    own: bool
    by: list[str]
    needs: list[Condition]


class Taken(msgspec.Struct, frozen=True):
    """Something that code allows to a role of theirs, and that was taken from the role here."""

    role: Role
    operation: str
    summary: str


class WhatCan(msgspec.Struct, frozen=True):
    """What one person or program can do at a moment. Where `open` is false they cannot sign in, so nothing.

    `second_factor` is false where what roles and tasks allow waits until they turn one on. `sound` is false where
    limits of roles were changed beside the service (see access.role_limits)."""

    account: str
    name: ColleagueName
    kind: str
    open: bool
    second_factor: bool
    at: datetime
    reasons: list[Reason]
    operations: list[Allowed]
    taken: list[Taken]
    sound: bool


class Able(msgspec.Struct, frozen=True):
    """Somebody who can do it, and by what."""

    account: str
    name: ColleagueName
    second_factor: bool
    reasons: list[Reason]


class WhoCan(msgspec.Struct, frozen=True):
    """Who can do an operation now. `own` are the kinds of accounts that can do it for themselves; `public` says why
    everybody can, `system` why the service itself does. `roles` are those to which code allows it, `taken` those of
    them from which it was taken here. `approvers` are those who could approve it now, where that is needed.

    `whole` is false where more people can do it than are listed."""

    operation: str
    summary: str
    room: str
    changes: bool
    people: list[Able]
    programs: list[Able]
    own: list[str]
    public: str
    system: str
    roles: list[Role]
    taken: list[Role]
    needs: list[Condition]
    approvers: list[Able]
    whole: bool

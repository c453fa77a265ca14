"""What may be done and was not for a long time: roles of people, and operations of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from sqlalchemy import select

from subscription_services.kernel.actors import Role
from subscription_services.kernel.operations import Operation
from subscription_services.kernel.personal import ColleagueName, NotPersonal
from subscription_services.kernel.transaction import ReadTransaction

from . import accounts, catalogue, queries
from .model import ServiceAccountState
from .use_model import disuse
from .uses import Key, last_uses


class UnusedRole(msgspec.Struct, frozen=True):
    """A role that somebody has held since `since`. `unused` are its operations that they did not use for the days
    of the report, of `all`; `last_used_at` is when they last used any."""

    grant: str
    account: str
    name: ColleagueName
    role: Role
    since: datetime
    last_used_at: datetime | None
    unused: list[str]
    all: int

    @property
    def whole(self) -> bool:
        """Nothing of it was used, so that it can be taken away as it is."""
        return len(self.unused) == self.all


class UnusedScopes(msgspec.Struct, frozen=True):
    """A token in force, with the operations that neither it nor the tokens it replaced were used for since `since`."""

    token: str
    service_account: str
    name: Annotated[str, NotPersonal("the name of a program")]
    owner_name: ColleagueName
    since: datetime
    last_used_at: datetime | None
    unused: list[str]
    all: int

    @property
    def whole(self) -> bool:
        return len(self.unused) == self.all


class EndsSoon(msgspec.Struct, frozen=True):
    """An account, service account or token that will be deactivated, since nobody uses it. `program` is the service
    account that it is or belongs to."""

    holder: str
    name: ColleagueName
    program: str
    last_used_at: datetime
    ends_at: datetime


class Unused(msgspec.Struct, frozen=True):
    """What was not used for `days`. `whole` says that all of the log was read; else the newest uses may be missing."""

    days: int
    whole: bool
    roles: list[UnusedRole]
    tokens: list[UnusedScopes]
    ending: list[EndsSoon]


def unused(tx: ReadTransaction, now: datetime, days: int) -> Unused:
    """The whole report. What was given less than `days` ago is not in it: it is too early to say."""
    uses, whole = last_uses(tx.connection)
    border = now - timedelta(days=days)
    roles = sorted(_roles(tx, uses, now, border), key=lambda item: (not item.whole, item.name.casefold(), item.role))
    tokens = sorted(_tokens(tx, uses, now, border), key=lambda item: (not item.whole, item.name.casefold(), item.token))
    return Unused(days, whole, roles, tokens, list(_ending(tx)))


def operations_of_role(operations: Sequence[Operation], role: Role) -> list[str]:
    """Names of what a role may do."""
    return sorted(item.name for item in operations if role in item.by)


def line_of(tokens: Sequence[queries.Token], token: queries.Token) -> list[queries.Token]:
    """A token and those that it replaced, the newest first."""
    by_id = {item.id: item for item in tokens}
    line = [token]
    while (before := by_id.get(line[-1].replaces or "")) is not None and before not in line:
        line.append(before)
    return line


def _roles(tx: ReadTransaction, uses: Mapping[Key, datetime], now: datetime, border: datetime) -> Iterator[UnusedRole]:
    operations = list(catalogue.operations())
    may = {role: operations_of_role(operations, role) for role in Role}
    for person in queries.team(tx, now).people:
        for grant in person.grants:
            if person.state == "closed" or grant.granted_at > border:
                continue
            used = {name: uses[person.id, "", name] for name in may[grant.role] if (person.id, "", name) in uses}
            left = [name for name in may[grant.role] if name not in used or used[name] < border]
            if left:
                newest = max(used.values(), default=None)
                yield UnusedRole(
                    grant.id, person.id, person.name, grant.role, grant.granted_at, newest, left, len(may[grant.role])
                )


def _tokens(
    tx: ReadTransaction, uses: Mapping[Key, datetime], now: datetime, border: datetime
) -> Iterator[UnusedScopes]:
    for account in queries.service_accounts(tx):
        if account.state is not ServiceAccountState.ACTIVE or account.expires_at <= now:
            continue
        for token in account.tokens:
            line = line_of(account.tokens, token)
            since = min(item.issued_at for item in line)
            if token.revoked_at is not None or token.expires_at <= now or since > border:
                continue
            used: dict[str, datetime] = {}
            for credential in ("", *(item.id for item in line)):
                for name in token.scopes:
                    at = uses.get((account.id, credential, name))
                    if at is not None:
                        used[name] = max(used.get(name, at), at)
            left = [name for name in token.scopes if name not in used or used[name] < border]
            if left:
                newest = max(used.values(), default=None)
                yield UnusedScopes(
                    token.id, account.id, account.name, account.owner_name, since, newest, left, len(token.scopes)
                )


def _ending(tx: ReadTransaction) -> Iterator[EndsSoon]:
    rows = tx.connection.execute(select(disuse).order_by(disuse.c.ends_at)).all()
    people = {item.id: item.name for item in accounts.people(tx, [row.holder for row in rows])}
    programs = queries.service_accounts(tx) if rows else []
    owned = {account.id: account for account in programs}
    owned |= {item.id: account for account in programs for item in account.tokens}
    for row in rows:
        account = owned.get(row.holder)
        name, program = (people.get(row.holder, row.holder), "") if account is None else (account.name, account.id)
        yield EndsSoon(row.holder, name, program, row.last_used_at, row.ends_at)

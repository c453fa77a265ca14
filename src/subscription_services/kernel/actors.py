"""Who acts: subscriber, team member, service account, anonymous, or the system itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

import msgspec
from sqlalchemy import Connection


class Role(StrEnum):
    """Roles of team members; each is a set of operations, derived from the registry. Nobody holds all."""

    SUPPORT = "support"
    BILLING = "billing"
    SECURITY = "security"
    OPERATIONS = "operations"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


@dataclass(frozen=True, slots=True)
class Scope:
    """A permission that depends on what the operation is about; perform() decides it."""

    text: str


class Anonymous(msgspec.Struct, frozen=True):
    @property
    def id(self) -> str:
        return "anonymous"

    kind: ClassVar[str] = "anonymous"


class Subscriber(msgspec.Struct, frozen=True):
    """A signed-in customer; `id` is the account's."""

    id: str
    session: str
    signed_in_at: datetime
    second_factor: bool = False
    kind: ClassVar[str] = "subscriber"
    own: ClassVar[Scope] = Scope("Subscriber.own")


class TeamMember(msgspec.Struct, frozen=True):
    """A signed-in member of staff; `id` is the account's. `tasks` are the operations that open tasks lent them when the
    request came in, `withheld` what their roles could not do here: enough to ask further, never enough to allow."""

    id: str
    session: str
    signed_in_at: datetime
    roles: frozenset[Role] = frozenset()
    second_factor: bool = False
    tasks: frozenset[str] = frozenset()
    withheld: frozenset[tuple[Role, str]] = frozenset()
    kind: ClassVar[str] = "team-member"
    own: ClassVar[Scope] = Scope("TeamMember.own")


class ServiceAccount(msgspec.Struct, frozen=True):
    """A program; `scopes` are names of operations, `key` the thumbprint of the key that the request proved."""

    id: str
    token: str
    scopes: frozenset[str] = frozenset()
    key: str = ""
    kind: ClassVar[str] = "service-account"
    scoped: ClassVar[Scope] = Scope("ServiceAccount.scoped")


class System(msgspec.Struct, frozen=True):
    """The service itself; `name` says which part, such as `jobs.dunning`."""

    name: str
    kind: ClassVar[str] = "system"

    @property
    def id(self) -> str:
        return f"system:{self.name}"


Actor = Anonymous | Subscriber | TeamMember | ServiceAccount | System


class Elevation(msgspec.Struct, frozen=True):
    """A task that is open now: it lends these operations of a role, and only for what it is about where that has an
    id."""

    id: str
    operations: frozenset[str]
    about: str = ""
    role: Role | None = None


class Standing(msgspec.Struct, frozen=True):
    """What is true of an actor right now, read from the store inside the transaction, never cached.

    `withheld` are operations that code allows to a role and stored policy does not: it narrows, and never widens."""

    roles: frozenset[Role] = frozenset()
    scopes: frozenset[str] = frozenset()
    signed_in_at: datetime | None = None
    second_factor: bool = False
    elevations: tuple[Elevation, ...] = ()
    withheld: frozenset[tuple[Role, str]] = frozenset()

    @property
    def tasks(self) -> frozenset[str]:
        """Names of the operations that open tasks lend."""
        return frozenset().union(*(item.operations for item in self.elevations))


class Asker(msgspec.Struct, frozen=True):
    """Somebody who is found out in the very transaction that answers them, by what their request brought along.

    `found` gives who it is and what is true of them there, and raises NotSignedIn or SessionUnbound; `noted` is
    awaited once they were answered."""

    found: Callable[[Connection, datetime], tuple[Actor, Standing]]
    noted: Callable[[], Awaitable[None]]

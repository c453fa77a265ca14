"""Who acts: subscriber, team member, service account, anonymous, or the system itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar


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


@dataclass(frozen=True, slots=True)
class Anonymous:
    @property
    def id(self) -> str:
        return "anonymous"

    kind: ClassVar[str] = "anonymous"


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A signed-in customer; `id` is the account's."""

    id: str
    session: str
    signed_in_at: datetime
    second_factor: bool = False
    kind: ClassVar[str] = "subscriber"
    own: ClassVar[Scope] = Scope("Subscriber.own")


@dataclass(frozen=True, slots=True)
class TeamMember:
    """A signed-in member of staff; `id` is the account's. `tasks` are the operations that open tasks lent them when the
    request came in: enough to ask further, never enough to allow."""

    id: str
    session: str
    signed_in_at: datetime
    roles: frozenset[Role] = frozenset()
    second_factor: bool = False
    tasks: frozenset[str] = frozenset()
    kind: ClassVar[str] = "team-member"
    own: ClassVar[Scope] = Scope("TeamMember.own")


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A program; `scopes` are names of operations."""

    id: str
    token: str
    scopes: frozenset[str] = field(default_factory=frozenset)
    kind: ClassVar[str] = "service-account"
    scoped: ClassVar[Scope] = Scope("ServiceAccount.scoped")


@dataclass(frozen=True, slots=True)
class System:
    """The service itself; `name` says which part, such as `jobs.dunning`."""

    name: str
    kind: ClassVar[str] = "system"

    @property
    def id(self) -> str:
        return f"system:{self.name}"


Actor = Anonymous | Subscriber | TeamMember | ServiceAccount | System


@dataclass(frozen=True, slots=True)
class Elevation:
    """A task that is open now: it lends these operations, and only for what it is about where that has an id."""

    id: str
    operations: frozenset[str]
    about: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is true of an actor right now, read from the store inside the transaction, never cached."""

    roles: frozenset[Role] = frozenset()
    scopes: frozenset[str] = frozenset()
    signed_in_at: datetime | None = None
    second_factor: bool = False
    elevations: tuple[Elevation, ...] = ()

    @property
    def tasks(self) -> frozenset[str]:
        """Names of the operations that open tasks lend."""
        return frozenset().union(*(item.operations for item in self.elevations))

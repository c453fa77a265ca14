"""Operations: what each one declares, and the registry that everything else is drawn from.

An operation is a plain function that says once who may do it and what it needs:

    @operation("subscriptions.cancel", by=[Subscriber.own, Role.SUPPORT], subject=owner_of_subscription)
    def cancel(tx: Transaction, ctx: Context, request: CancelSubscription) -> Change[Subscription]: ...

A function that takes a `Transaction` is a change; one that takes a `ReadTransaction` is a read.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from .actors import Actor, Role, ServiceAccount, Standing, Subscriber, TeamMember
from .context import Context
from .errors import DomainError
from .events import Detail
from .masking import Plan, plan_of
from .ports import Keys, Writer
from .transaction import ReadTransaction, Transaction

T = TypeVar("T")
NAME = re.compile(r"[a-z][a-z_]*(\.[a-z][a-z0-9_]*)+")


@dataclass(frozen=True, slots=True)
class Public:
    """Permission: anybody, and why that is right."""

    reason: str


@dataclass(frozen=True, slots=True)
class SystemOnly:
    """Permission: the service itself; never over the API or a page."""

    reason: str


Permission = Any  # Subscriber.own, TeamMember.own, ServiceAccount.scoped, Role, Public, SystemOnly


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `allowed` calls within `seconds` for each `by`: "address", "block" (its network), "actor", "all" or a
    field of the request."""

    allowed: int
    seconds: int
    by: str

    key: Callable[[Keys, Context, Any], str] | None = None
    """Finds what is counted where `by` is only a name; an empty answer counts nothing."""


@dataclass(frozen=True, slots=True)
class GrowingLimit:
    """After `allowed` failures in a row each one more costs a longer wait: `waits` in seconds, the last one for good.

    Counted before the work is done, so that many at once get no more; success forgets, and so does `quiet` seconds.
    """

    allowed: int
    waits: tuple[int, ...]
    quiet: int
    by: str
    key: Callable[[Keys, Context, Any], str]


@dataclass(frozen=True, slots=True)
class SpreadLimit:
    """Recognises guesses that are spread thin: under one `key` more than `allowed` different `member`s failed.

    A failure is counted afterwards; a success forgets its own member where `forgiven`. Once recognised, it lasts until
    no new member failed for `seconds`. The log gets an event of its own (`event`), and `ctx.suspected` names `by`: the
    operation does the same work and then answers like any other failure, so that nobody learns that they were noticed.
    An empty key counts nothing.
    """

    allowed: int
    seconds: int
    by: str
    event: str
    key: Callable[[Keys, Context, Any], str]
    member: Callable[[Keys, Context, Any], str]
    forgiven: bool = True


AnyLimit = Limit | GrowingLimit | SpreadLimit


class Need(Protocol):
    """A condition beyond permission; raises a Refusal that says what to do."""

    @property
    def name(self) -> str: ...
    def check(self, ctx: Context, standing: Standing) -> None: ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """Slow work done before the transaction, in the named pool; what it found is checked again inside."""

    run: Callable[..., Any]
    pool: str = "prepare"


class Change(msgspec.Struct, Generic[T], frozen=True):
    """The result of a change: `after` is the answer. The event names the changed fields, never their values.

    `details` are plain facts fit for the log (no personal data); `personal` is sealed for the subject.
    """

    before: object | None
    after: T
    object: str = ""
    subject: str = ""
    details: Mapping[str, Detail] = {}
    personal: Mapping[str, str] = {}
    actor: Actor | None = None
    for_subject: bool = False
    """`personal` is sealed under the subject's key instead of the doer's: the subject reads it among what happened to
    them, and it is erased with them. Where the doer was then stands as its index only."""
    by_stranger: bool = False
    """Nobody showed to be the subject: where the request came from is sealed under the key of the month, for any
    subject and for none, because opening the subject's own key takes time that tells that there is one."""


class Declined(msgspec.Struct, frozen=True):
    """The operation refuses but keeps what it wrote (a counted wrong password); `error` is raised after the commit."""

    error: DomainError
    object: str = ""
    subject: str = ""
    details: Mapping[str, Detail] = {}


class Seen(msgspec.Struct, Generic[T], frozen=True):
    """The result of a read of somebody's data."""

    answer: T
    object: str = ""
    subject: str = ""
    details: Mapping[str, Detail] = {}


SubjectOf = Callable[[ReadTransaction, Context, Any], str]
Concerns = Callable[[ReadTransaction, Context, Any], bytes]


def own_account(tx: ReadTransaction, ctx: Context, request: object) -> str:
    """The subject is the actor's own account."""
    return ctx.actor.id


def no_subject(tx: ReadTransaction, ctx: Context, request: object) -> str:
    """The operation concerns no single person, or it names them itself."""
    return ""


@dataclass(frozen=True, slots=True)
class Operation:
    name: str
    by: tuple[Permission, ...]
    needs: tuple[Need, ...]
    limits: tuple[AnyLimit, ...]
    subject: SubjectOf
    prepare: Prepared | None
    idempotent: bool
    audited: bool
    changes: bool
    request: type[msgspec.Struct]
    answer: Any
    run: Callable[..., Any]
    summary: str
    module: str
    concerns: Concerns | None = None
    personal: Plan | None = None
    """How the answer is masked for who looks at somebody else's; None where it holds nothing personal."""
    writer: Writer = Writer.PERFORM

    @property
    def room(self) -> str:
        return self.name.partition(".")[0]

    @property
    def public(self) -> bool:
        return any(isinstance(rule, Public) for rule in self.by)

    @property
    def simple(self) -> bool:
        """Whether it is a read that needs not know who asks before its transaction: not limited, not for everybody."""
        return not (self.changes or self.limits or self.public)

    @property
    def internal(self) -> bool:
        return all(isinstance(rule, SystemOnly) for rule in self.by)


def operation(
    name: str,
    *,
    by: Sequence[Permission],
    needs: Sequence[Need] = (),
    limits: Sequence[AnyLimit] = (),
    subject: SubjectOf | None = None,
    prepare: Prepared | None = None,
    idempotent: bool = True,
    audited: bool = True,
    concerns: Concerns | None = None,
    writer: Writer = Writer.PERFORM,
) -> Callable[[Callable[..., Any]], Operation]:
    """Declare the function below as an operation. There is no default permission.

    `idempotent` says that a client may repeat it under an idempotency key (false only where the answer is a secret
    shown once). `audited=False` is for reads of what is public anyway; a change cannot switch it off. `concerns` gives
    the state of the rows that it is about, from the rows alone: once that changes, approvals have to be asked anew.
    `writer` is who its transaction is to the database.
    """

    def declare(run: Callable[..., Any]) -> Operation:
        hints = get_type_hints(run, include_extras=True)
        parameters = list(inspect.signature(run).parameters)
        request = hints[parameters[2]]
        changes = hints[parameters[0]] is Transaction
        answer = _answer(hints["return"])
        declared = Operation(
            name=name, by=tuple(by), needs=tuple(needs), limits=tuple(limits),
            subject=subject or _default_subject(by), prepare=prepare, idempotent=changes and idempotent,
            audited=audited, changes=changes, request=request, answer=answer, run=run,
            summary=(inspect.getdoc(run) or "").partition("\n")[0], module=run.__module__, concerns=concerns,
            personal=plan_of(answer), writer=writer,
        )  # fmt: skip
        _check(declared, subject)
        return declared

    return declare


class Registry:
    """Every operation of the house, by name. Built once in app.py from the rooms' lists."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._by_name: dict[str, Operation] = {}
        for item in operations:
            if item.name in self._by_name:
                raise ValueError(f"two operations are named {item.name}")
            self._by_name[item.name] = item

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._by_name.values())

    def __contains__(self, item: Operation) -> bool:
        return self._by_name.get(item.name) is item

    def __len__(self) -> int:
        return len(self._by_name)

    def get(self, name: str) -> Operation | None:
        return self._by_name.get(name)


def operations_of(module: Any) -> tuple[Operation, ...]:
    """The operations declared in a module, in the order of their text."""
    return tuple(value for value in vars(module).values() if isinstance(value, Operation))


def permission_text(rule: Permission) -> str:
    """A permission in words, for documentation and refusals."""
    match rule:
        case Public(reason):
            return f"anybody ({reason})"
        case SystemOnly(reason):
            return f"the service itself ({reason})"
        case Role():
            return f"team: {rule.value}"
        case _ if rule is Subscriber.own:
            return "subscriber, own account"
        case _ if rule is TeamMember.own:
            return "team member, own account"
        case _ if rule is ServiceAccount.scoped:
            return "service account with this scope"
        case _:
            raise TypeError(f"{rule!r} is not a permission")


def _default_subject(by: Sequence[Permission]) -> SubjectOf:
    return own_account if Subscriber.own in by or TeamMember.own in by else no_subject


def _answer(annotation: Any) -> Any:
    for part in (annotation, *get_args(annotation)):
        if get_origin(part) in (Change, Seen):
            return get_args(part)[0]
    raise TypeError(f"an operation returns Change[...] or Seen[...], not {annotation!r}")


def _check(declared: Operation, subject: SubjectOf | None) -> None:
    if not NAME.fullmatch(declared.name):
        raise ValueError(f"{declared.name!r} is not a name like room.verb")
    if not declared.by:
        raise ValueError(f"{declared.name} names nobody who may do it")
    if not declared.summary:
        raise ValueError(f"{declared.name} has no docstring")
    for rule in declared.by:
        permission_text(rule)
    if declared.changes and not declared.audited:
        raise ValueError(f"{declared.name} changes something and cannot leave the log")
    if not declared.audited and not declared.public:
        raise ValueError(f"{declared.name} is not public, so who looks stands in the log")
    named = [f for f in declared.request.__struct_fields__ if f == "id" or f.endswith("_id")]
    if Subscriber.own in declared.by and named and subject is None:
        raise ValueError(f"{declared.name} takes {named[0]} and must say whose it is (subject=...)")

"""Makes audit events out of what perform() saw, and keeps strangers from filling the log."""

from __future__ import annotations

import base64
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from .actors import Actor, Anonymous, ServiceAccount, Subscriber, System
from .context import Context
from .deferred import Look
from .errors import DomainError, Refusal, SubjectErased
from .events import Detail, Event, Outcome
from .ids import PATTERN, kind
from .operations import Change, Declined, Operation, Seen, SpreadLimit
from .ports import Keys

REFUSALS_A_MINUTE = 20
SOURCES_REMEMBERED = 10_000


NO_GROUNDS: Mapping[str, Detail] = {}


def success_event(
    keys: Keys, operation: Operation, ctx: Context, subject: str, result: Change[Any],
    grounds: Mapping[str, Detail] = NO_GROUNDS,
) -> Event:  # fmt: skip
    """`grounds` says on what it was done beside the actor's own permission: a task, approvals."""
    details = {**result.details, **grounds}
    if changed := _changed_fields(result.before, result.after):
        details["changed"] = changed
    identifier = _object(result)
    return _event(
        keys, operation, ctx, Outcome.SUCCESS, object_id=identifier, subject=result.subject or subject,
        details=details, personal=result.personal, actor=result.actor, by_stranger=result.by_stranger,
        for_subject=result.for_subject,
    )  # fmt: skip


def touched(result: Change[Any] | Declined, subject: str) -> tuple[str, ...]:
    """The ids that an operation was about."""
    return (result.object if isinstance(result, Declined) else _object(result), result.subject or subject)


def _object(result: Change[Any]) -> str:
    return result.object or str(getattr(result.after, "id", ""))


def declined_event(
    keys: Keys, operation: Operation, ctx: Context, subject: str, result: Declined,
    grounds: Mapping[str, Detail] = NO_GROUNDS,
) -> Event:  # fmt: skip
    return _event(
        keys, operation, ctx, Outcome.REFUSED, object_id=result.object, subject=result.subject or subject,
        details={**result.details, **grounds}, reason=result.error.code,
    )  # fmt: skip


def seen_event(
    keys: Keys, operation: Operation, ctx: Context, subject: str, seen: Seen[Any],
    grounds: Mapping[str, Detail] = NO_GROUNDS,
) -> Event:  # fmt: skip
    return _event(
        keys, operation, ctx, Outcome.SUCCESS, object_id=seen.object, subject=seen.subject or subject,
        details={**seen.details, **grounds},
    )  # fmt: skip


def own_look(operation: Operation, ctx: Context, subject: str, seen: Seen[Any]) -> Look | None:
    """What would be equal in the event of another such look; None unless a subscriber looks at their own."""
    actor = ctx.actor
    if not isinstance(actor, Subscriber):
        return None
    details = msgspec.json.encode(seen.details) if seen.details else b""
    return Look(actor.id, actor.session, operation.name, seen.object, seen.subject or subject, details, ctx.origin)


def failure_event(
    keys: Keys,
    operation: Operation,
    ctx: Context,
    error: Exception,
    request: msgspec.Struct | None = None,
    personal: Mapping[str, str] | None = None,
) -> Event:
    """A refusal by its code; any other failure by its class, never by its text, which may hold personal data.

    The object is what the request named, as far as that is an id of ours."""
    reason = error.code if isinstance(error, DomainError) else f"error:{type(error).__name__}"
    outcome = Outcome.REFUSED if isinstance(error, Refusal) else Outcome.FAILED
    return _event(keys, operation, ctx, outcome, reason=reason, object_id=_named_object(request), personal=personal)


def _named_object(request: msgspec.Struct | None) -> str:
    values = () if request is None else (getattr(request, name) for name in request.__struct_fields__)
    return next((value for value in values if isinstance(value, str) and PATTERN.fullmatch(value)), "")


def _event(
    keys: Keys,
    operation: Operation,
    ctx: Context,
    outcome: Outcome,
    *,
    object_id: str = "",
    subject: str = "",
    details: Mapping[str, Detail] | None = None,
    personal: Mapping[str, str] | None = None,
    actor: Actor | None = None,
    reason: str = "",
    by_stranger: bool = False,
    for_subject: bool = False,
) -> Event:
    doer = actor or ctx.actor
    identifier = ctx.ids.new("evt")
    sealed_for = subject if for_subject else _sealed_for(doer, "" if by_stranger else subject, ctx)
    values = dict(personal or {})
    if ctx.origin.address and not for_subject:
        values["address"] = ctx.origin.address
    if ctx.origin.user_agent and not for_subject:
        values["user_agent"] = ctx.origin.user_agent[:300]
    sealed = _seal(keys, sealed_for, identifier, values)
    index = keys.blind_index("ledger.origin", ctx.origin.address).hex() if ctx.origin.address else ""
    return Event(
        id=identifier, at=ctx.now, action=operation.name, outcome=outcome, actor_kind=doer.kind, actor=doer.id,
        session=doer.token if isinstance(doer, ServiceAccount) else getattr(doer, "session", ""),
        object_kind=kind(object_id) if object_id else "", object=object_id,
        subject=subject, reason=reason, details=details or {}, sealed=sealed,
        sealed_for=sealed_for if sealed else "", origin_index=index, correlation=ctx.correlation_id,
    )  # fmt: skip


def _sealed_for(doer: Actor, subject: str, ctx: Context) -> str:
    """Whose key seals the personal fields: the doer's own; a stranger's go under the key of the month."""
    if not isinstance(doer, Anonymous | System | ServiceAccount):
        return doer.id
    return subject or f"origin:{ctx.now:%Y-%m}"


def _seal(keys: Keys, subject: str, event_id: str, values: Mapping[str, str]) -> dict[str, str]:
    if not values:
        return {}
    try:
        keys.ensure_subject(subject, "origin" if subject.startswith("origin:") else "subject")
        return {
            name: base64.b64encode(keys.seal(subject, f"ledger.event.{name}", event_id, text.encode())).decode()
            for name, text in values.items()
        }
    except SubjectErased:
        return {}


def _changed_fields(before: object | None, after: object) -> list[str]:
    if before is None or type(before) is not type(after) or not isinstance(before, msgspec.Struct):
        return []
    return [name for name in before.__struct_fields__ if getattr(before, name) != getattr(after, name)]


@dataclass(slots=True)
class Refusals:
    """Counts refusals of strangers by source and minute; over the limit they become one counted event."""

    _counts: dict[tuple[str, int], int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def admit(self, source: str, now: datetime) -> bool:
        """Whether this refusal is recorded by itself."""
        minute = int(now.timestamp() // 60)
        with self._lock:
            if (source, minute) not in self._counts and len(self._counts) >= SOURCES_REMEMBERED:
                source = ""
            count = self._counts.get((source, minute), 0) + 1
            self._counts[source, minute] = count
        return count <= REFUSALS_A_MINUTE

    def flush(self, keys: Keys, ctx: Context) -> list[Event]:
        """Take the counted events of the minutes that are over."""
        minute = int(ctx.now.timestamp() // 60)
        with self._lock:
            over = {key: count for key, count in self._counts.items() if key[1] < minute}
            for key in over:
                del self._counts[key]
        return [
            _flood_event(keys, ctx, source, count - REFUSALS_A_MINUTE)
            for (source, _), count in over.items()
            if count > REFUSALS_A_MINUTE
        ]


def spread_event(keys: Keys, ctx: Context, limit: SpreadLimit) -> Event:
    """Spread guesses were recognised. Says by what and from where, never with which password or at whose account."""
    identifier, address = ctx.ids.new("evt"), ctx.origin.address
    period = f"origin:{ctx.now:%Y-%m}"
    return Event(
        id=identifier, at=ctx.now, action=limit.event, outcome=Outcome.REFUSED, actor_kind="anonymous",
        actor="anonymous", reason="spread-guesses", correlation=ctx.correlation_id,
        details={"recognised": limit.by, "failed": limit.allowed + 1, "minutes": limit.seconds // 60},
        sealed=_seal(keys, period, identifier, {"address": address} if address else {}), sealed_for=period,
        origin_index=keys.blind_index("ledger.origin", address).hex() if address else "",
    )  # fmt: skip


def _flood_event(keys: Keys, ctx: Context, source: str, count: int) -> Event:
    identifier = ctx.ids.new("evt")
    period = f"origin:{ctx.now:%Y-%m}"
    return Event(
        id=identifier, at=ctx.now, action="kernel.refusals", outcome=Outcome.REFUSED, actor_kind="anonymous",
        actor="anonymous", count=count, reason="flood", correlation=ctx.correlation_id,
        sealed=_seal(keys, period, identifier, {"address": source} if source else {}), sealed_for=period,
        origin_index=keys.blind_index("ledger.origin", source).hex() if source else "",
    )  # fmt: skip

"""Idempotency keys: the same key and request get the same answer; another request under that key is refused.

Kept are keyed digests and the sealed answer, in the transaction of the change itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, insert, select

from .actors import Subscriber, TeamMember
from .context import Context
from .errors import IdempotencyMismatch, SubjectErased
from .model import idempotency
from .operations import Operation
from .ports import Keys
from .words import json_of

SEAL_ID = "kernel.idempotency.answer"
SUBJECT = "kernel.idempotency"


@dataclass(frozen=True, slots=True)
class Replay:
    answer: Any


def recall(
    connection: Connection, keys: Keys, operation: Operation, ctx: Context, request: msgspec.Struct
) -> Replay | None:
    """The answer given before under this key, if any. Raises IdempotencyMismatch."""
    if ctx.idempotency_key is None or not operation.idempotent:
        return None
    key = _key(keys, operation, ctx)
    row = connection.execute(select(idempotency).where(idempotency.c.key == key)).one_or_none()
    if row is None:
        return None
    if row.request != _digest(keys, request):
        raise IdempotencyMismatch()
    owner, sealed = parted(row.answer)
    answer = keys.unseal(owner, SEAL_ID, key.hex(), sealed)
    return Replay(msgspec.json.decode(answer, type=operation.answer))


def remember(
    connection: Connection,
    keys: Keys,
    operation: Operation,
    ctx: Context,
    request: msgspec.Struct,
    answer: Any,
    subject: str = "",
) -> None:
    """Keep `answer` for a client that repeats itself, under the key of the person it is about or was given to.

    With that key it is erased, in copies of the database as well.
    """
    if ctx.idempotency_key is None or not operation.idempotent:
        return
    key = _key(keys, operation, ctx)
    text = json_of(answer)
    owner = subject or (ctx.actor.id if isinstance(ctx.actor, Subscriber | TeamMember) else SUBJECT)
    try:
        if owner != SUBJECT:
            keys.ensure_subject(owner)
        sealed = keys.seal(owner, SEAL_ID, key.hex(), text)
    except SubjectErased:  # by this very operation, which could not read anything of theirs any more
        owner = SUBJECT
        sealed = keys.seal(owner, SEAL_ID, key.hex(), text)
    kept = f"{owner}\n".encode() + sealed
    values = {"key": key, "request": _digest(keys, request), "answer": kept, "at": ctx.now}
    connection.execute(insert(idempotency).values(values))


def forget_before(connection: Connection, moment: Any) -> int:
    """Drop answers older than `moment`. Returns how many."""
    return connection.execute(delete(idempotency).where(idempotency.c.at < moment)).rowcount


def parted(kept: bytes) -> tuple[str, bytes]:
    """Whose key it is, and the sealed answer. A sealed value begins with a byte that begins no id."""
    if kept[:1] == b"\x01":
        return SUBJECT, kept
    owner, _, sealed = kept.partition(b"\n")
    return owner.decode(), sealed


def _key(keys: Keys, operation: Operation, ctx: Context) -> bytes:
    text = "\n".join([ctx.actor.id, operation.name, ctx.idempotency_key or ""])
    return keys.mac("kernel.idempotency", text.encode())


def _digest(keys: Keys, request: msgspec.Struct) -> bytes:
    return keys.mac("kernel.idempotency", msgspec.json.encode(request, order="deterministic"))

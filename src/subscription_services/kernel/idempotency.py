"""Idempotency keys: the same key and request get the same answer; another request under that key is refused.

Kept are keyed digests and the sealed answer, in the transaction of the change itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, insert, select

from .context import Context
from .errors import IdempotencyMismatch
from .model import idempotency
from .operations import Operation
from .ports import Keys

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
    answer = keys.unseal(SUBJECT, SEAL_ID, key.hex(), row.answer)
    return Replay(msgspec.json.decode(answer, type=operation.answer))


def remember(
    connection: Connection,
    keys: Keys,
    operation: Operation,
    ctx: Context,
    request: msgspec.Struct,
    answer: Any,
) -> None:
    """Keep `answer` for a client that repeats itself."""
    if ctx.idempotency_key is None or not operation.idempotent:
        return
    key = _key(keys, operation, ctx)
    sealed = keys.seal(SUBJECT, SEAL_ID, key.hex(), msgspec.json.encode(answer))
    values = {"key": key, "request": _digest(keys, request), "answer": sealed, "at": ctx.now}
    connection.execute(insert(idempotency).values(values))


def forget_before(connection: Connection, moment: Any) -> int:
    """Drop answers older than `moment`. Returns how many."""
    return connection.execute(delete(idempotency).where(idempotency.c.at < moment)).rowcount


def _key(keys: Keys, operation: Operation, ctx: Context) -> bytes:
    text = "\n".join([ctx.actor.id, operation.name, ctx.idempotency_key or ""])
    return keys.mac("kernel.idempotency", text.encode())


def _digest(keys: Keys, request: msgspec.Struct) -> bytes:
    return keys.mac("kernel.idempotency", msgspec.json.encode(request, order="deterministic"))

"""Trusting a store again when what was remembered outside it is lost: a person's decision, recorded before it counts.

What is adopted on a machine is remembered there (`sequencer.adopt`), by the command `subs ledger adopt`.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta
from sqlalchemy import select

from subscription_services.kernel.actors import Role
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import Conflict
from subscription_services.kernel.needs import recent_sign_in
from subscription_services.kernel.operations import Change, operation
from subscription_services.kernel.transaction import Transaction

from . import model


class AdoptCheckpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The checkpoint to trust, which must be one of the store; `root` is hexadecimal."""

    size: Annotated[int, Meta(ge=0)]
    root: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    reason: Annotated[str, Meta(min_length=3, max_length=500)]


class Adopted(msgspec.Struct, frozen=True):
    size: int
    root: str


class NotTheCheckpoint(Conflict):
    code = "not-the-checkpoint"
    message = "The log has no signed checkpoint of this size and root."


@operation("ledger.adopt", by=[Role.SECURITY], needs=[recent_sign_in])
def adopt(tx: Transaction, ctx: Context, request: AdoptCheckpoint) -> Change[Adopted]:
    """Decide to trust the store's checkpoint on a machine that remembers none; `subs ledger adopt` then acts on it."""
    columns = model.checkpoint.c
    root = tx.connection.execute(select(columns.root).where(columns.size == request.size)).scalar()
    if root is None or bytes(root).hex() != request.root:
        raise NotTheCheckpoint()
    answer = Adopted(request.size, request.root)
    return Change(
        None, answer, details={"size": request.size, "root": request.root}, personal={"reason": request.reason}
    )


OPERATIONS = (adopt,)

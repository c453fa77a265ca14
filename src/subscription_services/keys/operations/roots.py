"""Making a root key and moving the keys to another one: what two people allow before `subs keys` does it, offline."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from subscription_services.kernel.context import Context
from subscription_services.kernel.needs import approvals, recent_sign_in
from subscription_services.kernel.operations import Change, operation
from subscription_services.kernel.transaction import Transaction
from subscription_services.keys.roots.address import parse

from .backup import KEEPERS

Address = Annotated[str, Meta(min_length=1, max_length=1000)]


class CreateRoot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`root` is the address of a root key that is not there yet, as in SUBS_KEYS_ROOT."""

    root: Address


class MoveRoot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`to` is the address of the root key that takes over, as in SUBS_KEYS_ROOT."""

    to: Address


class RootAllowed(msgspec.Struct, frozen=True):
    """The address that was allowed; it holds no secret."""

    root: str


@operation("keys.create_root", by=KEEPERS, needs=[recent_sign_in, approvals(1)])
def create_root(tx: Transaction, ctx: Context, request: CreateRoot) -> Change[RootAllowed]:
    """Allow a new root key; `subs keys create-root` makes it once this is recorded."""
    address = str(parse(request.root))
    return Change(None, RootAllowed(address), object="root", details={"root": address})


@operation("keys.move_root", by=KEEPERS, needs=[recent_sign_in, approvals(1)])
def move_root(tx: Transaction, ctx: Context, request: MoveRoot) -> Change[RootAllowed]:
    """Allow the keys to move to another root key; `subs keys move-root` moves them once this is recorded."""
    address = str(parse(request.to))
    return Change(None, RootAllowed(address), object="root", details={"root": address})


OPERATIONS = (create_root, move_root)

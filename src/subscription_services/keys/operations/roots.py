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
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class CreateRoot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`root` is the address of a root key that is not there yet, as in SUBS_KEYS_ROOT."""

    root: Address


class MoveRoot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`to` is the address of the root key that takes over, as in SUBS_KEYS_ROOT."""

    to: Address


class AgreeToRoot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`digest` is that of the operation and request agreed to, in hexadecimal."""

    digest: Digest


class RootAllowed(msgspec.Struct, frozen=True):
    """The address that was allowed; it holds no secret."""

    root: str


class AgreedToRoot(msgspec.Struct, frozen=True):
    digest: str


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


@operation("keys.agree_to_root", by=KEEPERS, needs=[recent_sign_in])
def agree_to_root(tx: Transaction, ctx: Context, request: AgreeToRoot) -> Change[AgreedToRoot]:
    """Agree, at the terminal, that somebody else makes a root key or moves the keys to another one."""
    return Change(None, AgreedToRoot(request.digest), object=request.digest)


OPERATIONS = (create_root, move_root, agree_to_root)

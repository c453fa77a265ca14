"""Taking rights at keys away from a part of the service. What the program does not allow nobody can add."""

from __future__ import annotations

from typing import Annotated, cast

import msgspec
from msgspec import Meta

from subscription_services.kernel.context import Context
from subscription_services.kernel.needs import approvals, recent_sign_in
from subscription_services.kernel.operations import Change, Seen, operation
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.keys.model import Kind, Verb
from subscription_services.keys.sealing import CallerKeys
from subscription_services.keys.states import Denial

from .rotation import OWNERS, READERS

Word = Annotated[str, Meta(min_length=1, max_length=200)]


class Restriction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `caller` may not do: `verb` None is everything, `kind` None what is no key (journal, copies), `purpose` is
    exact or ends in "*"."""

    caller: Word
    purpose: Word
    kind: Kind | None = None
    verb: Verb | None = None


class ReadRestrictions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was taken away."""


class Restrict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All restrictions from now on; those not named are taken back."""

    restrictions: Annotated[list[Restriction], Meta(max_length=200)]


class Restrictions(msgspec.Struct, frozen=True):
    restrictions: list[Restriction]


@operation("keys.restrictions", by=READERS)
def restrictions(tx: ReadTransaction, ctx: Context, request: ReadRestrictions) -> Seen[Restrictions]:
    """Show what parts of the service may no longer do with keys although the program would let them."""
    return Seen(_stored(tx))


@operation("keys.restrict", by=OWNERS, needs=[recent_sign_in, approvals(1)])
def restrict(tx: Transaction, ctx: Context, request: Restrict) -> Change[Restrictions]:
    """Change what parts of the service may do with keys: only ever less than the program allows."""
    before = _stored(tx)
    wanted = [Denial(item.caller, item.verb, item.kind, item.purpose) for item in request.restrictions]
    cast("CallerKeys", tx.keys).restrict(wanted)
    said = [f"{item.caller} {item.verb or 'all'} {item.kind or '-'} {item.purpose}" for item in request.restrictions]
    return Change(before, _stored(tx), object="policy", details={"restrictions": said[:50], "count": len(said)})


def _stored(tx: ReadTransaction) -> Restrictions:
    found = cast("CallerKeys", tx.keys).restrictions()
    return Restrictions([Restriction(item.caller, item.purpose, item.kind, item.verb) for item in found])


OPERATIONS = (restrictions, restrict)

"""What masked fields of a person hold, for `access.unmask`. Addresses are billing's; app.py joins the two."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Annotated

import msgspec

from subscription_services.kernel.actors import ServiceAccount, Standing, TeamMember
from subscription_services.kernel.ids import kind
from subscription_services.kernel.personal import FieldKind, NotPersonal
from subscription_services.kernel.sight import NOTHING, unmaskable
from subscription_services.kernel.transaction import ReadTransaction

from .accounts import Account

Shown = Annotated[str | None, NotPersonal("showing it is what the operation is for, with a reason")]
AddressOf = Callable[[ReadTransaction, str], str]
FIELDS = {"email": FieldKind.EMAIL, "name": FieldKind.NAME, "address": FieldKind.ADDRESS}
_joined: list[AddressOf] = []


class Unmasked(msgspec.Struct, frozen=True):
    """What was asked for; null where it was not. It is shown once, and nothing stays unmasked."""

    account: str
    email: Shown = None
    name: Shown = None
    address: Shown = None


def read_addresses(reader: AddressOf | None) -> None:
    """Where a person's billing address is read; told once by app.py."""
    _joined[:] = [] if reader is None else [reader]


def values_of(tx: ReadTransaction, person: Account, wanted: Collection[str]) -> Unmasked:
    """The fields that are wanted, as they stand."""
    return Unmasked(
        person.id,
        person.email if "email" in wanted else None,
        person.name if "name" in wanted else None,
        (_joined[0](tx, person.id) if _joined else "") if "address" in wanted else None,
    )


def may_unmask(standing: Standing, actor: object, operation: str, account: str) -> tuple[frozenset[FieldKind], str]:
    """The kinds that the actor may have shown of this account, and the task that lends some of them, "" where none.

    What their own roles allow counts first; a task about another person lends nothing here."""
    if isinstance(actor, ServiceAccount):
        return (frozenset(FIELDS.values()) if operation in standing.scopes else NOTHING), ""
    if not isinstance(actor, TeamMember):
        return NOTHING, ""
    own, lent, task = unmaskable(standing.roles), NOTHING, ""
    for item in standing.elevations:
        other = kind(item.about) == kind(account) and item.about != account
        if operation in item.operations and item.role is not None and not other:
            more = unmaskable((item.role,)) - own
            lent, task = lent | more, task or (item.id if more else "")
    return own | lent, task

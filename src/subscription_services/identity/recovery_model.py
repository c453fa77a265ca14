"""Tables of what takes days: changes of an address, recoveries, and the links that belong to one of them."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, LargeBinary, String, Table, text

from subscription_services.kernel.columns import Instant
from subscription_services.kernel.model import metadata
from subscription_services.storage import Sealed, personal

from . import model


class ChangeState(StrEnum):
    """`superseded`: a later one took its place, or an earlier one was taken back."""

    OPEN = "open"
    EFFECTIVE = "effective"
    REVERTED = "reverted"
    STOPPED = "stopped"
    TAKEN = "taken"
    SUPERSEDED = "superseded"


class Lost(StrEnum):
    """What a recovery is for: every second factor, or the old address that should confirm a change."""

    FACTORS = "factors"
    ADDRESS = "address"


class RecoveryState(StrEnum):
    OPEN = "open"
    APPROVED = "approved"
    REFUSED = "refused"
    STOPPED = "stopped"
    USED = "used"
    LAPSED = "lapsed"


class Step(StrEnum):
    """What a link allows; each belongs to one change or one recovery."""

    CONFIRM_OLD = "confirm_old"
    CONFIRM_NEW = "confirm_new"
    REVERT = "revert"
    RECOVER = "recover"
    STOP = "stop"
    FINISH = "finish"


LIVE = (RecoveryState.OPEN, RecoveryState.APPROVED)
_OPEN = text("state = 'open'")
_LIVE = text("state IN ('open', 'approved')")

email_change = Table(
    "identity_email_change",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("account", String(48), ForeignKey(model.account.c.id), nullable=False),
    Column("session", String(48), nullable=False),  # that asked: it goes on when the others end
    Column("state", String(16), nullable=False),
    Column("old_email", Sealed("identity.email_change.old_email"), nullable=False),
    Column("new_email", Sealed("identity.email_change.new_email"), nullable=False),
    Column("old_index", LargeBinary, nullable=False),  # nobody else gets this address while it can be taken back
    Column("asked_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("old_confirmed_at", Instant),
    Column("new_confirmed_at", Instant),
    Column("took_effect_at", Instant),
    Column("revert_until", Instant),
    Column("ended_at", Instant),
    CheckConstraint("state IN ('open', 'effective', 'reverted', 'stopped', 'taken', 'superseded')", name="state"),
    CheckConstraint(
        "state NOT IN ('effective', 'reverted') OR (old_confirmed_at IS NOT NULL AND new_confirmed_at IS NOT NULL"
        " AND took_effect_at IS NOT NULL AND revert_until IS NOT NULL)",
        name="both_confirmed",
    ),
    info=personal("account"),
)
Index(
    "uq_identity_email_change_open", email_change.c.account, unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN
)  # fmt: skip
Index(None, email_change.c.old_index)

recovery = Table(
    "identity_recovery",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("account", String(48), ForeignKey(model.account.c.id), nullable=False),
    Column("lost", String(16), nullable=False),
    Column("change", String(48), ForeignKey(email_change.c.id)),
    Column("proved_by", String(16), nullable=False),  # password, letter or session
    Column("state", String(16), nullable=False),
    Column("address", Sealed("identity.recovery.address"), nullable=False),
    Column("user_agent", Sealed("identity.recovery.user_agent"), nullable=False),
    Column("asked_at", Instant, nullable=False),
    Column("wait_until", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("noticed_at", Instant, nullable=False),  # when the owner was told last
    Column("decided_at", Instant),
    Column("decided_by", String(48)),
    Column("reason", Sealed("identity.recovery.reason")),
    Column("ended_at", Instant),
    Column("end_reason", String(48)),
    CheckConstraint("lost IN ('factors', 'address')", name="lost"),
    CheckConstraint("(lost = 'address') = (change IS NOT NULL)", name="address_has_change"),
    CheckConstraint("proved_by IN ('password', 'letter', 'session')", name="proved_by"),
    CheckConstraint("state IN ('open', 'approved', 'refused', 'stopped', 'used', 'lapsed')", name="state"),
    CheckConstraint("(state IN ('open', 'approved')) = (ended_at IS NULL)", name="end"),
    CheckConstraint("state NOT IN ('approved', 'refused', 'used') OR decided_by IS NOT NULL", name="decided"),
    CheckConstraint("decided_by IS NULL OR decided_by <> account", name="not_by_oneself"),
    info=personal("account"),
)
Index("uq_identity_recovery_live", recovery.c.account, unique=True, sqlite_where=_LIVE, postgresql_where=_LIVE)

change_link = Table(
    "identity_change_link",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("account", String(48), ForeignKey(model.account.c.id), nullable=False),
    Column("about", String(48), nullable=False),  # a change or a recovery; the account itself before there is one
    Column("step", String(16), nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
    CheckConstraint("step IN ('confirm_old', 'confirm_new', 'revert', 'recover', 'stop', 'finish')", name="step"),
)
Index(None, change_link.c.about, change_link.c.step)

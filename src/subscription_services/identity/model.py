"""Tables of accounts, sessions, second factors and links."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
)  # fmt: skip

from subscription_services.kernel.columns import Instant
from subscription_services.kernel.model import metadata
from subscription_services.storage import Sealed, personal


class Kind(StrEnum):
    SUBSCRIBER = "subscriber"
    TEAM = "team"


class State(StrEnum):
    UNVERIFIED = "unverified"
    INVITED = "invited"
    ACTIVE = "active"
    CLOSED = "closed"


class Purpose(StrEnum):
    """What a link in a letter proves or allows."""

    VERIFY = "verify"
    ENROL = "enrol"
    RESET = "reset"
    UNLOCK = "unlock"


account = Table(
    "identity_account",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("email", Sealed("identity.account.email"), nullable=False),
    Column("email_index", LargeBinary, unique=True),  # empty once the account is closed: the address is free again
    Column("name", Sealed("identity.account.name"), nullable=False),
    Column("verifier", LargeBinary),
    Column("probe", Boolean, nullable=False),
    Column("idle_minutes", Integer),  # shorter than the operators' time, by the owner's wish
    Column("created_at", Instant, nullable=False),
    Column("verified_at", Instant),
    Column("closed_at", Instant),
    CheckConstraint("idle_minutes >= 1", name="idle_minutes"),
    CheckConstraint("kind IN ('subscriber', 'team')", name="kind"),
    CheckConstraint("state IN ('unverified', 'invited', 'active', 'closed')", name="state"),
    CheckConstraint("(state = 'closed') = (email_index IS NULL)", name="closed_frees_address"),
    info=personal("id"),
)
Index(None, account.c.kind, account.c.state)

session = Table(
    "identity_session",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("account", String(48), ForeignKey("identity_account.id"), nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),  # SHA-256 of a 256-bit random token
    Column("user_agent", Sealed("identity.session.user_agent"), nullable=False),
    Column("address", Sealed("identity.session.address"), nullable=False),
    Column("second_factor", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("signed_in_at", Instant, nullable=False),
    Column("last_used_at", Instant, nullable=False),
    Column("idle_until", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("end_reason", String(32)),
    CheckConstraint("(ended_at IS NULL) = (end_reason IS NULL)", name="end_has_reason"),
    info=personal("account"),
)
Index(None, session.c.account, session.c.ended_at)

totp = Table(
    "identity_totp",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("account", String(48), ForeignKey("identity_account.id"), nullable=False, unique=True),
    Column("secret", Sealed("identity.totp.secret"), nullable=False),
    Column("last_step", BigInteger, nullable=False),  # the newest time step that was used: a code works once
    Column("created_at", Instant, nullable=False),
    Column("confirmed_at", Instant),
    info=personal("account"),
)

recovery_code = Table(
    "identity_recovery_code",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("account", String(48), ForeignKey("identity_account.id"), nullable=False),
    Column("mac", LargeBinary, nullable=False, unique=True),
    Column("used_at", Instant),
)
Index(None, recovery_code.c.account)

link = Table(
    "identity_link",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("account", String(48), ForeignKey("identity_account.id"), nullable=False),
    Column("purpose", String(16), nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
    CheckConstraint("purpose IN ('verify', 'enrol', 'reset', 'unlock')", name="purpose"),
)
Index(None, link.c.account, link.c.purpose)

challenge = Table(
    "identity_challenge",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("account", String(48), ForeignKey("identity_account.id"), nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("expires_at", Instant, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("used_at", Instant),
    CheckConstraint("tries >= 0", name="tries"),
)
Index(None, challenge.c.expires_at)

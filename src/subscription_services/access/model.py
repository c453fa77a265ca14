"""Tables of who may do what. Rows end; they are never deleted, since reviews and the log refer to them."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    text,
)

from subscription_services.kernel.actors import Role
from subscription_services.kernel.columns import Instant
from subscription_services.kernel.model import metadata
from subscription_services.storage.sealed import Sealed, personal

LONGEST_TOKEN_DAYS = 90
_LONGEST_TOKEN = LONGEST_TOKEN_DAYS * 24 * 3600 * 1_000_000  # microseconds, as Instant stores them
_ROLES = ", ".join(f"'{role.value}'" for role in Role)


class ServiceAccountState(StrEnum):
    ACTIVE = "active"
    ENDED = "ended"


grant = Table(
    "access_grant",
    metadata,
    Column("id", String(48), primary_key=True),  # grt_
    Column("account", String(48), nullable=False),
    Column("role", String(32), nullable=False),
    Column("granted_by", String(120), nullable=False),
    Column("granted_at", Instant, nullable=False),
    # never without an end: a review that keeps a standing grant moves its end on, and without one it lapses by time
    Column("ends_at", Instant, nullable=False),
    Column("standing", Boolean, nullable=False),
    Column("ended_at", Instant),
    Column("ended_by", String(120)),
    # its holder got another role then, so this one lapses at ends_at unless somebody confirms it: `ends_before` is put
    # back
    Column("moved_at", Instant),
    Column("ends_before", Instant),
    Column("reason", Sealed("access.grant.reason"), nullable=False),
    CheckConstraint(f"role IN ({_ROLES})", name="known_role"),
    CheckConstraint("account <> granted_by", name="not_to_oneself"),
    # written out although the column is not null: an end that is left out or zero must never read as "for ever"
    CheckConstraint("ends_at IS NOT NULL AND ends_at > granted_at", name="ends_later"),
    CheckConstraint("(ended_at IS NULL) = (ended_by IS NULL)", name="ended_by_somebody"),
    CheckConstraint("ended_at IS NULL OR ended_at >= granted_at", name="ended_later"),
    CheckConstraint("moved_at IS NULL OR ends_at > moved_at", name="moved_lapses"),
    CheckConstraint(
        "(moved_at IS NULL) = (ends_before IS NULL) AND (ends_before IS NULL OR ends_before > ends_at)",
        name="moved_sooner",
    ),
    info=personal("account"),
)
_live = text("ended_at IS NULL")
Index("uq_access_grant_live", grant.c.account, grant.c.role, unique=True, sqlite_where=_live, postgresql_where=_live)
Index("ix_access_grant_role", grant.c.role, sqlite_where=_live, postgresql_where=_live)
# all that each decision reads of a grant, so that it reads no row: after a commit SQLCipher opens every page anew
Index(
    "ix_access_grant_held", grant.c.account, grant.c.role, grant.c.granted_at, grant.c.ends_at, sqlite_where=_live,
    postgresql_where=_live,
)  # fmt: skip

service_account = Table(
    "access_service_account",
    metadata,
    Column("id", String(48), primary_key=True),  # svc_
    Column("name", String(80), nullable=False, unique=True),
    Column("owner", String(48), nullable=False),
    Column("state", String(16), nullable=False),
    Column("created_by", String(120), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    # until when a review has confirmed it; what is left out is 1970, when nothing was confirmed
    Column("confirmed_until", Instant, nullable=False, server_default=text("0")),
    CheckConstraint("state IN ('active', 'ended')", name="known_state"),
    CheckConstraint("expires_at > created_at", name="expires_later"),
)
Index(None, service_account.c.owner)

token = Table(
    "access_token",
    metadata,
    Column("id", String(48), primary_key=True),  # tok_
    Column("service_account", String(48), ForeignKey("access_service_account.id"), nullable=False),
    Column("digest", LargeBinary(32), nullable=False, unique=True),  # SHA-256 of the token's text
    Column("scopes", Text, nullable=False),  # JSON list of names of operations
    Column("jkt", String(43)),  # RFC 7638 thumbprint of the key that it is bound to
    Column("replaces", String(48)),  # the token that it was rotated from
    Column("issued_by", String(120), nullable=False),
    Column("issued_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("last_used_at", Instant),
    Column("revoked_at", Instant),
    Column("mac", LargeBinary, nullable=False),  # see `row_codes`; empty once it is revoked
    CheckConstraint("length(digest) = 32", name="sha256"),
    CheckConstraint("length(jkt) = 43", name="thumbprint"),
    CheckConstraint("revoked_at IS NULL OR length(mac) = 0", name="revoked_for_good"),
    CheckConstraint("expires_at > issued_at", name="expires_later"),
    CheckConstraint(f"expires_at <= issued_at + {_LONGEST_TOKEN}", name="expires_soon"),
)
Index(None, token.c.service_account)

bootstrap = Table(
    "access_bootstrap",
    metadata,
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    CheckConstraint("place = 1", name="once_ever"),
)

"""What the directory of the team's organisation (SCIM) calls an account."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, LargeBinary, String, Table

from subscription_services.kernel.columns import Instant
from subscription_services.kernel.model import metadata
from subscription_services.storage.sealed import Sealed, personal

directory_entry = Table(
    "access_directory_entry",
    metadata,
    Column("account", String(48), primary_key=True),
    Column("external_id", Sealed("access.directory_entry.external_id")),
    Column("external_index", LargeBinary, unique=True),  # keyed
    Column("removed_at", Instant),  # the directory deleted it: it is not shown to it any more
    CheckConstraint("(external_id IS NULL) = (external_index IS NULL)", name="indexed"),
    info=personal("account"),
)

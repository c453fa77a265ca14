"""Tables of single sign-on: whom the provider means by a subject, and flows that were finished."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, LargeBinary, String, Table, UniqueConstraint

from subscription_services.kernel.columns import Instant
from subscription_services.kernel.model import metadata

sign_on = Table(
    "identity_sign_on",
    metadata,
    Column("id", String(48), primary_key=True),  # sso_
    Column("account", String(48), ForeignKey("identity_account.id"), nullable=False),
    Column("issuer", String(300), nullable=False),
    Column("subject_index", LargeBinary, nullable=False, unique=True),  # keyed, of issuer and subject
    Column("linked_at", Instant, nullable=False),
    Column("last_used_at", Instant, nullable=False),
    UniqueConstraint("account", "issuer"),
)

sign_on_use = Table(
    "identity_sign_on_use",
    metadata,
    Column("digest", LargeBinary, primary_key=True),  # of the flow's secret: it is finished once
    Column("until", Instant, nullable=False),
)
Index(None, sign_on_use.c.until)

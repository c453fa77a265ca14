"""The tables of billing, with the rules that the database itself keeps."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy import LargeBinary as Bytes

from subscription_services.kernel.columns import Instant
from subscription_services.kernel.model import metadata
from subscription_services.storage import Sealed, personal

terms = Table(
    "billing_terms",
    metadata,
    Column("id", String(8), primary_key=True),
    Column("body", Text, nullable=False),
    Column("at", Instant, nullable=False),
    CheckConstraint("id = 'current'", name="one"),
)

customer = Table(
    "billing_customer",
    metadata,
    Column("account", String(48), primary_key=True),
    Column("processor_id", String(64), unique=True),
    Column("details", Sealed("billing.customer.details")),
    Column("created_at", Instant, nullable=False),
    info=personal("account"),
)

series = Table(
    "billing_series",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("last", Integer, nullable=False),
    CheckConstraint("last >= 0", name="counts"),
)

invoice = Table(
    "billing_invoice",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("account", String(48), nullable=False),
    Column("number", String(24), unique=True),
    Column("occasion", String(80), nullable=False, unique=True),
    Column("subscription", String(48), nullable=False),
    Column("status", String(16), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("net", BigInteger, nullable=False),
    Column("tax", BigInteger, nullable=False),
    Column("tax_rate", Integer, nullable=False),
    Column("tax_words", String(80), nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("refunded", BigInteger, nullable=False),
    Column("seller", Text, nullable=False),
    Column("buyer", Sealed("billing.invoice.buyer"), nullable=False),
    Column("period_start", Instant, nullable=False),
    Column("period_end", Instant, nullable=False),
    Column("issued_at", Instant),
    Column("paid_at", Instant),
    Column("created_at", Instant, nullable=False),
    CheckConstraint("status IN ('draft', 'open', 'paid', 'void', 'uncollectible')", name="status"),
    CheckConstraint("total = net + tax", name="total"),
    CheckConstraint("net >= 0 AND tax >= 0", name="positive"),
    CheckConstraint("refunded BETWEEN 0 AND total", name="refunded"),
    CheckConstraint("(status = 'draft') = (number IS NULL)", name="numbered"),
    CheckConstraint("(status = 'paid') = (paid_at IS NOT NULL)", name="paid"),
    info=personal("", fixed="accounting"),
)
Index(None, invoice.c.account, invoice.c.created_at)
Index(None, invoice.c.subscription)

line = Table(
    "billing_line",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("invoice", String(48), ForeignKey("billing_invoice.id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("text", String(200), nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("unit", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False),
    UniqueConstraint("invoice", "position"),
    CheckConstraint("amount = unit * quantity", name="amount"),
)

payment = Table(
    "billing_payment",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("invoice", String(48), ForeignKey("billing_invoice.id"), nullable=False),
    Column("account", String(48), nullable=False),
    Column("subscription", String(48), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("state", String(16), nullable=False),
    Column("off_session", Boolean, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("failure", String(80), nullable=False),
    Column("intent", String(80), unique=True),
    Column("client_secret", Sealed("billing.payment.client_secret")),
    Column("job", String(48)),
    Column("refunded", BigInteger, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("settled_at", Instant),
    CheckConstraint("state IN ('waiting', 'open', 'processing', 'paid', 'cancelled')", name="state"),
    CheckConstraint("amount > 0", name="amount"),
    CheckConstraint("refunded BETWEEN 0 AND amount", name="refunded"),
    CheckConstraint("state = 'paid' OR refunded = 0", name="paid_first"),
    CheckConstraint("(state IN ('paid', 'cancelled')) = (settled_at IS NOT NULL)", name="settled"),
    info=personal("account"),
)
# one payment, and so one intent at the processor, for each invoice: an intent can be charged once only
Index(
    "uq_billing_payment_live", payment.c.invoice, unique=True,
    sqlite_where=text("state <> 'cancelled'"), postgresql_where=text("state <> 'cancelled'"),
)  # fmt: skip
Index(None, payment.c.state, payment.c.created_at)
Index(None, payment.c.account)

method = Table(
    "billing_method",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("account", String(48), nullable=False),
    Column("token_index", Bytes, nullable=False, unique=True),
    Column("token", Sealed("billing.method.token"), nullable=False),
    Column("brand", Sealed("billing.method.brand"), nullable=False),
    Column("last4", Sealed("billing.method.last4"), nullable=False),
    Column("expires", Sealed("billing.method.expires"), nullable=False),
    Column("is_default", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("removed_at", Instant),
    CheckConstraint("removed_at IS NULL OR NOT is_default", name="default_is_there"),
    info=personal("account"),
)
Index(
    "uq_billing_method_default", method.c.account, unique=True,
    sqlite_where=text("is_default = 1"), postgresql_where=text("is_default"),
)  # fmt: skip
Index(None, method.c.account)

refund = Table(
    "billing_refund",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("payment", String(48), ForeignKey("billing_payment.id"), nullable=False),
    Column("account", String(48), nullable=False),
    Column("number", String(24), nullable=False, unique=True),
    Column("amount", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("reason", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("processor_id", String(80), unique=True),
    Column("created_at", Instant, nullable=False),
    CheckConstraint("amount > 0", name="amount"),
    CheckConstraint("state IN ('waiting', 'done', 'failed')", name="state"),
)
Index(None, refund.c.payment)

event = Table(
    "billing_event",
    metadata,
    Column("id", String(120), primary_key=True),
    Column("kind", String(80), nullable=False),
    Column("object", String(120), nullable=False),
    Column("payment", String(48)),
    Column("received_at", Instant, nullable=False),
)

"""first schema"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

GUARDS = {
    "sqlite": [
        "CREATE TRIGGER ledger_event_no_update BEFORE UPDATE ON ledger_event WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'an event of the log is never changed'); END",
        "CREATE TRIGGER ledger_entry_no_update BEFORE UPDATE ON ledger_entry WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'the order of the log is never changed'); END",
        "CREATE TRIGGER ledger_checkpoint_no_update BEFORE UPDATE ON ledger_checkpoint WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'a signed checkpoint is never changed'); END",
        "CREATE TRIGGER ledger_tile_no_update BEFORE UPDATE ON ledger_tile WHEN NEW.level <> OLD.level OR NEW.tile_index <> OLD.tile_index OR length(NEW.hashes) < length(OLD.hashes) OR substr(NEW.hashes, 1, length(OLD.hashes)) <> OLD.hashes BEGIN SELECT RAISE(ABORT, 'a tile of the log only grows'); END",
        "CREATE TRIGGER ledger_writer_no_update BEFORE UPDATE ON ledger_writer WHEN NEW.counter <= OLD.counter OR NEW.writer <> OLD.writer BEGIN SELECT RAISE(ABORT, 'the counter of a writer only grows'); END",
        "CREATE TRIGGER ledger_cursor_no_update BEFORE UPDATE ON ledger_cursor WHEN NEW.counter <= OLD.counter OR NEW.writer <> OLD.writer BEGIN SELECT RAISE(ABORT, 'the cursor of a writer only grows'); END",
        "CREATE TRIGGER ledger_writer_no_delete BEFORE DELETE ON ledger_writer WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'nothing is removed from the log'); END",
        "CREATE TRIGGER ledger_event_no_delete BEFORE DELETE ON ledger_event WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'nothing is removed from the log'); END",
        "CREATE TRIGGER ledger_entry_no_delete BEFORE DELETE ON ledger_entry WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'nothing is removed from the log'); END",
        "CREATE TRIGGER ledger_cursor_no_delete BEFORE DELETE ON ledger_cursor WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'nothing is removed from the log'); END",
        "CREATE TRIGGER ledger_tile_no_delete BEFORE DELETE ON ledger_tile WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'nothing is removed from the log'); END",
        "CREATE TRIGGER ledger_checkpoint_no_delete BEFORE DELETE ON ledger_checkpoint WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'nothing is removed from the log'); END",
    ],
    "postgresql": [
        "\nCREATE OR REPLACE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS $$\nBEGIN RAISE EXCEPTION USING MESSAGE = TG_ARGV[0], ERRCODE = 'integrity_constraint_violation'; END $$",
        "CREATE TRIGGER ledger_event_no_update BEFORE UPDATE ON ledger_event FOR EACH ROW WHEN (1 = 1) EXECUTE FUNCTION ledger_refuse('an event of the log is never changed')",
        "CREATE TRIGGER ledger_entry_no_update BEFORE UPDATE ON ledger_entry FOR EACH ROW WHEN (1 = 1) EXECUTE FUNCTION ledger_refuse('the order of the log is never changed')",
        "CREATE TRIGGER ledger_checkpoint_no_update BEFORE UPDATE ON ledger_checkpoint FOR EACH ROW WHEN (1 = 1) EXECUTE FUNCTION ledger_refuse('a signed checkpoint is never changed')",
        "CREATE TRIGGER ledger_tile_no_update BEFORE UPDATE ON ledger_tile FOR EACH ROW WHEN (NEW.level <> OLD.level OR NEW.tile_index <> OLD.tile_index OR length(NEW.hashes) < length(OLD.hashes) OR substr(NEW.hashes, 1, length(OLD.hashes)) <> OLD.hashes) EXECUTE FUNCTION ledger_refuse('a tile of the log only grows')",
        "CREATE TRIGGER ledger_writer_no_update BEFORE UPDATE ON ledger_writer FOR EACH ROW WHEN (NEW.counter <= OLD.counter OR NEW.writer <> OLD.writer) EXECUTE FUNCTION ledger_refuse('the counter of a writer only grows')",
        "CREATE TRIGGER ledger_cursor_no_update BEFORE UPDATE ON ledger_cursor FOR EACH ROW WHEN (NEW.counter <= OLD.counter OR NEW.writer <> OLD.writer) EXECUTE FUNCTION ledger_refuse('the cursor of a writer only grows')",
        "CREATE TRIGGER ledger_writer_no_delete BEFORE DELETE ON ledger_writer FOR EACH ROW WHEN (1 = 1) EXECUTE FUNCTION ledger_refuse('nothing is removed from the log')",
        "CREATE TRIGGER ledger_event_no_delete BEFORE DELETE ON ledger_event FOR EACH ROW WHEN (1 = 1) EXECUTE FUNCTION ledger_refuse('nothing is removed from the log')",
        "CREATE TRIGGER ledger_entry_no_delete BEFORE DELETE ON ledger_entry FOR EACH ROW WHEN (1 = 1) EXECUTE FUNCTION ledger_refuse('nothing is removed from the log')",
        "CREATE TRIGGER ledger_cursor_no_delete BEFORE DELETE ON ledger_cursor FOR EACH ROW WHEN (1 = 1) EXECUTE FUNCTION ledger_refuse('nothing is removed from the log')",
        "CREATE TRIGGER ledger_tile_no_delete BEFORE DELETE ON ledger_tile FOR EACH ROW WHEN (1 = 1) EXECUTE FUNCTION ledger_refuse('nothing is removed from the log')",
        "CREATE TRIGGER ledger_checkpoint_no_delete BEFORE DELETE ON ledger_checkpoint FOR EACH ROW WHEN (1 = 1) EXECUTE FUNCTION ledger_refuse('nothing is removed from the log')",
        "CREATE TRIGGER ledger_writer_no_truncate BEFORE TRUNCATE ON ledger_writer FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse('nothing is removed from the log')",
        "CREATE TRIGGER ledger_event_no_truncate BEFORE TRUNCATE ON ledger_event FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse('nothing is removed from the log')",
        "CREATE TRIGGER ledger_entry_no_truncate BEFORE TRUNCATE ON ledger_entry FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse('nothing is removed from the log')",
        "CREATE TRIGGER ledger_cursor_no_truncate BEFORE TRUNCATE ON ledger_cursor FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse('nothing is removed from the log')",
        "CREATE TRIGGER ledger_tile_no_truncate BEFORE TRUNCATE ON ledger_tile FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse('nothing is removed from the log')",
        "CREATE TRIGGER ledger_checkpoint_no_truncate BEFORE TRUNCATE ON ledger_checkpoint FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse('nothing is removed from the log')",
    ],
}


def upgrade() -> None:
    # ### commands auto generated by Alembic - please adjust! ###
    op.create_table(
        "access_approval",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("operation", sa.String(length=120), nullable=False),
        sa.Column("requester", sa.String(length=120), nullable=False),
        sa.Column("approver", sa.String(length=120), nullable=False),
        sa.Column("given_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("consumed_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("approver <> requester", name=op.f("ck_access_approval_not_by_the_requester")),
        sa.CheckConstraint(
            "consumed_at IS NULL OR consumed_at BETWEEN given_at AND expires_at",
            name=op.f("ck_access_approval_consumed_in_time"),
        ),
        sa.CheckConstraint("expires_at > given_at", name=op.f("ck_access_approval_expires_later")),
        sa.CheckConstraint("length(digest) = 32", name=op.f("ck_access_approval_sha256")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_approval")),
    )
    op.create_index(
        "uq_access_approval_open",
        "access_approval",
        ["digest", "requester", "approver"],
        unique=True,
        sqlite_where=sa.text("consumed_at IS NULL"),
        postgresql_where=sa.text("consumed_at IS NULL"),
    )
    op.create_table(
        "access_bootstrap",
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("place = 1", name=op.f("ck_access_bootstrap_once_ever")),
        sa.PrimaryKeyConstraint("place", name=op.f("pk_access_bootstrap")),
    )
    op.create_table(
        "access_grant",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("account", sa.String(length=48), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("granted_by", sa.String(length=120), nullable=False),
        sa.Column("granted_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.String(length=120), nullable=True),
        sa.Column("reason", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint(
            "role IN ('support', 'billing', 'security', 'operations', 'auditor', 'administrator')",
            name=op.f("ck_access_grant_known_role"),
        ),
        sa.CheckConstraint("(ended_at IS NULL) = (ended_by IS NULL)", name=op.f("ck_access_grant_ended_by_somebody")),
        sa.CheckConstraint("account <> granted_by", name=op.f("ck_access_grant_not_to_oneself")),
        sa.CheckConstraint("ended_at IS NULL OR ended_at >= granted_at", name=op.f("ck_access_grant_ended_later")),
        sa.CheckConstraint("ends_at IS NULL OR ends_at > granted_at", name=op.f("ck_access_grant_ends_later")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_grant")),
        info={"subject": "account", "fixed_subject": ""},
    )
    op.create_index(
        "ix_access_grant_role",
        "access_grant",
        ["role"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        "uq_access_grant_live",
        "access_grant",
        ["account", "role"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "access_service_account",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("owner", sa.String(length=48), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_by", sa.String(length=120), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('active', 'ended')", name=op.f("ck_access_service_account_known_state")),
        sa.CheckConstraint("expires_at > created_at", name=op.f("ck_access_service_account_expires_later")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_service_account")),
        sa.UniqueConstraint("name", name=op.f("uq_access_service_account_name")),
    )
    op.create_index(op.f("ix_access_service_account_owner"), "access_service_account", ["owner"], unique=False)
    op.create_table(
        "billing_customer",
        sa.Column("account", sa.String(length=48), nullable=False),
        sa.Column("processor_id", sa.String(length=64), nullable=True),
        sa.Column("details", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_billing_customer")),
        sa.UniqueConstraint("processor_id", name=op.f("uq_billing_customer_processor_id")),
        info={"subject": "account", "fixed_subject": ""},
    )
    op.create_table(
        "billing_event",
        sa.Column("id", sa.String(length=120), nullable=False),
        sa.Column("kind", sa.String(length=80), nullable=False),
        sa.Column("object", sa.String(length=120), nullable=False),
        sa.Column("payment", sa.String(length=48), nullable=True),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_event")),
    )
    op.create_table(
        "billing_invoice",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("account", sa.String(length=48), nullable=False),
        sa.Column("number", sa.String(length=24), nullable=True),
        sa.Column("occasion", sa.String(length=80), nullable=False),
        sa.Column("subscription", sa.String(length=48), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("net", sa.BigInteger(), nullable=False),
        sa.Column("tax", sa.BigInteger(), nullable=False),
        sa.Column("tax_rate", sa.Integer(), nullable=False),
        sa.Column("tax_words", sa.String(length=80), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("refunded", sa.BigInteger(), nullable=False),
        sa.Column("seller", sa.Text(), nullable=False),
        sa.Column("buyer", sa.LargeBinary(), nullable=False),
        sa.Column("period_start", sa.BigInteger(), nullable=False),
        sa.Column("period_end", sa.BigInteger(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=True),
        sa.Column("paid_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("(status = 'draft') = (number IS NULL)", name=op.f("ck_billing_invoice_numbered")),
        sa.CheckConstraint("(status = 'paid') = (paid_at IS NOT NULL)", name=op.f("ck_billing_invoice_paid")),
        sa.CheckConstraint(
            "status IN ('draft', 'open', 'paid', 'void', 'uncollectible')", name=op.f("ck_billing_invoice_status")
        ),
        sa.CheckConstraint("net >= 0 AND tax >= 0", name=op.f("ck_billing_invoice_positive")),
        sa.CheckConstraint("refunded BETWEEN 0 AND total", name=op.f("ck_billing_invoice_refunded")),
        sa.CheckConstraint("total = net + tax", name=op.f("ck_billing_invoice_total")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_invoice")),
        sa.UniqueConstraint("number", name=op.f("uq_billing_invoice_number")),
        sa.UniqueConstraint("occasion", name=op.f("uq_billing_invoice_occasion")),
        info={"subject": "", "fixed_subject": "accounting"},
    )
    op.create_index(
        op.f("ix_billing_invoice_account_created_at"), "billing_invoice", ["account", "created_at"], unique=False
    )
    op.create_index(op.f("ix_billing_invoice_subscription"), "billing_invoice", ["subscription"], unique=False)
    op.create_table(
        "billing_method",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("account", sa.String(length=48), nullable=False),
        sa.Column("token_index", sa.LargeBinary(), nullable=False),
        sa.Column("token", sa.LargeBinary(), nullable=False),
        sa.Column("brand", sa.LargeBinary(), nullable=False),
        sa.Column("last4", sa.LargeBinary(), nullable=False),
        sa.Column("expires", sa.LargeBinary(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("removed_at IS NULL OR NOT is_default", name=op.f("ck_billing_method_default_is_there")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_method")),
        sa.UniqueConstraint("token_index", name=op.f("uq_billing_method_token_index")),
        info={"subject": "account", "fixed_subject": ""},
    )
    op.create_index(op.f("ix_billing_method_account"), "billing_method", ["account"], unique=False)
    op.create_index(
        "uq_billing_method_default",
        "billing_method",
        ["account"],
        unique=True,
        sqlite_where=sa.text("is_default = 1"),
        postgresql_where=sa.text("is_default"),
    )
    op.create_table(
        "billing_series",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.CheckConstraint("last >= 0", name=op.f("ck_billing_series_counts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_series")),
    )
    op.create_table(
        "billing_terms",
        sa.Column("id", sa.String(length=8), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 'current'", name=op.f("ck_billing_terms_one")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_terms")),
    )
    op.create_table(
        "identity_account",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("email", sa.LargeBinary(), nullable=False),
        sa.Column("email_index", sa.LargeBinary(), nullable=True),
        sa.Column("name", sa.LargeBinary(), nullable=False),
        sa.Column("verifier", sa.LargeBinary(), nullable=True),
        sa.Column("probe", sa.Boolean(), nullable=False),
        sa.Column("idle_minutes", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("verified_at", sa.BigInteger(), nullable=True),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("idle_minutes >= 1", name=op.f("ck_identity_account_idle_minutes")),
        sa.CheckConstraint(
            "(state = 'closed') = (email_index IS NULL)", name=op.f("ck_identity_account_closed_frees_address")
        ),
        sa.CheckConstraint("kind IN ('subscriber', 'team')", name=op.f("ck_identity_account_kind")),
        sa.CheckConstraint(
            "state IN ('unverified', 'invited', 'active', 'closed')", name=op.f("ck_identity_account_state")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_account")),
        sa.UniqueConstraint("email_index", name=op.f("uq_identity_account_email_index")),
        info={"subject": "id", "fixed_subject": ""},
    )
    op.create_index(op.f("ix_identity_account_kind_state"), "identity_account", ["kind", "state"], unique=False)
    op.create_table(
        "jobs_job",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("kind", sa.String(length=80), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=True),
        sa.Column("run_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("lease", sa.String(length=80), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.Column("given_up_at", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.String(length=200), server_default=sa.text("('')"), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("done_at IS NULL OR given_up_at IS NULL", name=op.f("ck_jobs_job_one_end")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs_job")),
        sa.UniqueConstraint("key", name=op.f("uq_jobs_job_key")),
    )
    op.create_index(
        "ix_jobs_job_due",
        "jobs_job",
        ["run_at"],
        unique=False,
        sqlite_where=sa.text("done_at IS NULL AND given_up_at IS NULL"),
        postgresql_where=sa.text("done_at IS NULL AND given_up_at IS NULL"),
    )
    op.create_index(op.f("ix_jobs_job_kind_created_at"), "jobs_job", ["kind", "created_at"], unique=False)
    op.create_table(
        "kernel_idempotency",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_kernel_idempotency")),
    )
    op.create_index(op.f("ix_kernel_idempotency_at"), "kernel_idempotency", ["at"], unique=False)
    op.create_table(
        "ledger_checkpoint",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_ledger_checkpoint")),
    )
    op.create_table(
        "ledger_cursor",
        sa.Column(
            "writer",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("counter", sa.BigInteger(), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("writer", name=op.f("pk_ledger_cursor")),
    )
    op.create_table(
        "ledger_entry",
        sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "event_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.CheckConstraint("log_index >= 0", name=op.f("ck_ledger_entry_from_zero")),
        sa.PrimaryKeyConstraint("log_index", name=op.f("pk_ledger_entry")),
        sa.UniqueConstraint("event_id", name=op.f("uq_ledger_entry_event_id")),
    )
    op.create_table(
        "ledger_event",
        sa.Column(
            "id", sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "writer",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("counter", sa.BigInteger(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column(
            "action",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "outcome",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "actor_kind",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "actor",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "object_kind",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "object",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "subject",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "origin_index",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "correlation",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_event")),
        sa.UniqueConstraint("writer", "counter", name=op.f("uq_ledger_event_writer_counter")),
    )
    op.create_index("ix_ledger_event_action", "ledger_event", ["action", "at", "id"], unique=False)
    op.create_index("ix_ledger_event_actor", "ledger_event", ["actor", "at", "id"], unique=False)
    op.create_index("ix_ledger_event_at", "ledger_event", ["at", "id"], unique=False)
    op.create_index(
        "ix_ledger_event_correlation",
        "ledger_event",
        ["correlation", "at", "id"],
        unique=False,
        sqlite_where=sa.text("correlation != ''"),
        postgresql_where=sa.text("correlation != ''"),
    )
    op.create_index(
        "ix_ledger_event_object",
        "ledger_event",
        ["object", "at", "id"],
        unique=False,
        sqlite_where=sa.text("object != ''"),
        postgresql_where=sa.text("object != ''"),
    )
    op.create_index(
        "ix_ledger_event_origin_index",
        "ledger_event",
        ["origin_index", "at", "id"],
        unique=False,
        sqlite_where=sa.text("origin_index != ''"),
        postgresql_where=sa.text("origin_index != ''"),
    )
    op.create_index(
        "ix_ledger_event_outcome",
        "ledger_event",
        ["outcome", "at", "id"],
        unique=False,
        sqlite_where=sa.text("outcome != 'success'"),
        postgresql_where=sa.text("outcome != 'success'"),
    )
    op.create_index(
        "ix_ledger_event_subject",
        "ledger_event",
        ["subject", "at", "id"],
        unique=False,
        sqlite_where=sa.text("subject != ''"),
        postgresql_where=sa.text("subject != ''"),
    )
    op.create_table(
        "ledger_tile",
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tile_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "tile_index", name=op.f("pk_ledger_tile")),
    )
    op.create_table(
        "ledger_writer",
        sa.Column(
            "writer",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("counter", sa.BigInteger(), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("writer", name=op.f("pk_ledger_writer")),
    )
    op.create_table(
        "mail_message",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("letter", sa.String(length=80), nullable=False),
        sa.Column("account", sa.String(length=48), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("code", sa.Integer(), nullable=False),
        sa.CheckConstraint("(state = 'sent') = (sent_at IS NOT NULL)", name=op.f("ck_mail_message_sent_has_time")),
        sa.CheckConstraint("state IN ('sent', 'failed', 'not_needed')", name=op.f("ck_mail_message_state")),
        sa.CheckConstraint("attempts >= 1", name=op.f("ck_mail_message_attempts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail_message")),
    )
    op.create_index(op.f("ix_mail_message_state_at"), "mail_message", ["state", "at"], unique=False)
    op.create_table(
        "storage_counter",
        sa.Column("bucket", sa.LargeBinary(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.Column("open_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("bucket", name=op.f("pk_storage_counter")),
    )
    op.create_index(op.f("ix_storage_counter_ends_at"), "storage_counter", ["ends_at"], unique=False)
    op.create_table(
        "storage_installation",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sandbox", sa.Boolean(), nullable=False),
        sa.Column("log_origin", sa.String(length=255), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_storage_installation_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_storage_installation")),
    )
    op.create_table(
        "subscriptions_plan",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("description", sa.String(length=300), nullable=False),
        sa.Column("features", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("interval", sa.String(length=8), nullable=False),
        sa.Column("trial_days", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("interval IN ('month', 'year')", name=op.f("ck_subscriptions_plan_interval")),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_subscriptions_plan_price")),
        sa.CheckConstraint("trial_days BETWEEN 0 AND 365", name=op.f("ck_subscriptions_plan_trial")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscriptions_plan")),
    )
    op.create_index(
        "uq_subscriptions_plan_name",
        "subscriptions_plan",
        ["name"],
        unique=True,
        sqlite_where=sa.text("active = 1"),
        postgresql_where=sa.text("active"),
    )
    op.create_table(
        "trust_check",
        sa.Column("promise", sa.String(length=60), nullable=False),
        sa.Column("how", sa.String(length=1000), nullable=False),
        sa.Column("every_seconds", sa.Integer(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("every_seconds > 0", name=op.f("ck_trust_check_interval")),
        sa.PrimaryKeyConstraint("promise", name=op.f("pk_trust_check")),
    )
    op.create_table(
        "trust_run",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("promise", sa.String(length=60), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.String(length=20), nullable=False),
        sa.Column("says", sa.String(length=1000), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("milliseconds", sa.Integer(), nullable=False),
        sa.CheckConstraint("verdict IN ('kept', 'broken', 'could not check')", name=op.f("ck_trust_run_verdict")),
        sa.CheckConstraint("milliseconds >= 0", name=op.f("ck_trust_run_milliseconds")),
        sa.CheckConstraint("number >= 1", name=op.f("ck_trust_run_number")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trust_run")),
        sa.UniqueConstraint("promise", "number", name=op.f("uq_trust_run_promise_number")),
    )
    op.create_index(op.f("ix_trust_run_at"), "trust_run", ["at"], unique=False)
    op.create_table(
        "access_token",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("service_account", sa.String(length=48), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("issued_by", sa.String(length=120), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("expires_at <= issued_at + 7776000000000", name=op.f("ck_access_token_expires_soon")),
        sa.CheckConstraint("expires_at > issued_at", name=op.f("ck_access_token_expires_later")),
        sa.CheckConstraint("length(digest) = 32", name=op.f("ck_access_token_sha256")),
        sa.ForeignKeyConstraint(
            ["service_account"], ["access_service_account.id"], name=op.f("fk_access_token_service_account")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_token")),
        sa.UniqueConstraint("digest", name=op.f("uq_access_token_digest")),
    )
    op.create_index(op.f("ix_access_token_service_account"), "access_token", ["service_account"], unique=False)
    op.create_table(
        "billing_line",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("invoice", sa.String(length=48), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("text", sa.String(length=200), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("unit", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount = unit * quantity", name=op.f("ck_billing_line_amount")),
        sa.ForeignKeyConstraint(["invoice"], ["billing_invoice.id"], name=op.f("fk_billing_line_invoice")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_line")),
        sa.UniqueConstraint("invoice", "position", name=op.f("uq_billing_line_invoice_position")),
    )
    op.create_table(
        "billing_payment",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("invoice", sa.String(length=48), nullable=False),
        sa.Column("account", sa.String(length=48), nullable=False),
        sa.Column("subscription", sa.String(length=48), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("off_session", sa.Boolean(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("failure", sa.String(length=80), nullable=False),
        sa.Column("intent", sa.String(length=80), nullable=True),
        sa.Column("client_secret", sa.LargeBinary(), nullable=True),
        sa.Column("job", sa.String(length=48), nullable=True),
        sa.Column("refunded", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "(state IN ('paid', 'cancelled')) = (settled_at IS NOT NULL)", name=op.f("ck_billing_payment_settled")
        ),
        sa.CheckConstraint("state = 'paid' OR refunded = 0", name=op.f("ck_billing_payment_paid_first")),
        sa.CheckConstraint(
            "state IN ('waiting', 'open', 'processing', 'paid', 'cancelled')", name=op.f("ck_billing_payment_state")
        ),
        sa.CheckConstraint("amount > 0", name=op.f("ck_billing_payment_amount")),
        sa.CheckConstraint("refunded BETWEEN 0 AND amount", name=op.f("ck_billing_payment_refunded")),
        sa.ForeignKeyConstraint(["invoice"], ["billing_invoice.id"], name=op.f("fk_billing_payment_invoice")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_payment")),
        sa.UniqueConstraint("intent", name=op.f("uq_billing_payment_intent")),
        info={"subject": "account", "fixed_subject": ""},
    )
    op.create_index(op.f("ix_billing_payment_account"), "billing_payment", ["account"], unique=False)
    op.create_index(
        op.f("ix_billing_payment_state_created_at"), "billing_payment", ["state", "created_at"], unique=False
    )
    op.create_index(
        "uq_billing_payment_live",
        "billing_payment",
        ["invoice"],
        unique=True,
        sqlite_where=sa.text("state <> 'cancelled'"),
        postgresql_where=sa.text("state <> 'cancelled'"),
    )
    op.create_table(
        "identity_challenge",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("account", sa.String(length=48), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("tries >= 0", name=op.f("ck_identity_challenge_tries")),
        sa.ForeignKeyConstraint(["account"], ["identity_account.id"], name=op.f("fk_identity_challenge_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_challenge")),
        sa.UniqueConstraint("digest", name=op.f("uq_identity_challenge_digest")),
    )
    op.create_index(op.f("ix_identity_challenge_expires_at"), "identity_challenge", ["expires_at"], unique=False)
    op.create_table(
        "identity_link",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("account", sa.String(length=48), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("purpose IN ('verify', 'enrol', 'reset', 'unlock')", name=op.f("ck_identity_link_purpose")),
        sa.ForeignKeyConstraint(["account"], ["identity_account.id"], name=op.f("fk_identity_link_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_link")),
        sa.UniqueConstraint("digest", name=op.f("uq_identity_link_digest")),
    )
    op.create_index(op.f("ix_identity_link_account_purpose"), "identity_link", ["account", "purpose"], unique=False)
    op.create_table(
        "identity_recovery_code",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("account", sa.String(length=48), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["account"], ["identity_account.id"], name=op.f("fk_identity_recovery_code_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_recovery_code")),
        sa.UniqueConstraint("mac", name=op.f("uq_identity_recovery_code_mac")),
    )
    op.create_index(op.f("ix_identity_recovery_code_account"), "identity_recovery_code", ["account"], unique=False)
    op.create_table(
        "identity_session",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("account", sa.String(length=48), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("user_agent", sa.LargeBinary(), nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=False),
        sa.Column("second_factor", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("signed_in_at", sa.BigInteger(), nullable=False),
        sa.Column("last_used_at", sa.BigInteger(), nullable=False),
        sa.Column("idle_until", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("end_reason", sa.String(length=32), nullable=True),
        sa.CheckConstraint(
            "(ended_at IS NULL) = (end_reason IS NULL)", name=op.f("ck_identity_session_end_has_reason")
        ),
        sa.ForeignKeyConstraint(["account"], ["identity_account.id"], name=op.f("fk_identity_session_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_session")),
        sa.UniqueConstraint("digest", name=op.f("uq_identity_session_digest")),
        info={"subject": "account", "fixed_subject": ""},
    )
    op.create_index(
        op.f("ix_identity_session_account_ended_at"), "identity_session", ["account", "ended_at"], unique=False
    )
    op.create_table(
        "identity_totp",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("account", sa.String(length=48), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["account"], ["identity_account.id"], name=op.f("fk_identity_totp_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_totp")),
        sa.UniqueConstraint("account", name=op.f("uq_identity_totp_account")),
        info={"subject": "account", "fixed_subject": ""},
    )
    op.create_table(
        "subscriptions_subscription",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("account", sa.String(length=48), nullable=False),
        sa.Column("plan", sa.String(length=48), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("interval", sa.String(length=8), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("anchor", sa.BigInteger(), nullable=False),
        sa.Column("period", sa.Integer(), nullable=False),
        sa.Column("period_start", sa.BigInteger(), nullable=False),
        sa.Column("period_end", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "(status = 'ended') = (ended_at IS NOT NULL)", name=op.f("ck_subscriptions_subscription_ended")
        ),
        sa.CheckConstraint(
            "ends_at IS NULL OR status <> 'incomplete'", name=op.f("ck_subscriptions_subscription_cancellable")
        ),
        sa.CheckConstraint(
            "status IN ('incomplete', 'trialing', 'active', 'past_due', 'ended')",
            name=op.f("ck_subscriptions_subscription_status"),
        ),
        sa.CheckConstraint("period_end > period_start", name=op.f("ck_subscriptions_subscription_period")),
        sa.ForeignKeyConstraint(["plan"], ["subscriptions_plan.id"], name=op.f("fk_subscriptions_subscription_plan")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscriptions_subscription")),
    )
    op.create_index(
        op.f("ix_subscriptions_subscription_account_created_at"),
        "subscriptions_subscription",
        ["account", "created_at"],
        unique=False,
    )
    op.create_index(
        op.f("ix_subscriptions_subscription_status_period_end"),
        "subscriptions_subscription",
        ["status", "period_end"],
        unique=False,
    )
    op.create_index(
        "uq_subscriptions_subscription_live",
        "subscriptions_subscription",
        ["account", "plan"],
        unique=True,
        sqlite_where=sa.text("status <> 'ended'"),
        postgresql_where=sa.text("status <> 'ended'"),
    )
    op.create_table(
        "billing_refund",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("payment", sa.String(length=48), nullable=False),
        sa.Column("account", sa.String(length=48), nullable=False),
        sa.Column("number", sa.String(length=24), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("processor_id", sa.String(length=80), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('waiting', 'done', 'failed')", name=op.f("ck_billing_refund_state")),
        sa.CheckConstraint("amount > 0", name=op.f("ck_billing_refund_amount")),
        sa.ForeignKeyConstraint(["payment"], ["billing_payment.id"], name=op.f("fk_billing_refund_payment")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_refund")),
        sa.UniqueConstraint("number", name=op.f("uq_billing_refund_number")),
        sa.UniqueConstraint("processor_id", name=op.f("uq_billing_refund_processor_id")),
    )
    op.create_index(op.f("ix_billing_refund_payment"), "billing_refund", ["payment"], unique=False)
    op.create_table(
        "subscriptions_history",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("subscription", sa.String(length=48), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("what", sa.String(length=40), nullable=False),
        sa.Column("by", sa.String(length=20), nullable=False),
        sa.Column("detail", sa.String(length=120), nullable=False),
        sa.ForeignKeyConstraint(
            ["subscription"], ["subscriptions_subscription.id"], name=op.f("fk_subscriptions_history_subscription")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscriptions_history")),
    )
    op.create_index(
        op.f("ix_subscriptions_history_subscription_position"),
        "subscriptions_history",
        ["subscription", "position"],
        unique=True,
    )
    # ### end Alembic commands ###
    for statement in GUARDS[op.get_bind().dialect.name]:
        op.get_bind().exec_driver_sql(statement)

"""keep events for a period, under holds and a minimum index; cosignatures"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# triggers that 0001 made and that look different from now on
REPLACED = ("ledger_event_no_delete", "ledger_entry_no_delete")
GUARDS = {
    "sqlite": [
        "CREATE TRIGGER ledger_minimum_no_update BEFORE UPDATE ON ledger_minimum WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'the lowest index of the log is never changed'); END",
        "CREATE TRIGGER ledger_period_no_update BEFORE UPDATE ON ledger_period WHEN NEW.days < OLD.days OR NEW.place <> OLD.place BEGIN SELECT RAISE(ABORT, 'the log is never kept for less time'); END",
        "CREATE TRIGGER ledger_hold_no_update BEFORE UPDATE ON ledger_hold WHEN OLD.released_at IS NOT NULL OR NEW.released_at IS NULL OR NEW.id IS DISTINCT FROM OLD.id OR NEW.subject IS DISTINCT FROM OLD.subject OR NEW.since IS DISTINCT FROM OLD.since OR NEW.until IS DISTINCT FROM OLD.until OR NEW.reason IS DISTINCT FROM OLD.reason OR NEW.placed_by IS DISTINCT FROM OLD.placed_by OR NEW.placed_at IS DISTINCT FROM OLD.placed_at BEGIN SELECT RAISE(ABORT, 'a legal hold on the log is only released, once'); END",
        "CREATE TRIGGER ledger_cosignature_no_update BEFORE UPDATE ON ledger_cosignature WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'a cosignature of the log is never changed'); END",
        "CREATE TRIGGER ledger_event_no_delete BEFORE DELETE ON ledger_event WHEN OLD.at > CAST(strftime('%s', 'now') AS INTEGER) * 1000000 - 86400000000 * coalesce((SELECT max(days) FROM ledger_period WHERE days > 90), 90) OR EXISTS (SELECT 1 FROM ledger_hold AS h WHERE h.released_at IS NULL AND (h.subject = '' OR h.subject = OLD.subject OR h.subject = OLD.actor) AND (h.since IS NULL OR OLD.at >= h.since) AND (h.until IS NULL OR OLD.at < h.until)) OR NOT EXISTS (SELECT 1 FROM ledger_entry AS e WHERE e.event_id = OLD.id AND e.log_index < (SELECT max(m.minimum) FROM ledger_minimum AS m)) BEGIN SELECT RAISE(ABORT, 'an event is kept for its whole period, and while it is held'); END",
        "CREATE TRIGGER ledger_entry_no_delete BEFORE DELETE ON ledger_entry WHEN OLD.log_index >= coalesce((SELECT max(m.minimum) FROM ledger_minimum AS m), 0) OR EXISTS (SELECT 1 FROM ledger_event AS e WHERE e.id = OLD.event_id) BEGIN SELECT RAISE(ABORT, 'nothing is removed from the log'); END",
        "CREATE TRIGGER ledger_cosignature_no_delete BEFORE DELETE ON ledger_cosignature WHEN NOT EXISTS (SELECT 1 FROM ledger_cosignature AS c WHERE c.witness = OLD.witness AND c.size > OLD.size) BEGIN SELECT RAISE(ABORT, 'the newest cosignature of a witness stays in the log'); END",
        "CREATE TRIGGER ledger_minimum_no_delete BEFORE DELETE ON ledger_minimum WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'nothing is removed from the log'); END",
        "CREATE TRIGGER ledger_period_no_delete BEFORE DELETE ON ledger_period WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'nothing is removed from the log'); END",
        "CREATE TRIGGER ledger_hold_no_delete BEFORE DELETE ON ledger_hold WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'nothing is removed from the log'); END",
        "CREATE TRIGGER ledger_writer_no_insert BEFORE INSERT ON ledger_writer WHEN EXISTS (SELECT 1 FROM ledger_writer WHERE (writer = NEW.writer)) BEGIN SELECT RAISE(ABORT, 'nothing in the log is replaced'); END",
        "CREATE TRIGGER ledger_event_no_insert BEFORE INSERT ON ledger_event WHEN EXISTS (SELECT 1 FROM ledger_event WHERE (id = NEW.id) OR (writer = NEW.writer AND counter = NEW.counter)) BEGIN SELECT RAISE(ABORT, 'nothing in the log is replaced'); END",
        "CREATE TRIGGER ledger_entry_no_insert BEFORE INSERT ON ledger_entry WHEN EXISTS (SELECT 1 FROM ledger_entry WHERE (log_index = NEW.log_index) OR (event_id = NEW.event_id)) BEGIN SELECT RAISE(ABORT, 'nothing in the log is replaced'); END",
        "CREATE TRIGGER ledger_cursor_no_insert BEFORE INSERT ON ledger_cursor WHEN EXISTS (SELECT 1 FROM ledger_cursor WHERE (writer = NEW.writer)) BEGIN SELECT RAISE(ABORT, 'nothing in the log is replaced'); END",
        "CREATE TRIGGER ledger_tile_no_insert BEFORE INSERT ON ledger_tile WHEN EXISTS (SELECT 1 FROM ledger_tile WHERE (level = NEW.level AND tile_index = NEW.tile_index)) BEGIN SELECT RAISE(ABORT, 'nothing in the log is replaced'); END",
        "CREATE TRIGGER ledger_checkpoint_no_insert BEFORE INSERT ON ledger_checkpoint WHEN EXISTS (SELECT 1 FROM ledger_checkpoint WHERE (size = NEW.size)) BEGIN SELECT RAISE(ABORT, 'nothing in the log is replaced'); END",
        "CREATE TRIGGER ledger_minimum_no_insert BEFORE INSERT ON ledger_minimum WHEN EXISTS (SELECT 1 FROM ledger_minimum WHERE (minimum = NEW.minimum)) BEGIN SELECT RAISE(ABORT, 'nothing in the log is replaced'); END",
        "CREATE TRIGGER ledger_period_no_insert BEFORE INSERT ON ledger_period WHEN EXISTS (SELECT 1 FROM ledger_period WHERE (place = NEW.place)) BEGIN SELECT RAISE(ABORT, 'nothing in the log is replaced'); END",
        "CREATE TRIGGER ledger_hold_no_insert BEFORE INSERT ON ledger_hold WHEN EXISTS (SELECT 1 FROM ledger_hold WHERE (id = NEW.id)) BEGIN SELECT RAISE(ABORT, 'nothing in the log is replaced'); END",
        "CREATE TRIGGER ledger_cosignature_no_insert BEFORE INSERT ON ledger_cosignature WHEN EXISTS (SELECT 1 FROM ledger_cosignature WHERE (size = NEW.size AND witness = NEW.witness)) BEGIN SELECT RAISE(ABORT, 'nothing in the log is replaced'); END",
    ],
    "postgresql": [
        "CREATE TRIGGER ledger_minimum_no_update BEFORE UPDATE ON ledger_minimum FOR EACH ROW WHEN (1 = 1) EXECUTE FUNCTION ledger_refuse('the lowest index of the log is never changed')",
        "CREATE TRIGGER ledger_period_no_update BEFORE UPDATE ON ledger_period FOR EACH ROW WHEN (NEW.days < OLD.days OR NEW.place <> OLD.place) EXECUTE FUNCTION ledger_refuse('the log is never kept for less time')",
        "CREATE TRIGGER ledger_hold_no_update BEFORE UPDATE ON ledger_hold FOR EACH ROW WHEN (OLD.released_at IS NOT NULL OR NEW.released_at IS NULL OR NEW.id IS DISTINCT FROM OLD.id OR NEW.subject IS DISTINCT FROM OLD.subject OR NEW.since IS DISTINCT FROM OLD.since OR NEW.until IS DISTINCT FROM OLD.until OR NEW.reason IS DISTINCT FROM OLD.reason OR NEW.placed_by IS DISTINCT FROM OLD.placed_by OR NEW.placed_at IS DISTINCT FROM OLD.placed_at) EXECUTE FUNCTION ledger_refuse('a legal hold on the log is only released, once')",
        "CREATE TRIGGER ledger_cosignature_no_update BEFORE UPDATE ON ledger_cosignature FOR EACH ROW WHEN (1 = 1) EXECUTE FUNCTION ledger_refuse('a cosignature of the log is never changed')",
        "\nCREATE OR REPLACE FUNCTION ledger_event_no_delete() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$\nBEGIN\n  PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', true);\n  IF OLD.at > CAST(extract(epoch FROM pg_catalog.now()) * 1000000 AS bigint) - 86400000000 * coalesce((SELECT max(days) FROM ledger_period WHERE days > 90), 90) OR EXISTS (SELECT 1 FROM ledger_hold AS h WHERE h.released_at IS NULL AND (h.subject = '' OR h.subject = OLD.subject OR h.subject = OLD.actor) AND (h.since IS NULL OR OLD.at >= h.since) AND (h.until IS NULL OR OLD.at < h.until)) OR NOT EXISTS (SELECT 1 FROM ledger_entry AS e WHERE e.event_id = OLD.id AND e.log_index < (SELECT max(m.minimum) FROM ledger_minimum AS m)) THEN\n    RAISE EXCEPTION USING MESSAGE = 'an event is kept for its whole period, and while it is held', ERRCODE = 'integrity_constraint_violation';\n  END IF;\n  RETURN OLD;\nEND $$",
        "CREATE TRIGGER ledger_event_no_delete BEFORE DELETE ON ledger_event FOR EACH ROW EXECUTE FUNCTION ledger_event_no_delete()",
        "\nCREATE OR REPLACE FUNCTION ledger_entry_no_delete() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$\nBEGIN\n  PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', true);\n  IF OLD.log_index >= coalesce((SELECT max(m.minimum) FROM ledger_minimum AS m), 0) OR EXISTS (SELECT 1 FROM ledger_event AS e WHERE e.id = OLD.event_id) THEN\n    RAISE EXCEPTION USING MESSAGE = 'nothing is removed from the log', ERRCODE = 'integrity_constraint_violation';\n  END IF;\n  RETURN OLD;\nEND $$",
        "CREATE TRIGGER ledger_entry_no_delete BEFORE DELETE ON ledger_entry FOR EACH ROW EXECUTE FUNCTION ledger_entry_no_delete()",
        "\nCREATE OR REPLACE FUNCTION ledger_cosignature_no_delete() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$\nBEGIN\n  PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', true);\n  IF NOT EXISTS (SELECT 1 FROM ledger_cosignature AS c WHERE c.witness = OLD.witness AND c.size > OLD.size) THEN\n    RAISE EXCEPTION USING MESSAGE = 'the newest cosignature of a witness stays in the log', ERRCODE = 'integrity_constraint_violation';\n  END IF;\n  RETURN OLD;\nEND $$",
        "CREATE TRIGGER ledger_cosignature_no_delete BEFORE DELETE ON ledger_cosignature FOR EACH ROW EXECUTE FUNCTION ledger_cosignature_no_delete()",
        "CREATE TRIGGER ledger_minimum_no_delete BEFORE DELETE ON ledger_minimum FOR EACH ROW WHEN (1 = 1) EXECUTE FUNCTION ledger_refuse('nothing is removed from the log')",
        "CREATE TRIGGER ledger_period_no_delete BEFORE DELETE ON ledger_period FOR EACH ROW WHEN (1 = 1) EXECUTE FUNCTION ledger_refuse('nothing is removed from the log')",
        "CREATE TRIGGER ledger_hold_no_delete BEFORE DELETE ON ledger_hold FOR EACH ROW WHEN (1 = 1) EXECUTE FUNCTION ledger_refuse('nothing is removed from the log')",
        "CREATE TRIGGER ledger_minimum_no_truncate BEFORE TRUNCATE ON ledger_minimum FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse('nothing is removed from the log')",
        "CREATE TRIGGER ledger_period_no_truncate BEFORE TRUNCATE ON ledger_period FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse('nothing is removed from the log')",
        "CREATE TRIGGER ledger_hold_no_truncate BEFORE TRUNCATE ON ledger_hold FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse('nothing is removed from the log')",
        "CREATE TRIGGER ledger_cosignature_no_truncate BEFORE TRUNCATE ON ledger_cosignature FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse('nothing is removed from the log')",
    ],
}


def upgrade() -> None:
    # ### commands auto generated by Alembic - please adjust! ###
    op.create_table(
        "ledger_cosignature",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "witness",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("line", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("size", "witness", name=op.f("pk_ledger_cosignature")),
    )
    op.create_table(
        "ledger_hold",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column(
            "subject",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("since", sa.BigInteger(), nullable=True),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.LargeBinary(), nullable=False),
        sa.Column("placed_by", sa.String(length=48), nullable=False),
        sa.Column("placed_at", sa.BigInteger(), nullable=False),
        sa.Column("released_by", sa.String(length=48), nullable=True),
        sa.Column("released_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "subject <> '' OR since IS NOT NULL OR until IS NOT NULL", name=op.f("ck_ledger_hold_says_what")
        ),
        sa.CheckConstraint(
            "(released_at IS NULL) = (released_by IS NULL)", name=op.f("ck_ledger_hold_released_by_somebody")
        ),
        sa.CheckConstraint("since IS NULL OR until IS NULL OR until > since", name=op.f("ck_ledger_hold_in_order")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_hold")),
        info={"subject": "placed_by", "fixed_subject": ""},
    )
    op.create_table(
        "ledger_minimum",
        sa.Column("minimum", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("counters", sa.LargeBinary(), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("minimum > 0 AND minimum % 256 = 0", name=op.f("ck_ledger_minimum_whole_bundles")),
        sa.PrimaryKeyConstraint("minimum", name=op.f("pk_ledger_minimum")),
    )
    op.create_table(
        "ledger_period",
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.CheckConstraint("days >= 90", name=op.f("ck_ledger_period_long_enough")),
        sa.CheckConstraint("place = 1", name=op.f("ck_ledger_period_one_row")),
        sa.PrimaryKeyConstraint("place", name=op.f("pk_ledger_period")),
    )
    # ### end Alembic commands ###
    connection = op.get_bind()
    for name in REPLACED:
        scope = " ON " + name.removesuffix("_no_delete") if connection.dialect.name == "postgresql" else ""
        connection.exec_driver_sql(f"DROP TRIGGER {name}{scope}")
    for statement in GUARDS[connection.dialect.name]:
        connection.exec_driver_sql(statement)

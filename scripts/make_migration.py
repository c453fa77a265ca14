"""For developers: write the next migration from what the rooms declare. usage: python scripts/make_migration.py MESSAGE

Guards of the log are written as they stand today, because a migration must not change when the code does.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from alembic import command

from subscription_services import app
from subscription_services.ledger.guards import guard_statements
from subscription_services.storage import migrate as storage_migrate
from subscription_services.storage.migrate import SCRIPTS, _config
from subscription_services.storage.sqlite import SqliteStore

assert app.OPERATIONS  # importing app declares every table


def main(message: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "new.db", bytes(32))
        existing = list((SCRIPTS / "versions").glob("*.py"))
        if existing:
            storage_migrate(store)
        with store.write_engine.connect() as connection:
            config = _config()
            config.attributes["connection"] = connection
            revision = f"{max((int(path.name[:4]) for path in existing), default=0) + 1:04d}"
            command.revision(config, message, autogenerate=True, rev_id=revision)
        store.close()
    if not existing:
        _add_guards(next((SCRIPTS / "versions").glob("0001*.py")))


def _add_guards(path: Path) -> None:
    lines = ["GUARDS = {"]
    for dialect in ("sqlite", "postgresql"):
        lines.append(f'    "{dialect}": [')
        lines += [f"        {statement!r}," for statement in guard_statements(dialect)]
        lines.append("    ],")
    lines.append("}")
    text = path.read_text()
    text = text.replace("\n\ndef upgrade() -> None:\n", "\n" + "\n".join(lines) + "\n\n\ndef upgrade() -> None:\n")
    text += (
        "    for statement in GUARDS[op.get_bind().dialect.name]:\n        op.get_bind().exec_driver_sql(statement)\n"
    )
    path.write_text(text)


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]) or "change")

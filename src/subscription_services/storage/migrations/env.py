"""Alembic's environment: the connection comes from storage.migrate, already inside its transaction."""

from __future__ import annotations

from alembic import context

from subscription_services.kernel.model import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=False, compare_type=True)
context.run_migrations()

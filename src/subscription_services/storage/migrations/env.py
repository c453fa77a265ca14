"""Alembic's environment: the connection comes from storage.migrate, already inside its transaction."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from sqlalchemy.types import TypeDecorator

from subscription_services.kernel.model import metadata


def plain_types(kind: str, item: Any, autogen_context: Any) -> str | Literal[False]:
    """A migration names what the database stores, so that it stays true when our own types change."""
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{item.impl_instance!r}"
    return False


connection = context.config.attributes["connection"]
context.configure(
    connection=connection, target_metadata=metadata, transactional_ddl=False, compare_type=True, render_item=plain_types
)
context.run_migrations()

"""Reads of the service's own runs and settings."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, select

from .model import run, setting


def running(connection: Connection, node: str) -> str:
    """The id of the run of this node that has not ended; empty when there is none."""
    found = connection.execute(select(run.c.id).where(run.c.node == node, run.c.stopped_at.is_(None))).scalar()
    return found or ""


def unrecorded(connection: Connection, node: str, codes: Mapping[str, str]) -> list[str]:
    """Names of settings whose present code differs from the one that was recorded."""
    rows = connection.execute(select(setting.c.variable, setting.c.code).where(setting.c.node == node))
    stored = {row.variable: row.code.hex() for row in rows}
    names = stored.keys() | codes.keys()
    return sorted(name for name in names if stored.get(name) != codes.get(name))

"""The job's words; what it does stands in `export_making`, which needs the operations that queue it."""

from __future__ import annotations

import msgspec


class MakeLogExport(msgspec.Struct, frozen=True):
    """Make the next part of an export."""

    id: str


class DeleteLogExports(msgspec.Struct, frozen=True):
    """Delete the files of exports whose day is over."""

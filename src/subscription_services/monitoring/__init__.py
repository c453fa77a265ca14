"""Monitoring and logging: what the service itself does stands in the audit log like what people do.

Each start and stop of the service, an end without a stop, a migration of the schema, and every setting that differs
from the last start are events of their own.
"""

from .lifecycle import Present, Started, migrated, node_of, part_ended, started, stopped
from .operations import OPERATIONS
from .queries import running, unrecorded

__all__ = [
    "OPERATIONS", "Present", "Started", "migrated", "node_of", "part_ended", "running", "started", "stopped",
    "unrecorded",
]  # fmt: skip

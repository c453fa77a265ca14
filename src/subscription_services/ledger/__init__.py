"""Monitoring and logging: a complete, append-only, tamper-evident audit log that outsiders can verify.

Events are inserted with what they record, sequenced into an RFC 9162 Merkle tree, and signed in the C2SP formats.
"""

from .append import DatabaseEventLog
from .errors import (
    EventRefused,
    ForgedRow,
    GapFound,
    LedgerError,
    LogRefused,
    LogTampered,
    MemoryMissing,
    NoSuchEvent,
    NotSequenced,
    RolledBack,
)
from .guards import guard_statements, missing_guards
from .memory import FileMemory, Memory
from .queries import (
    Found,
    Inclusion,
    Page,
    Search,
    find_event,
    newest_checkpoint,
    origin_index,
    personal_fields,
    prove_consistency,
    prove_inclusion,
    search,
    search_person,
    sequenced,
    waiting_count,
)
from .sequencer import adopt, run_sequencer, sequence
from .stored import Log
from .verify import Assurance, Verified, report, verification, verify_log

__all__ = [
    "Assurance", "DatabaseEventLog", "EventRefused", "FileMemory", "ForgedRow", "Found", "GapFound", "Inclusion",
    "LedgerError", "Log", "LogRefused", "LogTampered", "Memory", "MemoryMissing", "NoSuchEvent", "NotSequenced",
    "Page", "RolledBack", "Search", "Verified", "adopt", "find_event", "guard_statements", "missing_guards",
    "newest_checkpoint", "origin_index", "personal_fields", "prove_consistency", "prove_inclusion", "report",
    "run_sequencer", "search", "search_person", "sequence", "sequenced", "verification", "verify_log", "waiting_count",
]  # fmt: skip

"""The room's slice of the settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class KeySettings:
    """`directory` holds root.key, keys.db and erasures.log; only the service's own user may enter it."""

    directory: Path
    cache_size: int = 10_000
    """Unwrapped keys kept in memory; more save unwraps, fewer leave less for a memory dump."""
    erasure_notice: float = 0.25
    """Seconds until a process notices that another one destroyed a key; lower costs more look-ups."""
    reserve_block: int = 256
    """Uses of a data key first counted in advance, then eight times as many each time, to 65,536; what a stopped
    process did not use is lost from the 2^32."""
    journal_window: int = 60
    """Seconds of equal accesses that are counted in one journal entry."""
    busy_timeout: float = 10.0
    """Seconds to wait for another process that writes to the key store."""

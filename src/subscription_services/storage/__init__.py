"""The store: SQLCipher embedded, PostgreSQL beyond one machine; one schema, sealed columns declared once."""

from .holding import holds
from .limiting import open_limiter
from .migrate import head, migrate, revision
from .opening import open_store
from .prepared import Prepared
from .rows import fetch, insert_row, open_row, update_row
from .sealed import Sealed, personal

__all__ = [
    "Prepared", "Sealed", "fetch", "head", "holds", "insert_row", "migrate", "open_limiter", "open_row", "open_store",
    "personal", "revision", "update_row",
]  # fmt: skip

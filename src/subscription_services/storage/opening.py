"""Opens the store that the settings name."""

from __future__ import annotations

from subscription_services.kernel.errors import SettingsError
from subscription_services.kernel.ports import KeysFor
from subscription_services.kernel.settings import HouseSettings

from .postgres import PostgresStore
from .sqlite import SqliteStore

FILE = "store.db"


def open_store(settings: HouseSettings, keys: KeysFor) -> SqliteStore | PostgresStore:
    """The embedded SQLCipher file by default, PostgreSQL by URL. Raises SettingsError, StartError."""
    if settings.approvals_database and not settings.database.startswith("postgresql://"):
        raise SettingsError("SUBS_APPROVALS_DATABASE is for PostgreSQL: set SUBS_DATABASE to one.")
    if not settings.database:
        return SqliteStore(settings.data_path / FILE, keys.for_caller("storage").secret("storage.store"))
    if settings.database.startswith("postgresql://"):
        return PostgresStore(settings.database, settings.approvals_database)
    raise SettingsError("SUBS_DATABASE must be empty or start with postgresql://.")

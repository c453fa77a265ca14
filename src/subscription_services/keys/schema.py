"""The tables of the key store. It holds only wrapped keys: key-encryption keys by the root, data keys by those.

A store of an older format is brought to the newest by UPGRADES when it is opened, in one transaction.
"""

from __future__ import annotations

SCHEMA_VERSION = 2

_KEK_COLUMNS = (
    # A destroyed version keeps its row: what it was is told, what it was wrapped as is gone.
    "destroyed_at TEXT",
    "reason TEXT NOT NULL DEFAULT 'first' CHECK (reason IN ('first', 'schedule', 'demand', 'bound'))",
    "data_keys INTEGER NOT NULL DEFAULT 0 CHECK (data_keys >= 0)",
    "foreign_keys INTEGER NOT NULL DEFAULT 0",
    "moved INTEGER NOT NULL DEFAULT 0",
    "finished_at TEXT",
)
_DATA_KEY_COLUMNS = (
    # which renewal made the version, so that repeating it makes no other
    "renewal TEXT NOT NULL DEFAULT ''",
    "closed_at TEXT",
)
_JOURNAL = """CREATE TABLE journal (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        batch TEXT,
        window INTEGER NOT NULL,
        caller TEXT NOT NULL,
        verb TEXT NOT NULL,
        kind TEXT NOT NULL,
        purpose TEXT NOT NULL,
        name TEXT NOT NULL,
        outcome TEXT NOT NULL CHECK (outcome IN ('allowed', 'refused', 'erased', 'failed')),
        count INTEGER NOT NULL CHECK (count >= 1),
        first_at TEXT NOT NULL,
        last_at TEXT NOT NULL
    ) STRICT"""
_ADDED_IN_2 = (
    # How many data keys each version wraps is counted as they come and go: nothing ever scans for it.
    """CREATE TRIGGER data_key_came AFTER INSERT ON data_key
        BEGIN UPDATE kek SET data_keys = data_keys + 1
            WHERE purpose = NEW.purpose AND version = NEW.kek_version; END""",
    """CREATE TRIGGER data_key_went AFTER DELETE ON data_key
        BEGIN UPDATE kek SET data_keys = data_keys - 1
            WHERE purpose = OLD.purpose AND version = OLD.kek_version; END""",
    """CREATE TRIGGER data_key_moved AFTER UPDATE OF purpose, kek_version ON data_key
        BEGIN
            UPDATE kek SET data_keys = data_keys - 1 WHERE purpose = OLD.purpose AND version = OLD.kek_version;
            UPDATE kek SET data_keys = data_keys + 1 WHERE purpose = NEW.purpose AND version = NEW.kek_version;
        END""",
    """CREATE TRIGGER needed_kek_stays BEFORE UPDATE OF destroyed_at ON kek
        WHEN NEW.destroyed_at IS NOT NULL AND NEW.data_keys > 0
        BEGIN SELECT RAISE(ABORT, 'data keys depend on it'); END""",
    "CREATE INDEX kek_in_use ON kek (purpose, version) WHERE data_keys > 0",
    # What every process that holds opened keys must drop; the subject '' stands for all.
    """CREATE TABLE notice (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        subject TEXT NOT NULL
    ) STRICT""",
    """CREATE TRIGGER erasure_is_noticed AFTER INSERT ON tombstone
        BEGIN INSERT INTO notice (subject) VALUES (NEW.subject); END""",
    """CREATE TABLE caller_use (
        caller TEXT NOT NULL,
        verb TEXT NOT NULL,
        kind TEXT NOT NULL,
        purpose TEXT NOT NULL,
        count INTEGER NOT NULL,
        refused INTEGER NOT NULL,
        last_at TEXT NOT NULL,
        PRIMARY KEY (caller, verb, kind, purpose)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE denial (
        caller TEXT NOT NULL,
        verb TEXT NOT NULL,
        kind TEXT NOT NULL,
        purpose TEXT NOT NULL,
        PRIMARY KEY (caller, verb, kind, purpose)
    ) STRICT, WITHOUT ROWID""",
)

SCHEMA = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID",
    f"""CREATE TABLE kek (
        purpose TEXT NOT NULL,
        version INTEGER NOT NULL CHECK (version >= 1),
        wrapped BLOB NOT NULL,
        uses INTEGER NOT NULL DEFAULT 0 CHECK (uses BETWEEN 0 AND 4294967296),
        created_at TEXT NOT NULL,
        {", ".join(_KEK_COLUMNS)},
        PRIMARY KEY (purpose, version)
    ) STRICT, WITHOUT ROWID""",
    f"""CREATE TABLE data_key (
        kind TEXT NOT NULL CHECK (kind IN ('subject', 'index', 'mac', 'sign', 'secret')),
        name TEXT NOT NULL,
        version INTEGER NOT NULL CHECK (version >= 1),
        purpose TEXT NOT NULL,
        kek_version INTEGER NOT NULL,
        wrapped BLOB NOT NULL,
        uses INTEGER NOT NULL DEFAULT 0 CHECK (uses BETWEEN 0 AND 4294967296),
        created_at TEXT NOT NULL,
        {", ".join(_DATA_KEY_COLUMNS)},
        PRIMARY KEY (kind, name, version),
        FOREIGN KEY (purpose, kek_version) REFERENCES kek (purpose, version)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX data_key_by_kek ON data_key (purpose, kek_version)",
    """CREATE TABLE tombstone (
        generation INTEGER PRIMARY KEY,
        subject TEXT NOT NULL UNIQUE,
        purpose TEXT NOT NULL,
        reason TEXT NOT NULL,
        destroyed_at TEXT NOT NULL
    ) STRICT""",
    """CREATE TRIGGER tombstone_stays BEFORE DELETE ON tombstone
        BEGIN SELECT RAISE(ABORT, 'a tombstone stays'); END""",
    """CREATE TRIGGER tombstone_is_final BEFORE UPDATE ON tombstone
        BEGIN SELECT RAISE(ABORT, 'a tombstone is final'); END""",
    """CREATE TRIGGER erased_stays_erased BEFORE INSERT ON data_key
        WHEN NEW.kind = 'subject' AND EXISTS (SELECT 1 FROM tombstone WHERE subject = NEW.name)
        BEGIN SELECT RAISE(ABORT, 'the subject was erased'); END""",
    _JOURNAL,
    """CREATE UNIQUE INDEX journal_open ON journal (window, caller, verb, kind, purpose, name, outcome)
        WHERE batch IS NULL""",
    "CREATE INDEX journal_by_batch ON journal (batch) WHERE batch IS NOT NULL",
    *_ADDED_IN_2,
)

UPGRADES: dict[int, tuple[str, ...]] = {
    1: (
        *(f"ALTER TABLE kek ADD COLUMN {column}" for column in _KEK_COLUMNS),
        *(f"ALTER TABLE data_key ADD COLUMN {column}" for column in _DATA_KEY_COLUMNS),
        """UPDATE kek SET
            reason = CASE WHEN version = 1 THEN 'first' ELSE 'demand' END,
            data_keys = (SELECT count(*) FROM data_key AS d
                WHERE d.purpose = kek.purpose AND d.kek_version = kek.version)""",
        # how many keys kept elsewhere an older program wrapped was not counted: the version stays
        "UPDATE kek SET foreign_keys = max(0, uses - data_keys) WHERE purpose LIKE 'backups.%'",
        *_ADDED_IN_2,
        "INSERT INTO notice (number, subject) SELECT generation, subject FROM tombstone",
    ),
}
"""What brings a store of this format to the next one."""

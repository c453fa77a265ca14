"""The processor's memory: one SQLite file, written in one transaction a call and durable before the answer."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from sandbox.loopback import token
from sandbox.processor.errors import Json

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS objects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
    body TEXT NOT NULL, hidden TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS objects_by_kind ON objects (kind, seq);
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, endpoint TEXT NOT NULL, request TEXT NOT NULL, request_id TEXT NOT NULL,
    status INTEGER NOT NULL, body TEXT NOT NULL, created INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS deliveries (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL, endpoint TEXT NOT NULL, due REAL NOT NULL,
    rank INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'held', 'done', 'given_up')), answer TEXT) STRICT;
CREATE INDEX IF NOT EXISTS deliveries_open ON deliveries (state, due, rank);
"""
_DAY = 86_400


class NotASandbox(ValueError):
    """The file belongs to something else."""


@dataclass(frozen=True)
class Answer:
    """An answer remembered under an idempotency key."""

    endpoint: str
    request: str
    request_id: str
    status: int
    body: str


@dataclass(frozen=True)
class Delivery:
    """One delivery of one event to one endpoint."""

    seq: int
    event: str
    endpoint: str
    attempts: int


class Store:
    """Objects, remembered answers and deliveries. Used by one thread."""

    def __init__(self, path: str) -> None:
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            tables = {row[0] for row in self._db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        except sqlite3.DatabaseError as error:
            raise NotASandbox(f"{path} is not a file of the sandbox ({error})") from error
        if tables and "deliveries" not in tables:
            raise NotASandbox(f"{path} is not a file of the sandbox")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_SCHEMA)
        with self.transaction():
            insert = "INSERT OR IGNORE INTO meta VALUES ('fingerprint_key', ?)"
            self._db.execute(insert, (token(40),))

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is committed together, or not at all when it raises."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def fingerprint_key(self) -> bytes:
        """The key of the fingerprints of cards, one a file."""
        row = self._db.execute("SELECT value FROM meta WHERE name = 'fingerprint_key'").fetchone()
        return str(row[0]).encode()

    def put(self, body: Json, hidden: Json | None = None) -> Json:
        """Write an object; without `hidden` what was hidden in it stays. Gives the object."""
        keep = "hidden" if hidden is None else "excluded.hidden"
        self._db.execute(
            "INSERT INTO objects (id, kind, body, hidden) VALUES (?, ?, ?, ?) "  # noqa: S608  two constants
            f"ON CONFLICT (id) DO UPDATE SET body = excluded.body, hidden = {keep}",
            (body["id"], body["object"], json.dumps(body), json.dumps(hidden or {})),
        )
        return body

    def get(self, kind: str, identifier: str) -> Json | None:
        """An object, or None."""
        query = "SELECT body FROM objects WHERE id = ? AND kind = ?"
        row = self._db.execute(query, (identifier, kind)).fetchone()
        return dict(json.loads(row[0])) if row else None

    def hidden(self, identifier: str) -> Json:
        """What is kept beside an object and shown to nobody."""
        row = self._db.execute("SELECT hidden FROM objects WHERE id = ?", (identifier,)).fetchone()
        return dict(json.loads(row[0])) if row else {}

    def newest_first(
        self,
        kind: str,
        equal: Mapping[str, object],
        *,
        limit: int,
        after: str | None = None,
        before: str | None = None,
        types: tuple[str, ...] = (),
        created: Mapping[str, int] | None = None,
    ) -> list[Json]:
        """Objects of a kind whose fields equal those given, at most `limit`.

        `after` and `before` are ids in that order; `created` bounds the time with gt, gte, lt, lte.
        """
        where, values = ["kind = ?"], [kind]
        arguments: list[object] = list(values)
        for name, value in equal.items():
            where.append("json_extract(body, ?) = ?")
            arguments += [f"$.{name}", value]
        if types:
            where.append(f"json_extract(body, '$.type') IN ({', '.join('?' * len(types))})")
            arguments += types
        for bound, moment in (created or {}).items():
            sign = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}[bound]
            where.append(f"json_extract(body, '$.created') {sign} ?")
            arguments.append(moment)
        for identifier, sign in ((after, "<"), (before, ">")):
            if identifier is not None:
                where.append(f"seq {sign} (SELECT seq FROM objects WHERE id = ?)")  # noqa: S608
                arguments.append(identifier)
        order = "ASC" if before is not None else "DESC"
        query = f"SELECT body FROM objects WHERE {' AND '.join(where)} ORDER BY seq {order} LIMIT ?"  # noqa: S608
        rows = [dict(json.loads(row[0])) for row in self._db.execute(query, (*arguments, limit))]
        return rows[::-1] if before is not None else rows

    def remove(self, identifier: str) -> None:
        """Forget an object."""
        self._db.execute("DELETE FROM objects WHERE id = ?", (identifier,))

    def answer(self, key: str, now: int) -> Answer | None:
        """The answer remembered under an idempotency key; they are forgotten after 24 hours, as Stripe does."""
        self._db.execute("DELETE FROM answers WHERE created < ?", (now - _DAY,))
        query = "SELECT endpoint, request, request_id, status, body FROM answers WHERE key = ?"
        row = self._db.execute(query, (key,)).fetchone()
        return Answer(*row) if row else None

    def remember(self, key: str, answer: Answer, now: int) -> None:
        """Keep an answer under its idempotency key."""
        values = (answer.endpoint, answer.request, answer.request_id, answer.status, answer.body)
        self._db.execute("INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)", (key, *values, now))

    def add_delivery(self, event: str, endpoint: str, due: float, *, held: bool) -> None:
        """One more delivery to make."""
        self._db.execute(
            "INSERT INTO deliveries (event, endpoint, due, rank, state) "
            "VALUES (?, ?, ?, (SELECT COALESCE(MAX(seq), 0) FROM deliveries), ?)",
            (event, endpoint, due, "held" if held else "waiting"),
        )

    def held(self) -> int:
        """How many deliveries are held back."""
        row = self._db.execute("SELECT COUNT(*) FROM deliveries WHERE state = 'held'").fetchone()
        return int(row[0])

    def release_reversed(self) -> None:
        """Let go what is held back, the newest first."""
        self._db.execute(
            "UPDATE deliveries SET state = 'waiting', rank = -seq, "
            "due = (SELECT MAX(due) FROM deliveries WHERE state = 'held') WHERE state = 'held'"
        )

    def next_delivery(self, now: float) -> Delivery | None:
        """The delivery to make now, if one is due."""
        query = (
            "SELECT seq, event, endpoint, attempts FROM deliveries WHERE state = 'waiting' AND due <= ? "
            "ORDER BY due, rank, seq LIMIT 1"
        )
        row = self._db.execute(query, (now,)).fetchone()
        return Delivery(*row) if row else None

    def next_due(self) -> float | None:
        """When the next delivery is due, or None."""
        row = self._db.execute("SELECT MIN(due) FROM deliveries WHERE state = 'waiting'").fetchone()
        return None if row[0] is None else float(row[0])

    def delivered(self, seq: int, answer: str, *, again_at: float | None, state: str) -> None:
        """Note the outcome of an attempt: `done`, `given_up`, or `waiting` until `again_at`."""
        self._db.execute(
            "UPDATE deliveries SET attempts = attempts + 1, answer = ?, state = ?, due = COALESCE(?, due) "
            "WHERE seq = ?",
            (answer, state, again_at, seq),
        )

"""What was taken away from callers beyond the policy of the program: stored, and only ever narrowing it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from .errors import KeyConflict
from .model import Kind, Verb
from .renewal import notice
from .states import Denial
from .store import Tx

LIMIT = 200
OWNER = "keys"
"""The caller that changes restrictions: restricting it could not be undone."""


def stored(tx: Tx) -> tuple[Denial, ...]:
    """All of them, by caller."""
    return tuple(
        _denial(row) for row in tx.execute("SELECT caller, verb, kind, purpose FROM denial ORDER BY 1, 2, 3, 4")
    )


def denied(tx: Tx, caller: str, verb: Verb, kind: Kind | None, purpose: str) -> bool:
    """Whether a restriction covers exactly this."""
    rows = tx.execute("SELECT caller, verb, kind, purpose FROM denial WHERE caller = ?", (caller,)).fetchall()
    return any(_covers(_denial(row), verb, kind, purpose) for row in rows)


def replace(tx: Tx, denials: Iterable[Denial], callers: Collection[str]) -> None:
    """Raises KeyConflict for an unknown caller, for too many, and for what would lock everybody out."""
    wanted = set(denials)
    if len(wanted) > LIMIT:
        raise KeyConflict(f"At most {LIMIT} restrictions are kept.")
    for denial in wanted:
        if denial.caller not in callers:
            raise KeyConflict(f"There is no caller {denial.caller[:80]}.")
        if denial.caller == OWNER:
            raise KeyConflict("The key management itself cannot be restricted: nobody could undo that.")
    tx.execute("DELETE FROM denial")
    for denial in wanted:
        values = (denial.caller, denial.verb.value if denial.verb else "", denial.kind.value if denial.kind else "")
        tx.execute("INSERT INTO denial (caller, verb, kind, purpose) VALUES (?, ?, ?, ?)", (*values, denial.purpose))
    notice(tx, "")


def _covers(denial: Denial, verb: Verb, kind: Kind | None, purpose: str) -> bool:
    if denial.kind is not kind or denial.verb not in (None, verb):
        return False
    if denial.purpose.endswith("*"):
        return purpose.startswith(denial.purpose[:-1])
    return purpose == denial.purpose


def _denial(row: tuple[str, str, str, str]) -> Denial:
    caller, verb, kind, purpose = row
    return Denial(caller, Verb(verb) if verb else None, Kind(kind) if kind else None, purpose)

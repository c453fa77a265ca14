"""A statement of a security page: the log entry of one run of a check, in a `.tlog-proof` that carries it (extra data).

The entry is JSON; its event has the action `trust.record_run`, the id of the run as object, and in its details the
promise, the verdict, the finding and the figures (`evidence.<name>`). `/security.json` names the run of each promise.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .checkpoint import Head
from .encoding import shown
from .errors import BadProof, Malformed, TooLarge
from .policy import Policy
from .proof import parse_inclusion

ACTION = "trust.record_run"
LAYOUT = 1
VERDICTS = ("kept", "broken", "could not check")
MAX_STATUS_BYTES = 4 * 1024 * 1024
_FIGURE = "evidence."


@dataclass(frozen=True, slots=True)
class Statement:
    """What the signed log holds about one run of one check, and the verified checkpoint that covers it."""

    promise: str
    verdict: str
    finding: str
    at: datetime
    run: str
    figures: dict[str, str | int]
    index: int
    head: Head


def verify_statement(data: bytes, policy: Policy, now: int | None = None) -> Statement:
    """Verify the proof, then read its entry. Raises VerifierError."""
    proof = parse_inclusion(data)
    if proof.extra is None:
        raise Malformed("the proof does not carry its entry as extra data")
    head = proof.verify(proof.extra, policy, now)
    entry = _object(_json(proof.extra, "the entry"), "the entry")
    if entry.get("v") != LAYOUT:
        raise Malformed("the entry has a layout that this verifier does not know")
    event = _object(entry.get("event"), "the event")
    if event.get("action") != ACTION or event.get("actor_kind") != "system" or event.get("outcome") != "success":
        raise Malformed(f"the entry is not one that a check left: {shown(str(event.get('action')))}")
    details = _object(event.get("details"), "the details")
    verdict = _text(details, "verdict")
    if verdict not in VERDICTS:
        raise Malformed(f"there is no verdict {shown(verdict)}")
    figures = {
        name.removeprefix(_FIGURE): value for name, value in details.items()
        if name.startswith(_FIGURE) and isinstance(value, str | int)
    }  # fmt: skip
    return Statement(
        _text(details, "promise"), verdict, _text(details, "finding"), _instant(event), _text(event, "object"),
        figures, proof.index, head,
    )  # fmt: skip


def compare_with_status(statement: Statement, status: bytes) -> None:
    """Hold a downloaded `/security.json` against the logged entry. Raises BadProof where the page says otherwise."""
    if len(status) > MAX_STATUS_BYTES:
        raise TooLarge(f"a status of {len(status)} bytes")
    promises = _object(_json(status, "the status"), "the status").get("promises")
    if not isinstance(promises, list):
        raise Malformed("the status has no list of promises")
    rows = [row for row in promises if isinstance(row, dict) and row.get("id") == statement.promise]
    if len(rows) != 1:
        raise BadProof(f"the page does not have one row about {shown(statement.promise)}")
    (row,) = rows
    event = row.get("event")
    if not isinstance(event, dict) or event.get("action") != ACTION or event.get("object") != statement.run:
        raise BadProof(f"the page speaks of another run than {shown(statement.run)}")
    if row.get("finding") != statement.finding or row.get("evidence", {}) != statement.figures:
        raise BadProof("the page states another finding than the log")
    if _time(row.get("checked_at"), "checked_at") != statement.at:
        raise BadProof("the page states another time than the log")
    # an outdated result is shown as stale, whatever it was
    if row.get("state") not in (statement.verdict.replace(" ", "_"), "stale"):
        raise BadProof(f"the page says {shown(str(row.get('state')))} where the log says {statement.verdict}")


def _json(data: bytes, what: str) -> Any:
    try:
        return json.loads(data.decode(), object_pairs_hook=_pairs, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Malformed(f"{what} is not JSON") from None


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("the same name twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Malformed(f"{what} is not a JSON object")
    return value


def _text(found: dict[str, Any], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str):
        raise Malformed(f"the entry has no text {name}")
    return value


def _instant(event: dict[str, Any]) -> datetime:
    return _time(event.get("at"), "the time of the entry")


def _time(value: Any, what: str) -> datetime:
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise Malformed(f"{what} is not a time") from None
    if found.tzinfo is None:
        raise Malformed(f"{what} has no time zone")
    return found

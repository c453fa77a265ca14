"""The live check that every kind of event arrives in the log, whole and soon."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import httpx
from sqlalchemy import Connection

from subscription_services import monitoring
from subscription_services.identity import password_of, probe
from subscription_services.kernel.checks import Check, Doors, Finding, Verdict
from subscription_services.kernel.clock import monotonic
from subscription_services.kernel.events import Event, Outcome
from subscription_services.kernel.settings import HouseSettings
from subscription_services.ledger.queries import Search, search

SOON = 2.0
"""Seconds within which an event is in the log."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a request of the probe must have left: `words` say what kind of event it is."""

    words: str
    request: str
    action: str
    outcome: Outcome
    actors: tuple[str, ...]


def log_check() -> Check:
    """Wired in app.live_checks."""
    return Check(
        "log.all",
        "A probe account signs in, is refused with a wrong password, reads over the API, and is refused what only the "
        "team may see; a stranger knocks. Each must be in the log within two seconds with actor, action, outcome, "
        "origin and time, and so must be this start of the service and the settings it runs with.",
        every_kind_arrives,
        timedelta(minutes=15),
    )


async def every_kind_arrives(doors: Doors) -> Finding:
    """See `log_check`."""
    async with probe(doors, "log") as someone:
        who = (someone.account,)
        wrong = await someone.sign_in(password_of(doors))
        right = await someone.sign_in()
        if right.status_code != 200 or wrong.status_code < 400:
            return Finding(Verdict.COULD_NOT_CHECK, "The probe account could not sign in as planned.")
        someone.token = str(right.json()["token"])
        seen = await someone.look("identity.profile")
        refused = await someone.look("access.people")
        someone.token = ""
        knocked = await someone.look("access.audit_log")
    expected = [
        Expected("a sign-in", _id(right), "identity.sign_in", Outcome.SUCCESS, who),
        Expected("a refused sign-in", _id(wrong), "identity.sign_in", Outcome.REFUSED, ("anonymous",)),
        Expected("a look at data", _id(seen), "identity.profile", Outcome.SUCCESS, who),
        Expected("a refused call of the API", _id(refused), "access.people", Outcome.REFUSED, who),
        Expected("a stranger's call of the API", _id(knocked), "access.audit_log", Outcome.REFUSED, ("anonymous",)),
    ]
    missing, slowest = await missing_of(doors, expected)
    node = monitoring.node_of(doors.kernel, doors.settings.of(HouseSettings).data_path)
    missing += await doors.kernel.store.read(lambda connection: unrecorded_start(connection, node))
    evidence: dict[str, str | int] = {
        "kinds_tried": len(expected) + 2, "missing": len(missing), "slowest_milliseconds": int(slowest * 1000),
    }  # fmt: skip
    if missing:
        return Finding(Verdict.BROKEN, f"Not in the log, or not whole: {', '.join(missing)}.", evidence)
    return Finding(
        Verdict.KEPT, "Every kind of event that was tried is in the log, whole, within two seconds.", evidence
    )


async def missing_of(doors: Doors, expected: Sequence[Expected]) -> tuple[list[str], float]:
    """What is not in the log in time, or lacks a field; and how long the last one took to appear."""
    begun = monotonic()
    waiting = list(expected)
    while waiting and monotonic() - begun < SOON:
        found = await doors.kernel.store.read(lambda connection, left=tuple(waiting): _arrived(connection, left))  # type: ignore[misc]
        waiting = [item for item in waiting if item not in found]
        if waiting:
            await asyncio.sleep(0.05)
    return [item.words for item in waiting], monotonic() - begun


def unrecorded_start(connection: Connection, node: str) -> list[str]:
    """What is missing of the events that the service itself writes when it starts."""
    run = monitoring.running(connection, node)
    start = Search(action="monitoring.record_start", object=run)
    settings = Search(action="monitoring.record_settings", object=node)
    missing = []
    if not run or not search(connection, start, limit=1).found:
        missing.append("this start of the service")
    if not search(connection, settings, limit=1).found:
        missing.append("the settings it runs with")
    return missing


def is_whole(event: Event, wanted: Expected) -> bool:
    """Whether the event says who, what, with which outcome, from where and in which request."""
    return (
        event.action == wanted.action
        and event.outcome is wanted.outcome
        and event.actor in wanted.actors
        and bool(event.actor_kind and event.origin_index and event.sealed.get("address") and event.correlation)
        and (event.outcome is Outcome.SUCCESS or bool(event.reason))
    )


def _arrived(connection: Connection, waiting: Sequence[Expected]) -> list[Expected]:
    found = []
    for wanted in waiting:
        events = [item.event for item in search(connection, Search(correlation=wanted.request), limit=10).found]
        if len([event for event in events if is_whole(event, wanted)]) == 1:
            found.append(wanted)
    return found


def _id(answer: httpx.Response) -> str:
    return str(answer.headers.get("x-request-id", "none"))

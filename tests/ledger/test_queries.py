"""Searching the log, page by page and by index."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from subscription_services.kernel.errors import Invalid
from subscription_services.kernel.events import Event, Outcome
from subscription_services.ledger.errors import NoSuchEvent
from subscription_services.ledger.queries import Search, find_event, origin_index, personal_fields, search

from .conftest import Bench


@pytest.fixture
def busy(bench: Bench) -> tuple[Bench, list[Event]]:
    """Forty events of different kinds, the older thirty sequenced."""
    address = origin_index(bench.log.keys, "192.0.2.7")
    events = []
    for number in range(40):
        events.append(
            bench.event(
                actor=f"acc_{number % 4}", actor_kind="team" if number % 8 == 0 else "subscriber",
                action=["identity.sign_in", "identity.sign_out", "billing.pay", "identities.list"][number % 4],
                subject=f"acc_{number % 3}" if number % 2 else "", object=f"sub_{number % 5}", object_kind="sub",
                outcome=Outcome.REFUSED if number % 10 == 0 else Outcome.SUCCESS,
                origin_index=address if number % 6 == 0 else "", correlation=f"cor_{number // 2}",
            )
        )  # fmt: skip
    bench.append(*events[:30])
    bench.sequence()
    bench.append(*events[30:])
    return bench, events


def found(bench: Bench, wanted: Search, limit: int = 500) -> list[Event]:
    return [item.event for item in bench.read(lambda c: search(c, wanted, limit=limit)).found]


@pytest.mark.parametrize(
    ("fields", "fits"),
    [
        ({}, lambda e: True),
        ({"actor": "acc_2"}, lambda e: e.actor == "acc_2"),
        ({"actor_kind": "team"}, lambda e: e.actor_kind == "team"),
        ({"subject": "acc_1"}, lambda e: e.subject == "acc_1"),
        ({"action": "billing.pay"}, lambda e: e.action == "billing.pay"),
        ({"action": "identity."}, lambda e: e.action.startswith("identity.")),
        ({"object": "sub_3"}, lambda e: e.object == "sub_3"),
        ({"object_kind": "sub", "actor": "acc_1"}, lambda e: e.actor == "acc_1"),
        ({"outcome": "refused"}, lambda e: e.outcome == "refused"),
        ({"outcome": "success"}, lambda e: e.outcome == "success"),
        ({"correlation": "cor_3"}, lambda e: e.correlation == "cor_3"),
        ({"actor": "acc_0", "outcome": "refused"}, lambda e: e.actor == "acc_0" and e.outcome == "refused"),
        ({"actor": "nobody"}, lambda e: False),
    ],
)
def test_each_field_finds_what_it_says(busy: tuple[Bench, list[Event]], fields: dict[str, Any], fits: Any) -> None:
    bench, events = busy
    assert found(bench, Search(**fields)) == [event for event in reversed(events) if fits(event)]


def test_events_of_an_address_are_found_without_storing_it(busy: tuple[Bench, list[Event]]) -> None:
    bench, _ = busy
    index = origin_index(bench.log.keys, "192.0.2.7")
    assert len(found(bench, Search(origin_index=index))) == 7
    assert found(bench, Search(origin_index=origin_index(bench.log.keys, "192.0.2.8"))) == []
    assert all(b"192.0.2.7" not in row[0] for row in bench.sql("SELECT payload FROM ledger_event"))


def test_a_span_of_time_includes_its_start_and_not_its_end(busy: tuple[Bench, list[Event]]) -> None:
    bench, events = busy
    assert found(bench, Search(since=events[5].at, until=events[9].at)) == events[8:4:-1]


def test_pages_follow_one_another_while_events_arrive(busy: tuple[Bench, list[Event]]) -> None:
    bench, events = busy
    page = bench.read(lambda c: search(c, Search(), limit=7))
    seen = [item.event for item in page.found]
    while page.next is not None:
        bench.append(bench.event())
        position = page.next
        page = bench.read(lambda c, p=position: search(c, Search(), after=p, limit=7))  # type: ignore[misc]
        seen += [item.event for item in page.found]
    assert seen == events[::-1]


def test_events_of_one_moment_are_not_lost_between_pages(bench: Bench) -> None:
    at = bench.clock()
    events = [bench.event(at=at) for _ in range(9)]
    bench.append(*events)
    page = bench.read(lambda c: search(c, Search(), limit=4))
    seen = [item.event.id for item in page.found]
    while page.next is not None:
        position = page.next
        page = bench.read(lambda c, p=position: search(c, Search(), after=p, limit=4))  # type: ignore[misc]
        seen += [item.event.id for item in page.found]
    assert sorted(seen) == sorted(event.id for event in events)
    assert len(seen) == 9


@pytest.mark.parametrize("after", ["", "x", "1", "-", "9" * 40 + "-evt_1", "1.5-evt"])
def test_a_bad_position_is_refused_or_empty(busy: tuple[Bench, list[Event]], after: str) -> None:
    bench, _ = busy
    if after == "1":
        assert bench.read(lambda c: search(c, Search(), after=after)).found == ()
        return
    with pytest.raises(Invalid):
        bench.read(lambda c: search(c, Search(), after=after))


def test_the_index_tells_what_is_sequenced(busy: tuple[Bench, list[Event]]) -> None:
    bench, events = busy
    newest = bench.read(lambda c: search(c, Search(), limit=11)).found
    assert [item.log_index for item in newest] == [None] * 10 + [29]
    assert bench.find(events[0]).log_index == 0


def test_an_unknown_event_is_not_found(bench: Bench) -> None:
    with pytest.raises(NoSuchEvent):
        bench.read(lambda c: find_event(c, "evt_none"))


def test_personal_fields_open_until_the_person_is_erased(bench: Bench) -> None:
    keys = bench.keys.for_caller("ledger")
    keys.ensure_subject("acc_7")
    event = bench.event()
    sealed = base64.b64encode(keys.seal("acc_7", "ledger.event.address", event.id, b"192.0.2.9")).decode()
    event = bench.event(id=event.id, sealed={"address": sealed}, sealed_for="acc_7")
    bench.append(event)
    bench.sequence()
    kept = bench.find(event).event
    assert personal_fields(keys, kept) == {"address": "192.0.2.9"}
    bench.keys.for_caller("privacy").destroy_subject("acc_7", "erasure")
    assert personal_fields(keys, kept) == {}
    assert bench.verify().size == 1

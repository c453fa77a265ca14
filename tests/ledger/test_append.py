"""What can become an entry, and what its bytes are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscription_services.kernel.events import Event, Outcome
from subscription_services.ledger.entries import Entry, decode_entry, encode_entry
from subscription_services.ledger.errors import EventRefused, ForgedRow

from .conftest import Bench

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def entry(**fields: Any) -> Entry:
    values: dict[str, Any] = {
        "id": "evt_1", "at": NOON, "action": "identity.sign_in", "outcome": Outcome.SUCCESS,
        "actor_kind": "subscriber", "actor": "acc_1",
    }  # fmt: skip
    return Entry(event=Event(**{**values, **fields}), writer="wri_1", counter=1)


def test_the_bytes_are_fixed_for_ever() -> None:
    assert encode_entry(entry(details={"z": 1, "a": None}, subject="acc_1")) == (
        b'{"counter":1,"event":{"action":"identity.sign_in","actor":"acc_1","actor_kind":"subscriber",'
        b'"at":"2026-03-02T12:00:00Z","details":{"a":null,"z":1},"id":"evt_1","outcome":"success",'
        b'"subject":"acc_1"},"v":1,"writer":"wri_1"}'
    )


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
details = st.dictionaries(
    texts, st.one_of(texts, st.integers(-(2**53) + 1, 2**53 - 1), st.booleans(), st.none(), st.lists(texts, max_size=3))
)


@given(details, texts, st.datetimes(timezones=st.just(UTC)))
def test_every_event_comes_back_from_its_bytes(values: dict[str, Any], reason: str, at: datetime) -> None:
    made = entry(details=values, reason=reason, at=at)
    payload = encode_entry(made)
    assert decode_entry(payload) == made
    assert encode_entry(decode_entry(payload)) == payload


@pytest.mark.parametrize(
    "fields",
    [
        {"details": {"rate": 0.1}},
        {"details": {"whole": 1.0}},
        {"details": {"deep": {"a": 1}}},
        {"details": {"mixed": ["a", 1]}},
        {"details": {"huge": 2**53}},
        {"details": {"bytes": b"x"}},
        {"details": {"broken": "\ud800"}},
        {"reason": "\udfff"},
        {"details": {"long": "x" * 65_536}},
        {"actor": "x" * 201},
        {"correlation": "ü" * 201},
        {"at": NOON.replace(tzinfo=None)},
        {"at": NOON.astimezone(timezone(timedelta(hours=1)))},
    ],
)
def test_what_has_no_canonical_form_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(EventRefused):
        encode_entry(entry(**fields))


@pytest.mark.parametrize(
    "change",
    [
        (b'"v":1', b'"v": 1'),
        (b'"v":1', b'"v":1,"v":1'),
        (b'"v":1', b'"v":1,"w":1'),
        (b'{"counter":1,', b"{"),
        (b'"counter":1', b'"counter":1.0'),
        (b'"counter":1', b'"counter":"1"'),
        (b"12:00:00Z", b"12:00:00+00:00"),
        (b'"acc_1"', b'"acc_\\u0031"'),
        (b"success", b"perhaps"),
        (b'"writer":"wri_1"}', b'"writer":"wri_1"}\n'),
        (b"acc_1", b"acc_\xff"),
    ],
)
def test_other_spellings_are_not_entries(change: tuple[bytes, bytes]) -> None:
    payload = encode_entry(entry())
    assert change[0] in payload
    with pytest.raises(ForgedRow):
        decode_entry(payload.replace(*change))


def test_a_refused_event_takes_its_transaction_with_it(bench: Bench) -> None:
    with pytest.raises(EventRefused):
        bench.append(bench.event(), bench.event(details={"rate": 0.5}))
    bench.append(bench.event())
    assert bench.sequence().added == 1
    assert bench.verify().size == 1


def test_the_same_event_twice_is_refused_by_the_database(bench: Bench) -> None:
    event = bench.event()
    bench.append(event)
    with pytest.raises(Exception, match=r"(?i)unique|replaced"):
        bench.append(event)
    bench.append(bench.event())
    assert bench.sequence().added == 2
    assert bench.verify().size == 2


def test_an_empty_append_writes_nothing(bench: Bench) -> None:
    bench.append()
    assert bench.sql("SELECT count(*) FROM ledger_writer") == [(0,)]

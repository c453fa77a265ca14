"""Every promise has a sentence and a room, and nothing is ever taken as good."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscription_services import trust
from subscription_services.kernel.checks import Check, Doors, Finding, Verdict
from subscription_services.trust import PROMISES, SECTIONS, PromiseState, promises
from subscription_services.trust.pages import in_words, label, period
from subscription_services.trust.policy import count, state_of

ROOMS = {
    "edge", "keys", "identity", "access", "ledger", "monitoring", "disclosure", "privacy", "incidents", "mail",
    "subscriptions", "billing", "backups", "trust",
}  # fmt: skip
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
EVERY = timedelta(minutes=5)


async def never(doors: Doors) -> Finding:
    raise AssertionError("not run here")


def test_the_page_has_its_sections_and_promises() -> None:
    headings = [section.heading for section in SECTIONS]
    assert headings == [
        "Encryption in transit", "Encryption at rest and key management", "Authentication", "Access control",
        "Infrastructure", "Monitoring and logging", "Vulnerability disclosure", "Compliance", "Incident response",
        "Email security", "The subscription service itself", "The page itself",
    ]  # fmt: skip
    assert len(PROMISES) == sum(len(section.promises) for section in SECTIONS) == 66
    assert len({section.anchor for section in SECTIONS}) == len(SECTIONS)
    assert {promise.room for promise in PROMISES.values()} | {section.room for section in SECTIONS} <= ROOMS
    assert len({promise.sentence for promise in PROMISES.values()}) == len(PROMISES)


def test_the_register_agrees_with_the_mission_where_that_lies_beside_the_checkout() -> None:
    beside = Path(__file__).parents[3] / "shared" / "PROMISES.md"
    if beside.exists():
        lines = beside.read_text("utf-8").splitlines()
        wanted = [line.split("|")[1].strip() for line in lines if line.startswith("| ") and "." in line.split("|")[1]]
        assert wanted == list(PROMISES)


def test_a_promise_stands_once() -> None:
    twice = promises.FILE.read_text("utf-8").replace('id = "transit.https"', 'id = "transit.tls13"')
    with pytest.raises(ValueError, match="twice"):
        promises.read(twice)


@pytest.mark.parametrize(
    "checks, reason",
    [
        ([Check("transit.tls14", "how", never)], "not a promise"),
        ([Check("transit.tls13", "how", never), Check("transit.tls13", "how", never)], "two checks"),
        ([Check("transit.tls13", "", never)], "does not say"),
        ([Check("transit.tls13", "how", never, timedelta(0))], "does not say"),
    ],
)
def test_a_wrong_register_refuses_to_start(checks: list[Check], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        trust.make_register(checks)


@pytest.mark.parametrize(
    "verdict, age, state",
    [
        (Verdict.KEPT, 0, "kept"),
        (Verdict.KEPT, 15 * 60, "kept"),
        (Verdict.KEPT, 15 * 60 + 1, "stale"),
        (Verdict.BROKEN, 15 * 60 + 1, "stale"),
        (Verdict.BROKEN, 60, "broken"),
        (Verdict.COULD_NOT_CHECK, 60, "could_not_check"),
        (Verdict.KEPT, -300, "kept"),
        (Verdict.KEPT, -301, "stale"),
    ],
)
def test_states(verdict: Verdict, age: int, state: str) -> None:
    assert state_of(EVERY, verdict, NOW - timedelta(seconds=age), NOW) == state


def test_without_a_check_or_a_run_nothing_is_claimed() -> None:
    assert state_of(None, Verdict.KEPT, NOW, NOW) is PromiseState.NOT_BUILT
    assert state_of(EVERY, None, None, NOW) is PromiseState.COULD_NOT_CHECK


@given(
    every=st.none() | st.timedeltas(timedelta(seconds=1), timedelta(days=30)),
    verdict=st.none() | st.sampled_from(Verdict),
    age=st.timedeltas(timedelta(days=-60), timedelta(days=200)),
)
def test_kept_needs_a_recent_good_run(every: timedelta | None, verdict: Verdict | None, age: timedelta) -> None:
    state = state_of(every, verdict, NOW - age, NOW)
    if state is PromiseState.KEPT:
        assert every is not None
        assert verdict is Verdict.KEPT
        assert -every <= age <= 3 * every


def test_the_summary_leaves_nothing_bad_out() -> None:
    counts = count([PromiseState.KEPT, PromiseState.BROKEN, PromiseState.STALE, PromiseState.NOT_BUILT])
    text = in_words(counts)
    assert text.startswith("1 of 4 promises are kept")
    for words in ("1 is broken", "1 could not be checked", "1 is not built yet"):
        assert words in text
    assert in_words(count([PromiseState.KEPT])) == "1 of 1 promises are kept as of their last check."


@pytest.mark.parametrize(
    "seconds, text", [(300, "5 minutes"), (3600, "hour"), (86400, "day"), (172800, "2 days"), (90, "90 seconds")]
)
def test_intervals_in_words(seconds: int, text: str) -> None:
    assert period(seconds) == text


@pytest.mark.parametrize(
    "name, text", [("tls_1_2", "TLS 1.2"), ("entries_verified", "Entries verified"), ("root", "Root")]
)
def test_names_of_figures(name: str, text: str) -> None:
    assert label(name) == text

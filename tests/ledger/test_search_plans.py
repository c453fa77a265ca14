"""How the database goes about a search: along an index, in its order, whatever is combined: no scan, no sort."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select
from sqlalchemy import event as sqlalchemy_event

from subscription_services.kernel.events import Event, Outcome
from subscription_services.ledger.searching import Search, search
from subscription_services.ledger.uses import newest_about, uses

from .conftest import Bench

ACTIONS = ["identity.sign_in", "identity.sign_out", "billing.pay", "billing.refund", "access.people"]
VALUES = {
    "actor": "acc_2", "subject": "acc_1", "action": "billing.pay", "object": "sub_3", "outcome": "refused",
    "origin_index": "aa11", "correlation": "cor_7",
}  # fmt: skip
COMBINED = [
    ("actor", "outcome"), ("actor", "action"), ("subject", "action"), ("subject", "outcome"), ("action", "outcome"),
    ("object", "action"), ("origin_index", "outcome"), ("origin_index", "action"), ("actor", "subject"),
    ("actor", "action", "outcome"), ("correlation", "actor"), tuple(VALUES),
]  # fmt: skip
Plans = list[tuple[str, str]]


@pytest.fixture
def busy(bench: Bench) -> Bench:
    """A thousand events, and PostgreSQL knows how often each value is there."""
    events = [
        bench.event(
            actor=f"acc_{number % 3}", action=ACTIONS[number % 5], subject=f"acc_{number % 4}",
            object=f"sub_{number % 9}",
            outcome=Outcome.REFUSED if number % 7 == 0 else Outcome.SUCCESS,
            origin_index="aa11" if number % 11 == 0 else "", correlation=f"cor_{number // 2}",
        )
        for number in range(1000)
    ]  # fmt: skip
    bench.append(*events)
    bench.sequence()
    if bench.store.dialect == "postgresql":
        bench.sql("ANALYZE ledger_event")
    return bench


def plans(bench: Bench, work: Callable[[Any], object]) -> Plans:
    """Each statement that `work` sends, and how the database would carry it out."""
    sent: list[tuple[str, Any]] = []

    def keep(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        sent.append((statement, parameters))

    with bench.store.reading() as connection:
        sqlalchemy_event.listen(connection, "before_cursor_execute", keep)
        work(connection)
        sqlalchemy_event.remove(connection, "before_cursor_execute", keep)
        if bench.store.dialect == "sqlite":
            return [
                (
                    text,
                    "\n".join(row.detail for row in connection.exec_driver_sql("EXPLAIN QUERY PLAN " + text, values)),
                )
                for text, values in sent
            ]
        # on so few rows reading and sorting all of them is quickest; what matters is that there is another way
        # (bench/search.py looks at the plans that it chooses freely among a million)
        for way in ("seqscan", "bitmapscan", "sort"):
            connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")
        return [
            (text, "\n".join(connection.exec_driver_sql("EXPLAIN " + text, values).scalars())) for text, values in sent
        ]


def all_of(connection: Connection) -> list[Event]:
    """Newest first."""
    first = search(connection, Search(), limit=500)
    return [item.event for item in (*first.found, *search(connection, Search(), after=first.next, limit=500).found)]


def check(dialect: str, found: Plans, sorts: bool = False) -> str:
    """No plan reads the table from end to end or sorts; returns the plan of the search itself, the last one.

    `sorts`: a few rows of each of several names are sorted together."""
    for statement, plan in found:
        if dialect == "sqlite":
            assert not re.search(r"SCAN ledger_e(?!vent USING (COVERING )?INDEX ix_ledger_event_at)", plan), plan
            assert sorts or "TEMP B-TREE" not in plan, (statement, plan)
        else:
            assert "Seq Scan on ledger_e" not in plan, plan
            assert sorts or "Sort" not in plan, (statement, plan)
    return found[-1][1]


def leads(plan: str) -> set[str]:
    return set(re.findall(r"\bix_ledger_event_([a-z_]+)\b", plan))


def test_a_search_reads_an_index_in_order(busy: Bench) -> None:
    day: dict[str, Any] = {"since": busy.clock() - timedelta(days=1), "until": busy.clock() + timedelta(days=1)}
    for names in ((), *((name,) for name in VALUES), *COMBINED):
        fields: dict[str, Any] = {name: VALUES[name] for name in names}
        for wanted in (Search(**fields), Search(**fields, **day)):
            for oldest_first in (False, True):
                found = plans(busy, lambda c, w=wanted, o=oldest_first: search(c, w, limit=5, oldest_first=o))  # type: ignore[misc]
                plan = check(busy.store.dialect, found)
                assert leads(plan) <= (set(names) or {"at"}), (names, plan)
                assert len(leads(plan)) == 1, (names, plan)


def test_a_lost_index_is_noticed(busy: Bench) -> None:
    busy.sql("DROP INDEX ix_ledger_event_actor")
    found = plans(busy, lambda c: search(c, Search(actor="acc_2"), limit=5))
    with pytest.raises(AssertionError):
        assert leads(check(busy.store.dialect, found)) == {"actor"}


@pytest.mark.parametrize("names", [(), ("actor",), ("outcome",), ("subject", "action")], ids="+".join)
def test_a_later_page_starts_where_the_last_one_ended(busy: Bench, names: tuple[str, ...]) -> None:
    fields: dict[str, Any] = {name: VALUES[name] for name in names}
    wanted = Search(**fields)
    with busy.store.reading() as connection:
        after = search(connection, wanted, limit=2).next
    assert after is not None
    plan = check(busy.store.dialect, plans(busy, lambda c: search(c, wanted, after=after, limit=2)))
    if busy.store.dialect == "sqlite":
        assert re.search(r"SEARCH ledger_event USING INDEX ix_ledger_event_\w+ \([^)]*\(at,id\)<\(\?,\?\)", plan), plan
    else:
        assert re.search(r"Index Cond: .*ROW\(", plan), plan


@pytest.mark.parametrize(
    ("fields", "index"),
    [
        ({"action": "billing."}, "action"),
        ({"action": "identity.sign*"}, "action"),
        ({"action": "billing.", "outcome": "refused"}, "action"),
        ({"action": "billing.", "actor": "acc_1"}, "actor"),
        ({"action": "*", "subject": "acc_1"}, "subject"),
    ],
)
def test_the_beginning_of_a_name_is_looked_for_name_by_name(busy: Bench, fields: dict[str, Any], index: str) -> None:
    found = plans(busy, lambda c: search(c, Search(**fields), limit=5))
    assert leads(check(busy.store.dialect, found, sorts=True)) == {index}


def test_the_filter_that_fits_fewest_leads(busy: Bench) -> None:
    """Also where it is another one for each value."""
    busy.append(*[busy.event(actor="system:jobs", action="billing.pay") for _ in range(300)])
    often, seldom = Search(actor="system:jobs", action="access.people"), Search(actor="acc_2", action="billing.pay")
    for wanted, index in ((often, "action"), (seldom, "actor")):
        assert leads(check(busy.store.dialect, plans(busy, lambda c, w=wanted: search(c, w)))) == {index}  # type: ignore[misc]


def test_what_is_combined_finds_exactly_what_fits_all(busy: Bench) -> None:
    with busy.store.reading() as connection:
        everything = all_of(connection)
        for names in COMBINED:
            fields: dict[str, Any] = {name: VALUES[name] for name in names}
            found = [item.event for item in search(connection, Search(**fields), limit=500).found]
            turned = [item.event for item in search(connection, Search(**fields), limit=500, oldest_first=True).found]
            assert found == [e for e in everything if all(getattr(e, name) == value for name, value in fields.items())]
            assert turned == found[::-1]
            assert found or len(names) > 2, names


@pytest.mark.parametrize("begins", ["billing.", "identity.sign_o*", "b*", "nothing.", "*"])
def test_beginnings_go_page_by_page_through_all_that_fit(busy: Bench, begins: str) -> None:
    start = begins.removesuffix("*")
    seen, after = [], None
    with busy.store.reading() as connection:
        everything = all_of(connection)
        while True:
            page = search(connection, Search(action=begins), after=after, limit=170)
            seen += [item.event for item in page.found]
            after = page.next
            if after is None:
                break
    assert seen == [event for event in everything if event.action.startswith(start)]


def test_uses_are_counted_along_the_index_of_an_actor_or_of_an_action(busy: Bench) -> None:
    everything = all_of_everything(busy)
    since, until = everything[0].at, everything[-1].at + timedelta(seconds=1)
    for given in ({"actor": "acc_2"}, {"action": "billing.pay"}):
        (name, value) = next(iter(given.items()))
        with busy.store.reading() as connection:
            found = uses(connection, since=since, until=until, limit=5000, **given)
        ours = [event for event in everything if getattr(event, name) == value]
        done = [event for event in ours if event.outcome is Outcome.SUCCESS]
        assert (found.whole, found.looked_at) == (True, len(ours))
        assert {(use.actor, use.action): use.count for use in found.found} == Counter(
            (event.actor, event.action) for event in done
        )
        assert max(use.last for use in found.found) == max(event.at for event in done)
        sent = plans(busy, lambda c, g=given: uses(c, since=since, until=until, limit=50, **g))  # type: ignore[misc]
        (plan,) = [text for _, text in sent]
        assert leads(plan) == {name}, plan
        with busy.store.reading() as connection:
            part = uses(connection, since=since, until=until, limit=50, **given)
        assert (part.whole, part.looked_at) == (False, 50)


def test_the_newest_about_an_object_is_one_step_along_its_index(busy: Bench) -> None:
    wanted = select(newest_about("sub_3", ["billing.pay", "billing.refund"]))
    (plan,) = [text for _, text in plans(busy, lambda c: c.execute(wanted).scalar())]
    assert leads(plan) == {"object"}, plan
    named = ("billing.pay", "billing.refund")
    ours = [event.at for event in all_of_everything(busy) if event.object == "sub_3" and event.action in named]
    with busy.store.reading() as connection:
        assert connection.execute(wanted).scalar() == max(ours)


def all_of_everything(busy: Bench) -> list[Event]:
    """Oldest first."""
    with busy.store.reading() as connection:
        return all_of(connection)[::-1]

"""Money, time and form errors in people's words; pages that cannot be tricked by what they show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum

import msgspec
import pytest
from jinja2 import UndefinedError

from subscription_services.kernel.money import Money
from subscription_services.web import render
from subscription_services.web.forms import FormState, parse
from subscription_services.web.page import NavItem, PageContext, Person, current_of
from subscription_services.web.words import ago_text, iso, money_text, time_text

NOW = datetime(2026, 11, 24, 7, 6, tzinfo=UTC)


class Kind(StrEnum):
    ONE = "one"


class Answer(msgspec.Struct, frozen=True):
    kind: Kind
    terms: bool
    note: str | None = None
    number: int = 0


@pytest.mark.parametrize(
    "amount, currency, text",
    [(1999, "EUR", "€19.99"), (5, "JPY", "JP¥5"), (1234, "KWD", "KWD1.234"), (-500, "EUR", "-€5.00")],
)
def test_money_has_its_currency_s_digits(amount: int, currency: str, text: str) -> None:
    assert money_text(amount, currency) == money_text(Money(amount, currency)) == text


def test_times_are_utc_and_say_so() -> None:
    assert time_text(NOW) == "24 Nov 2026, 07:06 UTC"
    assert iso(NOW) == "2026-11-24T07:06:00Z"
    assert ago_text(NOW, NOW) == "just now"
    assert ago_text(NOW - timedelta(minutes=5), NOW) == "5 minutes ago"
    with pytest.raises(ValueError):
        time_text(datetime(2026, 1, 1))


def test_a_form_becomes_a_request() -> None:
    made = parse({"kind": "one", "terms": "true", "note": " x ", "stray": "1", "idempotency_key": "k"}, Answer)
    assert made.request == Answer(Kind.ONE, True, "x")
    assert made.idempotency_key == "k"


def test_what_is_missing_is_said_beside_each_field() -> None:
    made = parse({"kind": "two"}, Answer, labels={"kind": "Kind of plan", "terms": "I accept the terms"})
    assert made.request is None
    assert made.state.errors == {
        "kind": "Choose kind of plan from the list.",
        "terms": "Tick “I accept the terms” to go on.",
    }
    assert "number" in parse({"kind": "one", "terms": "true", "number": "9" * 30}, Answer).state.errors


def test_what_the_handler_gives_wins_over_what_was_posted() -> None:
    made = parse({"kind": "one", "terms": "true", "note": "theirs"}, Answer, given={"note": "ours"})
    assert made.request is not None and made.request.note == "ours"


def test_what_was_typed_is_shown_as_text() -> None:
    view = PageContext(person=Person("<b>x</b>"), nav=(NavItem("a", "/a"),))
    shown = render.page("problem_types.html", view, kinds=())
    assert "<b>x</b>" not in shown and "&lt;b&gt;x" in shown
    template = render._environment("en").from_string('{{ ui.field(form, "email", "Address") }}')
    text = template.render(form=FormState({"email": '"><script>'}, {"email": "<i>no</i>"}))
    assert "<script>" not in text and "<i>" not in text


def test_a_forgotten_name_is_an_error_not_a_blank() -> None:
    with pytest.raises(UndefinedError):
        render.page("problem_types.html", PageContext())


@pytest.mark.parametrize("path", ["//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nX: y", ""])
def test_a_redirect_stays_on_this_site(path: str) -> None:
    with pytest.raises(ValueError):
        render.see_other(path)


def test_the_page_and_its_part_are_marked_as_current() -> None:
    orders, order = NavItem("Orders", "/orders", under="/orders"), NavItem("Order", "/order", under="/order")
    assert current_of((orders, order), "/orders/1") == (orders,)

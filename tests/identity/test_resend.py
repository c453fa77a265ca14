"""A form that comes while its session cannot show whose it is: nothing is lost, and no form gets in that way."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Annotated, get_args, get_origin, get_type_hints

import pytest

from subscription_services import app
from subscription_services.identity.fields import Code, Secret, Token
from subscription_services.testing import World
from subscription_services.web import resend
from subscription_services.web.resend import LONGEST, is_secret, sorted_out
from tests.identity.browsing import Form, words_of
from tests.identity.test_binding import ADA, Bound, _device

PROFILE = "/account/profile"
SECRET = "a new secret of mine 5"


@pytest.fixture
def owner(world: World) -> Bound:
    """Signed in with a key of the browser's own, on the page of their profile, when the time of the cookie is over."""
    browser = _device(world)
    browser.get(PROFILE)
    world.clock.advance(minutes=11)
    return browser


def name_of(owner: Bound) -> str:
    owner.get(PROFILE)
    return owner.form(PROFILE).fields["name"]


def test_the_form_comes_back_and_is_sent_with_one_press(owner: Bound, world: World) -> None:
    typed = """Ada "the <b>first</b>" & O'Hara {{7*7}}"""
    key = owner.form(PROFILE).fields["idempotency_key"]
    assert owner.press(PROFILE, name=typed).status_code == 401
    assert "<b>first" not in owner.page.text and "7*7" in owner.page.text
    kept = owner.form(PROFILE)
    assert (kept.fields["name"], kept.fields["idempotency_key"]) == (typed, key)
    assert "Not sent yet" in words_of(owner.page) and owner.page.headers["cache-control"] == "no-store"
    assert owner.refreshes().status_code == 200  # what the browser does by itself
    assert owner.send(kept).status_code == 303
    assert owner.send(kept).status_code == 303  # pressed twice: the key of the first form still counts
    assert len(world.events("identity.change_name")) == 2  # refused once, done once
    assert name_of(owner) == typed


def test_as_long_as_nothing_is_shown_it_only_comes_back(owner: Bound, world: World) -> None:
    for _ in range(3):
        assert owner.press(PROFILE, name="Mallory").status_code == 401
    owner.refreshes()
    assert name_of(owner) == "Ada Example"
    assert all(event.outcome.value == "refused" for event in world.events("identity.change_name"))


def test_secrets_are_dropped_and_asked_for_again(world: World) -> None:
    owner = _device(world)
    owner.get("/account/password")
    world.clock.advance(minutes=11)
    assert owner.press("/account/password", current="the old one", password=SECRET).status_code == 401
    assert SECRET not in owner.page.text and "the old one" not in owner.page.text
    kept = owner.form("/account/password")
    assert (kept.fields["current"], kept.fields["password"]) == ("", "")
    assert "not kept" in words_of(owner.page)


def test_a_card_number_is_left_out_and_that_is_said(owner: Bound) -> None:
    assert owner.press(PROFILE, name="4242 4242 4242 4242").status_code == 401
    assert "4242" not in owner.page.text and "Left out" in words_of(owner.page)


def test_no_other_site_gets_a_form_into_the_page(owner: Bound, world: World) -> None:
    ours = owner.form(PROFILE)
    other = Bound(world)
    other.join("mallory@example.org")
    other.get(PROFILE)
    foreign = other.form(PROFILE).fields["csrf_token"]

    def post(token: str, **headers: str) -> str:
        data = {**ours.fields, "csrf_token": token, "name": "smuggled"}
        sent = {"Origin": "https://localhost:8443", "Sec-Fetch-Site": "same-origin", **headers}
        answer = world.run(owner.client.post(PROFILE, data=data, headers=sent))
        assert answer.status_code == 403, answer.text
        return str(answer.text)

    good = ours.fields["csrf_token"]
    for page in (
        post(""), post(foreign), post(good, Origin="https://evil.example"), post(good, Origin="null"),
        post(good, **{"Sec-Fetch-Site": "cross-site"}), post(good, **{"Sec-Fetch-Site": "same-site"}),
    ):  # fmt: skip
        assert "smuggled" not in page and "Not sent yet" not in page


def test_whoever_copied_the_cookies_gets_their_own_words_back_and_nothing_else(owner: Bound) -> None:
    thief = owner.copy("Thief/1")
    thief.page = owner.page
    assert thief.press(PROFILE, name="Mallory").status_code == 401
    assert ADA not in thief.page.text and "Ada Example" not in thief.page.text
    assert thief.press(PROFILE).status_code == 401
    owner.refreshes()
    assert name_of(owner) == "Ada Example"


def test_what_is_no_form_of_a_page_gets_a_plain_answer(owner: Bound) -> None:
    form = owner.form(PROFILE)
    too_long = owner.send(Form(PROFILE, form.fields), name="x" * (LONGEST + 1))
    assert too_long.status_code == 401 and "Not sent yet" not in too_long.text and "xxx" not in too_long.text
    headers = {"Origin": "https://localhost:8443", "Accept": "application/json"}
    problem = owner.world.run(owner.client.post(PROFILE, data=form.fields, headers=headers))
    assert problem.json()["code"] == "session-unbound"
    assert owner.get(PROFILE).headers["location"] == "/session/renew?next=/account/profile"


@pytest.mark.parametrize("path", ["//evil.example/x", "/a b", '/"><script>', "/a?b#c"])
def test_the_form_leads_to_a_path_of_this_host(path: str) -> None:
    import asyncio

    from starlette.requests import Request

    from subscription_services.kernel.errors import SessionUnbound

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"name=Ada", "more_body": False}

    kind = [(b"content-type", b"application/x-www-form-urlencoded"), (b"host", b"localhost")]
    scope = {
        "type": "http", "method": "POST", "scheme": "https", "path": path, "headers": kind, "query_string": b"x=1",
        "server": ("localhost", 443),
    }  # fmt: skip
    kept = asyncio.run(resend.kept_form(Request(scope, receive), SessionUnbound(), None))
    if path.startswith("//"):
        assert kept is None
    else:
        assert kept is not None and re.fullmatch(r"/[A-Za-z0-9%/]+\?x=1", kept.action)


def test_names_that_no_form_of_ours_has_do_not_come_back() -> None:
    kept = sorted_out("/x", {"ok": "1", "": "2", "a b": "3", "_charset_": "4", "x" * 70: "5", "csrf_token": "6"}, None)
    assert kept is not None and kept.fields == (("ok", "1"),) and kept.key == ""
    assert sorted_out("/x", {f"code{number}": "1" for number in range(6)}, None) is None


def _is(annotation: object, wanted: object) -> bool:
    if annotation == wanted:
        return True
    return get_origin(annotation) is not Annotated and any(_is(part, wanted) for part in get_args(annotation))


def test_every_secret_of_every_operation_and_page_is_known_by_its_name() -> None:
    named = set()
    for operation in app.OPERATIONS:
        for name, annotation in get_type_hints(operation.request, include_extras=True).items():
            if any(_is(annotation, kind) for kind in (Secret, Code, Token)):
                named.add(name)
    for path in Path(app.__file__).parent.rglob("pages/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "secrets":
                named |= set(ast.literal_eval(node.value))
    for path in Path(app.__file__).parent.rglob("*.html"):
        named |= set(re.findall(r'ui\.(?:password|code)_field\(\w+, "(\w+)"', path.read_text()))
    named -= {"session"}  # our script's JSON, no form
    assert {"password", "current", "code", "token"} <= named
    assert [name for name in sorted(named) if not is_secret(name)] == []
    assert not any(map(is_secret, ("name", "email", "plan", "reason", "minutes", "id", "country", "address")))

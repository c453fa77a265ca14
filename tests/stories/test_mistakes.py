"""What people do by mistake and strangers on purpose: old links, used codes, pressing twice, going back."""

from __future__ import annotations

import re
import threading
import time
from urllib.parse import urlsplit

import httpx
import pyotp
import pytest
from playwright.sync_api import Browser

from tests.stories.person import meet
from tests.stories.running import Service, eventually, start, unique
from tests.stories.visitor import PASSWORD, Form, Visitor

pytestmark = [pytest.mark.xdist_group("stories"), pytest.mark.timeout(200)]


def test_wrong_and_used_links_say_so_and_offer_a_way_on(service: Service) -> None:
    vera = Visitor(service)
    vera.sign_up()
    link = urlsplit(service.link(vera.email, "Confirm", "/verify"))
    page = f"{link.path}?{link.query}"
    wrong = Visitor(service).submit("/verify?token=" + "x" * 43, "/verify")
    assert (wrong.status_code, "does not work" in wrong.text, "Send a new link" in wrong.text) == (403, True, True)
    for token in ("", "%ff%fe", "x" * 3000, "' OR 1=1 --", "\u202e"):
        answer = vera.client.get("/verify", params={"token": token})
        assert answer.status_code < 500, token
    vera.get(page)
    vera.verify()
    used = vera.submit(page, "/verify")
    assert "was used already" in used.text
    assert 400 <= used.status_code < 500
    vera.sign_in()


def test_a_new_letter_ends_no_link_that_was_not_used(service: Service) -> None:
    vera = Visitor(service)
    vera.sign_up()
    first = urlsplit(service.link(vera.email, "Confirm", "/verify"))
    assert vera.submit("/sign-up/sent", "/sign-up/again", email=vera.email).status_code == 200
    eventually(lambda: len(service.letters(vera.email)) == 2)
    assert vera.submit(f"{first.path}?{first.query}", "/verify").url.path == "/sign-in"
    later = urlsplit(service.link(vera.email, "Confirm", "/verify"))
    assert "was used already" in vera.submit(f"{later.path}?{later.query}", "/verify").text


def test_an_address_that_has_an_account_looks_like_any_other(service: Service) -> None:
    vera = Visitor(service).join()
    thief = Visitor(service, vera.email)
    answer = thief.submit("/sign-up", name="Thief", email=vera.email, password="thief-lantern-violet-77")
    fresh = Visitor(service).submit("/sign-up", name="New", email=f"{unique('new')}@example.org", password=PASSWORD)
    assert re.sub(r'(value|nonce)="[^"]*"', "", answer.text) == re.sub(r'(value|nonce)="[^"]*"', "", fresh.text)
    assert service.letter(vera.email, "already have an account")
    assert "not right" in thief.submit("/sign-in", email=vera.email, password="thief-lantern-violet-77").text


def test_a_code_works_once(service: Service) -> None:
    vera = Visitor(service).join()
    secret, step = _turn_on(vera)
    code = pyotp.TOTP(secret).at(step * 30)
    replayed = _second_step(Visitor(service, vera.email), code)
    assert replayed.status_code == 422 or "/sign-in/code" in str(replayed.url)
    assert "code" in replayed.text
    assert Visitor(service, vera.email).client.get("/account").url.path == "/sign-in"
    fresh = pyotp.TOTP(secret).at((step + 1) * 30)
    other = Visitor(service, vera.email)
    assert _second_step(other, fresh).url.path == "/account"
    again = Visitor(service, vera.email)
    assert _second_step(again, fresh).url.path != "/account"
    history = other.get("/account/activity")
    assert "the code was wrong" in history


def test_a_device_whose_clock_is_an_hour_off_is_told(service: Service) -> None:
    vera = Visitor(service).join()
    set_up = vera.submit("/account/two-factor", "/account/two-factor/start")
    secret = _key(set_up.text)
    moment = int(time.time())
    answer = vera.submit(
        "/account/two-factor/set-up", "/account/two-factor/confirm", code=pyotp.TOTP(secret).at(moment + 3600)
    )
    assert answer.status_code == 403
    assert "clock" in answer.text
    assert _key(answer.text) == secret


def test_every_form_sent_twice_counts_once(service: Service) -> None:
    vera = Visitor(service)
    form = vera.form("/sign-up", name="Vera", email=vera.email, password=PASSWORD)
    assert [vera.send(form).url.path for _ in range(2)] == ["/sign-up/sent"] * 2
    vera.verify()
    assert len(service.letters(vera.email)) == 1
    vera.sign_in()
    order = vera.form(vera.plan(), "/subscribe")
    answers = _at_once(vera, order, 5)
    places = {answer.url.path for answer in answers}
    assert len({place for place in places if place.startswith("/checkout/")}) == 1, places
    assert {answer.status_code for answer in answers} == {200}
    assert len(vera.subscriptions()) == 1
    assert len(vera.invoices()) == 1


def test_a_key_of_one_form_does_not_open_another(service: Service) -> None:
    vera = Visitor(service).join()
    first, second = vera.form("/account/profile", name="First"), vera.form("/account/profile", name="Second")
    second.fields["idempotency_key"] = first.fields["idempotency_key"]
    assert vera.send(first).status_code == 200
    assert vera.send(second).status_code in (409, 422)
    assert vera.form("/account/profile").fields["name"] == "First"


def test_forms_that_did_not_come_from_our_pages_do_nothing(service: Service) -> None:
    vera = Visitor(service).join()
    form = vera.form("/account/profile", name="Changed")
    for headers in ({"origin": "https://evil.example"}, {"origin": "null"}, {"origin": service.processor}):
        assert vera.client.post(form.action, data=form.fields, headers=headers).status_code == 403
    without = Form(form.action, {**form.fields, "csrf_token": ""})
    assert vera.send(without).status_code == 403
    other = Visitor(service).join()
    foreign = Form(form.action, {**form.fields, "csrf_token": other.form("/account/profile").fields["csrf_token"]})
    assert vera.send(foreign).status_code == 403
    assert vera.form("/account/profile").fields["name"] != "Changed"


def test_ten_megabytes_and_broken_text_are_refused_in_words(service: Service) -> None:
    vera = Visitor(service).join()
    form = vera.form("/account/profile", name="Vera")
    large = vera.client.post("/account/profile", data={**form.fields, "name": "x" * 10_000_000})
    assert large.status_code == 413
    kind = {"content-type": "application/x-www-form-urlencoded"}
    start_of = f"csrf_token={form.fields['csrf_token']}&name=".encode()
    for broken in (b"%ff%fe", b"%c3%28", b"\xff\xfe", b"%00", b"%ed%a0%80"):
        answer = vera.client.post("/account/profile", content=start_of + broken, headers=kind)
        assert answer.status_code in (400, 403, 422), (broken, answer.status_code)
        assert "<h1>" in answer.text, "a person sees a page"
    for path in ("/%ff%fe", "/subscriptions/%00", "/invoices/%2e%2e%2fpasswd.pdf", "/security/promises/%ed%a0%80"):
        assert vera.client.get(path).status_code in (400, 404), path
    assert "Vera Visitor" in vera.get("/account")


def test_what_is_typed_is_shown_as_text(service: Service) -> None:
    vera = Visitor(service).join()
    name = """<script>alert(1)</script>"'><img src=x onerror=alert(1)>{{7*7}}"""
    answer = vera.submit("/account/profile", name=name)
    assert answer.status_code == 200
    for path in ("/account", "/account/profile", "/account/activity"):
        text = vera.get(path)
        assert "<img src=x" not in text
        assert "<script>alert" not in text
    assert vera.form("/account/profile").fields["name"] == name


def test_other_peoples_things_are_not_there(service: Service) -> None:
    vera, mallory = Visitor(service).join(), Visitor(service).join()
    checkout = vera.order()
    (subscription,), (invoice,) = vera.subscriptions(), vera.invoices()
    for path in (
        checkout, f"{checkout}/return", f"{checkout}/state", f"/subscriptions/{subscription}",
        f"/subscriptions/{subscription}/cancel", f"/invoices/{invoice}", f"/invoices/{invoice}.pdf",
    ):  # fmt: skip
        assert mallory.client.get(path).status_code == 404, path
    form = mallory.form("/account/profile")
    for action in (f"{checkout}/cancel", f"/subscriptions/{subscription}/cancel"):
        answer = mallory.send(Form(action, dict(form.fields)))
        assert vera.email not in answer.text
    assert "iframe" in mallory.client.get("/plans").text or vera.frame(checkout)
    assert vera.client.get(f"/subscriptions/{subscription}").status_code == 200


@pytest.mark.browser
def test_after_signing_out_the_back_button_shows_nothing(service: Service, browser: Browser) -> None:
    vera = Visitor(service).join()
    person = meet(service, browser, vera.email)
    person.sign_in()
    page = person.page
    for path in ("/account/profile", "/account/activity", "/account/devices"):
        page.goto(f"{service.url}{path}")
    person.sign_out()
    assert "You are signed out" in page.locator("main").inner_text()
    for _ in range(4):
        page.go_back()
        assert vera.email not in page.content()
        assert "127.0.0.1" not in page.locator("main").inner_text()


def test_expired_links_and_a_stop_and_start_between(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("twice")
    before = start(folder)
    try:
        vera, early = Visitor(before), Visitor(before)
        vera.sign_up()
        early.join()
        link = urlsplit(before.link(vera.email, "Confirm", "/verify"))
    finally:
        before.stop()
    after = start(folder, SUBS_CLOCK_OFFSET=str(25 * 3600))
    try:
        answer = Visitor(after).submit(f"{link.path}?{link.query}", "/verify")
        assert "has expired" in answer.text
        again = Visitor(after, vera.email)
        again.submit(f"{link.path}?{link.query}", "/verify")
        assert again.submit("/sign-up/sent", "/sign-up/again", email=vera.email).status_code == 200
        again.verify()
        again.sign_in()
        early.client.base_url = httpx.URL(after.url)
        assert early.client.get("/account").url.path == "/sign-in", "a session does not outlive its hours"
    finally:
        after.stop()


def _turn_on(vera: Visitor) -> tuple[str, int]:
    """Turn two-factor sign-in on; the secret and the step whose code was used."""
    secret = _key(vera.submit("/account/two-factor", "/account/two-factor/start").text)
    step = int(time.time()) // 30
    answer = vera.submit(
        "/account/two-factor/set-up", "/account/two-factor/confirm", code=pyotp.TOTP(secret).at(step * 30)
    )
    assert "recovery codes" in answer.text, answer.text
    return secret, step


def _second_step(visitor: Visitor, code: str) -> httpx.Response:
    answer = visitor.submit("/sign-in", email=visitor.email, password=PASSWORD)
    assert answer.url.path == "/sign-in/code"
    return visitor.submit("/sign-in/code", code=code)


def _key(page: str) -> str:
    found = re.search(r"<code>([A-Z2-7 ]+)</code>", page)
    assert found, page
    return found[1].replace(" ", "")


def _at_once(vera: Visitor, form: Form, times: int) -> list[httpx.Response]:
    """The same form several times at the same moment, as five impatient presses."""
    answers: list[httpx.Response] = []
    own = {"origin": vera.service.url}  # from her network: elsewhere her cookies open nothing
    clients = [vera.service.client(vera.home, follow_redirects=True, headers=own) for _ in range(times)]
    for client in clients:
        client.cookies.update(vera.client.cookies)

    def press(client: httpx.Client) -> None:
        answers.append(client.post(form.action, data=form.fields))

    threads = [threading.Thread(target=press, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for client in clients:
        client.close()
    assert len(answers) == times
    return answers

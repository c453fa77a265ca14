"""The pages of accounts through the whole application: what people do, what goes wrong, what thieves would try."""

from __future__ import annotations

import re

import pytest
from msgspec import Struct

from subscription_services.identity.model import Purpose
from subscription_services.kernel.actors import Role, System
from subscription_services.testing import World
from subscription_services.testing.people import PASSWORD

from .browsing import FIREFOX, Browser, codes_on, link_of, set_cookies, words_of

ADA = "ada@example.org"
NEW = "a quite different phrase 8"


@pytest.fixture
def engine() -> str:
    """The pages are the same on both engines; what they do is tested on both elsewhere."""
    return "sqlite"


@pytest.fixture
def browser(world: World) -> Browser:
    return Browser(world)


def ada(browser: Browser) -> Browser:
    browser.join(ADA)
    return browser


def test_the_journey_from_nothing_to_two_factor(browser: Browser, world: World) -> None:
    browser.join(ADA)
    assert "Hello, Ada Example" in browser.page.text
    assert "Turn on two-factor sign-in" in browser.page.text
    before = browser.cookie("__Host-session")
    totp = browser.turn_on_two_factor()
    codes = codes_on(browser.page)
    assert (len(codes), len(set(codes))) == (10, 10)
    assert browser.cookie("__Host-session") not in ("", before)
    browser.get("/account")
    assert "Turn on two-factor sign-in" not in browser.page.text
    browser.press("/sign-out")
    world.clock.advance(seconds=60)
    assert browser.sign_in(ADA).headers["location"] == "/sign-in/code"
    browser.follow()
    assert browser.press("/sign-in/code", code=totp.at(world.clock())).headers["location"] == "/account"
    assert browser.follow().status_code == 200


def test_wrong_input_stands_beside_its_field_and_what_was_typed_stays(browser: Browser, world: World) -> None:
    browser.get("/sign-up")
    browser.press("/sign-up", name="Ada <b>", email="nonsense", password="short")
    assert browser.page.status_code == 422
    assert 'value="Ada &lt;b&gt;"' in browser.page.text
    assert 'value="nonsense"' in browser.page.text
    assert 'id="f-email-error"' in browser.page.text
    browser.press("/sign-up", name="Ada", email=ADA, password="password1234")
    assert 'id="f-password-error"' in browser.page.text
    assert "password1234" not in browser.page.text
    assert world.events("identity.sign_up")[-1].outcome == "failed"


def test_a_known_address_is_answered_like_a_new_one(browser: Browser, world: World) -> None:
    browser.join(ADA)
    stranger = Browser(world)
    stranger.sign_up(ADA, name="Somebody else")
    known = stranger.follow()
    other = Browser(world)
    other.sign_up("new@example.org")
    assert words_of(known) == words_of(other.follow())


def test_an_unverified_address_gets_a_way_on(browser: Browser, world: World) -> None:
    browser.sign_up(ADA)
    browser.sign_in(ADA)
    assert browser.page.status_code == 403
    assert "/sign-up/sent" in browser.page.text
    assert not browser.cookie("__Host-session")
    browser.get("/sign-up/sent")
    assert browser.press("/sign-up/again", email=ADA).headers["location"] == "/sign-up/sent"
    assert "a new letter is on its way" in browser.follow().text


def test_looking_at_a_link_does_not_use_it(browser: Browser, world: World) -> None:
    browser.sign_up(ADA)
    token = link_of(world, ADA)
    for _ in range(3):
        assert browser.get(f"/verify?token={token}").status_code == 200
    assert browser.press("/verify").headers["location"] == "/sign-in"
    assert "confirmed" in words_of(browser.follow())


def test_links_that_do_not_work_say_why_and_how_to_go_on(browser: Browser, world: World) -> None:
    browser.sign_up(ADA)
    used, expired, wrong = link_of(world, ADA), link_of(world, ADA), "A" * 43
    world.clock.advance(hours=25)
    fresh = link_of(world, ADA)
    browser.get(f"/verify?token={fresh}")
    browser.press("/verify")
    for token, words in ((fresh, "used already"), (used, ""), (expired, ""), (wrong, "not valid"), ("x", "not valid")):
        browser.get(f"/verify?token={token}")
        assert browser.press("/verify").status_code == 403
        assert words in words_of(browser.page)
        assert browser.form("/sign-up/again")
    assert browser.get("/verify").status_code == 403


def test_an_expired_link_says_so(browser: Browser, world: World) -> None:
    browser.sign_up(ADA)
    token = link_of(world, ADA)
    world.clock.advance(hours=25)
    browser.get(f"/verify?token={token}")
    browser.press("/verify")
    assert "has expired" in words_of(browser.page)
    assert browser.press("/sign-up/again", email=ADA).status_code == 303


def test_pressed_twice_confirms_once(browser: Browser, world: World) -> None:
    browser.sign_up(ADA)
    browser.get(f"/verify?token={link_of(world, ADA)}")
    form = browser.form("/verify")
    assert [browser.send(form).headers["location"] for _ in range(2)] == ["/sign-in", "/sign-in"]


def test_signing_up_twice_with_one_form_makes_one_account(browser: Browser, world: World) -> None:
    browser.get("/sign-up")
    form = browser.form("/sign-up")
    for _ in range(2):
        assert browser.send(form, name="Ada", email=ADA, password=PASSWORD).status_code == 303
    assert len([event for event in world.events("identity.sign_up") if event.outcome == "success"]) == 1


def test_the_cookies_are_bound_to_host_and_hidden_from_scripts(browser: Browser, world: World) -> None:
    browser.join(ADA)
    browser.press("/sign-out")
    cookie = set_cookies(browser.sign_in(ADA))["__Host-session"]
    assert {"path": "/", "secure": "", "httponly": "", "samesite": "lax"}.items() <= cookie.items()
    assert not {"domain", "max-age", "expires"} & cookie.keys()
    assert len(cookie[""]) == 43
    browser.follow()
    browser.turn_on_two_factor()
    browser.get("/account")
    browser.press("/sign-out")
    challenge = set_cookies(browser.sign_in(ADA))["__Host-challenge"]
    wanted = {"path": "/", "secure": "", "httponly": "", "samesite": "strict", "max-age": "600"}
    assert wanted.items() <= challenge.items()
    assert "domain" not in challenge
    assert "__Host-session" not in set_cookies(browser.page)


def test_signing_out_ends_it_for_good(browser: Browser, world: World) -> None:
    ada(browser)
    assert browser.page.headers["cache-control"] == "no-store"
    token, form = browser.cookie("__Host-session"), browser.form("/sign-out")
    browser.send(form)
    assert browser.page.headers["clear-site-data"] == '"cache", "storage"'
    assert set_cookies(browser.page)["__Host-session"]["max-age"] == "0"
    assert browser.get("/account").headers["location"] == "/sign-in?next=/account"
    browser.client.cookies.set("__Host-session", token)
    assert browser.get("/account").status_code == 303
    # the button on a page that another tab still shows
    assert browser.send(form).headers["location"] == "/"


def test_who_is_signed_in_needs_no_door(browser: Browser) -> None:
    ada(browser)
    assert browser.get("/sign-in").headers["location"] == "/account"
    assert browser.get("/sign-up").headers["location"] == "/account"


ELSEWHERE = ["https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)",
             "/%0d%0aLocation: https://evil.example", "/\t/evil.example", "evil.example", ""]  # fmt: skip


@pytest.mark.parametrize("wanted", ELSEWHERE)
def test_next_never_leads_away(browser: Browser, world: World, wanted: str) -> None:
    browser.join(ADA)
    browser.press("/sign-out")
    browser.world.run(browser.client.get("/sign-in", params={"next": wanted}))
    browser.page = browser.world.run(browser.client.get("/sign-in", params={"next": wanted}))
    form = browser.form("/sign-in")
    target = browser.send(form, email=ADA, password=PASSWORD).headers["location"]
    assert target == "/account" or target.startswith("/%")
    assert "\r" not in target
    assert "\n" not in target


def test_next_leads_back_through_the_code_as_well(browser: Browser, world: World) -> None:
    ada(browser)
    totp = browser.turn_on_two_factor()
    browser.get("/account")
    browser.press("/sign-out")
    world.clock.advance(minutes=1)
    path = browser.get("/account/activity").headers["location"]
    assert path == "/sign-in?next=/account/activity"
    assert browser.sign_in(ADA, path=path).headers["location"] == "/sign-in/code?next=/account/activity"
    browser.follow()
    assert browser.press("/sign-in/code", code="000000").status_code == 403
    assert browser.press("/sign-in/code", code=totp.at(world.clock())).headers["location"] == "/account/activity"


def test_a_code_works_once_and_a_recovery_code_too(browser: Browser, world: World) -> None:
    ada(browser)
    totp = browser.turn_on_two_factor()
    spare = codes_on(browser.page)[0]
    world.clock.advance(minutes=1)
    code = totp.at(world.clock())
    for typed, right in ((code, True), (code, False), (spare.upper(), True), (spare, False)):
        thief = Browser(world)
        thief.sign_in(ADA)
        thief.follow()
        assert (thief.press("/sign-in/code", code=typed).status_code == 303) is right
        assert bool(thief.cookie("__Host-session")) is right


def test_too_many_wrong_codes_start_over(browser: Browser, world: World) -> None:
    ada(browser)
    browser.turn_on_two_factor()
    thief = Browser(world)
    thief.sign_in(ADA)
    thief.follow()
    for _ in range(5):
        assert thief.press("/sign-in/code", code="000000").status_code == 403
    assert thief.press("/sign-in/code", code="000000").headers["location"] == "/sign-in"
    assert not thief.cookie("__Host-challenge")
    assert "Start again" in thief.follow().text
    assert thief.get("/sign-in/code").headers["location"] == "/sign-in"


def test_a_wrong_first_code_shows_the_same_key_again(browser: Browser, world: World) -> None:
    ada(browser)
    browser.get("/account/two-factor")
    browser.press("/account/two-factor/start")
    first = browser.follow().text
    browser.press("/account/two-factor/confirm", code="000000")
    assert browser.page.status_code == 403
    assert 'id="f-code-error"' in browser.page.text
    key = first.partition("<code>")[2].partition("</code>")[0]
    assert len(key.replace(" ", "")) == 32
    assert key in browser.page.text


def test_setting_up_begins_at_the_beginning(browser: Browser) -> None:
    ada(browser)
    assert browser.get("/account/two-factor/set-up").headers["location"] == "/account/two-factor"
    browser.turn_on_two_factor()
    assert browser.get("/account/two-factor/set-up").headers["location"] == "/account/two-factor"


def test_sensitive_steps_ask_again_and_come_back(browser: Browser, world: World) -> None:
    ada(browser)
    totp = browser.turn_on_two_factor()
    browser.get("/account/two-factor")
    stale = browser.form("/account/two-factor/codes")
    world.clock.advance(minutes=10)
    browser.get("/account")
    world.clock.advance(minutes=6)
    assert browser.get("/account/password").headers["location"] == "/confirm?next=/account/password"
    assert browser.get("/account/close").headers["location"] == "/confirm?next=/account/close"
    assert browser.send(stale).headers["location"] == "/confirm?next=/account/two-factor"
    assert "Nothing was changed yet" in browser.follow().text
    assert browser.press("/confirm", password="wrong", code="000000").status_code == 403
    before = browser.cookie("__Host-session")
    browser.press("/confirm", password=PASSWORD, code=totp.at(world.clock()))
    assert browser.page.headers["location"] == "/account/two-factor"
    assert browser.cookie("__Host-session") != before
    browser.follow()
    assert len(codes_on(browser.press("/account/two-factor/codes"))) == 10


def test_turning_it_off_asks_first(browser: Browser) -> None:
    ada(browser)
    browser.turn_on_two_factor()
    found = re.search(r'href="(/account/two-factor/remove\?id=tot_\w+)"', browser.get("/account/two-factor").text)
    assert found
    assert "Turn off two-factor sign-in?" in browser.get(found[1]).text
    assert browser.press("/account/two-factor/authenticators/remove").headers["location"] == "/account/two-factor"
    assert "Two-factor sign-in is off" in browser.follow().text
    assert "Turn on two-factor sign-in" in browser.page.text


def test_a_new_password_ends_every_other_session(browser: Browser, world: World) -> None:
    ada(browser)
    other = Browser(world)
    other.sign_in(ADA)
    browser.get("/account/password")
    assert browser.press("/account/password", current="wrong", password=NEW).status_code == 403
    assert 'id="f-current-error"' in browser.page.text
    assert browser.press("/account/password", current=PASSWORD, password=NEW).headers["location"] == "/account/profile"
    assert browser.follow().status_code == 200
    assert other.get("/account").status_code == 303
    assert other.sign_in(ADA).status_code == 403
    assert other.sign_in(ADA, NEW).status_code == 303


def test_devices_can_be_signed_out_from_afar(browser: Browser, world: World) -> None:
    ada(browser)
    phone = Browser(world, "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1")
    phone.sign_in(ADA)
    shown = words_of(browser.get("/account/devices"))
    assert "Safari on iPhone" in shown
    assert "Firefox on Linux This device" in shown
    assert browser.press("/account/devices/end").headers["location"] == "/account/devices"
    assert phone.get("/account").status_code == 303
    phone.sign_in(ADA)
    browser.get("/account/devices")
    browser.press("/account/devices/end-others")
    assert phone.get("/account").status_code == 303
    assert browser.get("/account").status_code == 200


def test_nobody_ends_the_session_of_another(browser: Browser, world: World) -> None:
    ada(browser)
    bob = world.subscriber("bob@example.org")
    phone = Browser(world)
    phone.sign_in(ADA)
    browser.get("/account/devices")
    assert browser.press("/account/devices/end", id=bob.session).status_code == 404


def test_activity_is_in_peoples_words_and_pages_on(browser: Browser, world: World) -> None:
    ada(browser)
    for number in range(60):
        world.clock.advance(seconds=1)
        browser.get("/account/profile")
        browser.press("/account/profile", name=f"Ada {number}")
    Browser(world).sign_in(ADA, "wrong")
    support = world.team(Role.SUPPORT)
    world.do("identity.find_person", support, _find())
    world.clock.advance(seconds=1)
    world.events()
    text = words_of(browser.get("/account/activity"))
    assert "Looked up your account Our team" in text
    assert "Sign-in refused Somebody not signed in · Firefox on Linux, 127.0.0.9, the password was wrong" in text
    assert "Name changed You · Firefox on Linux, 127.0.0.9" in text
    assert "identity." not in text
    older = browser.page.text.partition('rel="next" href="')[2].partition('"')[0]
    assert older.startswith("/account/activity?after=")
    assert browser.get(older).status_code == 200
    assert browser.get("/account/activity?after=nonsense").status_code == 422


def _find() -> Struct:
    from subscription_services.identity.operations.people import FindPerson

    return FindPerson(ADA, "asked for help")


def test_a_name_changes_and_an_empty_one_does_not(browser: Browser) -> None:
    ada(browser)
    browser.get("/account/profile")
    assert browser.press("/account/profile", name="").status_code == 422
    browser.press("/account/profile", name="Ada Lovelace")
    assert "Hello, Ada Lovelace" in browser.get("/account").text


def test_closing_says_what_it_means_and_ends_everything(browser: Browser) -> None:
    ada(browser)
    assert "cannot be taken back" in browser.get("/account/close").text
    browser.press("/account/close")
    assert browser.page.headers["location"] == "/"
    assert "clear-site-data" in browser.page.headers
    assert "Your account is closed" in browser.follow().text
    assert browser.sign_in(ADA).status_code == 403


def test_joining_the_team(browser: Browser, world: World) -> None:
    from subscription_services.access.operations.people import Bootstrap, FirstPerson

    world.do("access.bootstrap", System("cli"), Bootstrap([FirstPerson("first@example.org", "First Person")]))
    token = link_of(world, "first@example.org", Purpose.ENROL)
    browser.get(f"/enrol?token={token}")
    assert browser.press("/enrol", password="short").status_code == 422
    assert browser.press("/enrol", password=PASSWORD).headers["location"] == "/account/two-factor"
    assert "compulsory" in browser.follow().text
    assert browser.get("/account").headers["location"] == "/account/two-factor"
    browser.turn_on_two_factor()
    assert browser.get("/account").headers["location"] == "/team"
    assert browser.follow().status_code == 200
    assert browser.get("/account/two-factor/remove").headers["location"] == "/account/two-factor"
    stranger = Browser(world)
    stranger.get(f"/enrol?token={token}")
    assert stranger.press("/enrol", password=PASSWORD).status_code == 403
    assert "used already" in words_of(stranger.page)


def test_an_idle_session_ends_and_the_way_back_is_kept(browser: Browser, world: World) -> None:
    ada(browser)
    world.clock.advance(minutes=31)
    assert browser.get("/account/devices").headers["location"] == "/sign-in?next=/account/devices"


def test_the_sixth_wrong_password_has_to_wait_and_a_letter_helps(browser: Browser) -> None:
    ada(browser)
    browser.press("/sign-out")
    statuses = [browser.sign_in("eve@example.org", "wrong").status_code for _ in range(6)]
    assert statuses == [403] * 5 + [429]
    assert "Too many tries" in browser.page.text and "/locked" in browser.page.text


def test_a_form_of_another_site_does_nothing(browser: Browser, world: World) -> None:
    ada(browser)
    data = {**browser.form("/sign-out").fields, "csrf_token": "x"}
    for path in ("/sign-out", "/account/close", "/account/two-factor/start", "/account/devices/end-others"):
        assert world.run(browser.client.post(path, data=data)).status_code == 403
    assert browser.get("/account").status_code == 200


def test_every_page_of_an_account_sends_strangers_to_sign_in(browser: Browser) -> None:
    for path in ("/account", "/account/profile", "/account/password", "/account/close", "/account/two-factor",
                 "/account/two-factor/set-up", "/account/two-factor/remove", "/account/devices", "/account/activity",
                 "/confirm"):  # fmt: skip
        assert browser.get(path).headers["location"] == f"/sign-in?next={path}"


def test_browsers_have_names_that_people_know() -> None:
    from subscription_services.identity.browsers import browser_in_words as words

    windows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/130.0 Safari/537.36"
    assert words(FIREFOX) == "Firefox on Linux"
    assert words(windows) == "Chrome on Windows"
    assert words(f"{windows} Edg/130.0") == "Edge on Windows"
    assert words("Mozilla/5.0 (Linux; Android 15) Chrome/130.0 Mobile Safari/537.36") == "Chrome on Android"
    assert words("Mozilla/5.0 (Macintosh) Version/18 Safari/605") == "Safari on Mac"
    assert words("curl/8.9") == words("") == words("<script>") == "Unknown browser"

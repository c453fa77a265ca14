"""Requests that nobody meant, through the whole service: forged forms, planted cookies, false hosts, ways out."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from subscription_services.identity.letters import LETTERS
from subscription_services.identity.operations.sign_in import SignIn
from subscription_services.kernel.actors import Anonymous
from subscription_services.mail import SiteFacts
from subscription_services.testing import World
from subscription_services.testing.people import PASSWORD
from subscription_services.web.render import see_other
from tests.identity.browsing import Browser, Form, set_cookies, words_of

ADA, EVE = "ada@example.org", "eve@example.org"
HOME = "https://localhost:8443"


def raw(browser: Browser, method: str, path: str, headers: list[tuple[bytes, bytes]], **more: object) -> httpx.Response:
    """With header fields as bytes, as a program can send them; none of the browser's own cookies."""
    request = httpx.Request(method, f"{HOME}{path}", headers=headers, **more)  # type: ignore[arg-type]  # httpx's own
    answer: httpx.Response = browser.world.run(browser.client.send(request))
    return answer


# cookies from a neighbouring host


def test_a_cookie_from_next_door_is_never_taken_for_ours(world: World) -> None:
    """A neighbour's page can set names that browsers do not hold to be `__Host-`, and servers that trim them do."""
    ada, eve = Browser(world), Browser(world)
    ada.join(ADA)
    eve.join(EVE)
    good, evil = (f"__Host-session={it.cookie('__Host-session')}".encode() for it in (ada, eve))
    agent = (b"user-agent", ada.client.headers["user-agent"].encode())

    def account(cookie: bytes) -> str:
        page = raw(ada, "GET", "/account/profile", [(b"cookie", cookie), (b"host", b"localhost:8443"), agent])
        return "" if page.status_code == 303 else "eve" if EVE in page.text else "ada" if ADA in page.text else "?"

    assert account(good) == "ada"
    for blank in (b"\xa0", b"\x85", b"\xc2\xa0", b"\xe2\x80\x80", b"\x1c", b"\x0b", b"\x0c", b"\x00", b'"'):
        assert account(good + b"; " + blank + evil) == "ada", blank
        assert account(blank + evil + b"; " + good) == "ada", blank
        assert account(blank + evil) == "", blank
    assert account(b"=" + evil + b"; " + good) == "ada"
    assert account(evil.replace(b"=", b" =") + b"; " + good) == "ada"
    # two of one name: an honest browser sends none, so neither is believed
    assert account(good + b"; " + evil) == account(evil + b"; " + good) == ""


# forged forms


def test_no_form_is_taken_without_its_token_or_from_elsewhere(world: World) -> None:
    """Every form of the service, as its table of routes has it."""
    browser, other = Browser(world), Browser(world)
    browser.join(ADA)
    other.join(EVE)
    browser.get("/account/profile")
    other.get("/account/profile")
    good, foreign = (it.form("/account/profile").fields["csrf_token"] for it in (browser, other))
    ours = {"Origin": HOME, "Sec-Fetch-Site": "same-origin"}

    def changes() -> list[str]:
        done = sorted(event.action for event in world.events() if event.outcome.value == "success")
        return [name for name in done if (found := world.house.kernel.registry.get(name)) and found.changes]

    before = changes()

    def status(path: str, token: str | None, **headers: str) -> int:
        data = {"email": ADA, "password": PASSWORD, "name": "forged"} | ({} if token is None else {"csrf_token": token})
        answer = world.run(browser.client.post(path, data=data, headers={**ours, **headers}))
        return int(answer.status_code)

    machines = world.house.routes.machine_paths()
    paths = sorted({route.path for route in world.house.routes if route.method == "POST"} - machines)
    assert len(paths) > 60
    for path in (re.sub(r"\{[^}]*\}", "x", path) for path in paths):
        found = {
            status(path, None), status(path, ""), status(path, foreign), status(path, good, Origin="https://evil.example"),
            status(path, good, Origin="null"), status(path, good, **{"Sec-Fetch-Site": "same-site"}),
        }  # fmt: skip
        assert found == {403}, path
    assert changes() == before
    assert status("/account/profile", good) == 303  # the one that counts is taken


def test_nobody_is_signed_in_to_an_account_of_somebody_else(world: World) -> None:
    """Login CSRF: what a victim types next would be seen by whoever owns the account."""
    world.subscriber(EVE)
    victim, attacker = Browser(world), Browser(world)
    for browser in (victim, attacker):
        browser.get("/sign-in")
    stolen = attacker.form("/sign-in")
    tries: list[tuple[dict[str, str], dict[str, str]]] = [
        (stolen.fields, {"Origin": HOME}),
        (victim.form("/sign-in").fields, {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}),
        ({}, {"Origin": HOME}),
    ]
    for fields, headers in tries:
        data = {**fields, "email": EVE, "password": PASSWORD}
        answer = world.run(victim.client.post("/sign-in", data=data, headers=headers))
        assert answer.status_code == 403 and "__Host-session" not in set_cookies(answer)
    # as JSON in a text that needs no leave to be sent, to the API
    body = b'{"email":"eve@example.org","password":"' + PASSWORD.encode() + b'","x":"="}'
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = world.run(
            Browser(world).client.post("/api/identity.sign_in", content=body, headers={"Content-Type": kind})
        )
        assert answer.status_code in (403, 415), kind
    assert not [event for event in world.events("identity.sign_in") if event.outcome.value == "success"][1:]


def test_what_stands_in_the_address_is_no_sign_in_and_is_not_shown(world: World) -> None:
    browser = Browser(world)
    world.subscriber(ADA)
    page = browser.get(f"/sign-in?email={ADA}&password=hunter2-in-the-address")
    assert "hunter2" not in page.text and ADA not in page.text
    form = browser.form("/sign-in")
    answer = browser.send(Form(f"/sign-in?email={ADA}&password={PASSWORD}", form.fields), email="", password="")
    assert answer.status_code == 422 and PASSWORD not in answer.text


# ways that lead out


def leads(wanted: str) -> bool:
    """Whether a browser would stay: the URL standard drops tabs and line ends, and reads a backslash as a slash."""
    text = re.sub(r"[\t\r\n]", "", wanted).strip("".join(map(chr, range(33)))).replace("\\", "/")
    found = urlsplit(urljoin(f"{HOME}/sign-in", text))
    return (found.scheme, found.netloc) == ("https", "localhost:8443")


@given(st.text(st.sampled_from("/\\:@?#.%\t\r\n \x00\x01\u2028\u3000／＼。ｅabevil25fcjsript"), max_size=24))
@example("//evil.example")
@example("/\\evil.example")
@example("/\t/evil.example")
@example("https:evil.example")
@example("/／evil.example")
def test_a_way_on_stays_on_this_host(wanted: str) -> None:
    try:
        sent = see_other(wanted).headers["location"]
    except ValueError:
        return
    assert leads(wanted) and leads(sent) and sent.isascii()


NEXT = [
    "https://evil.example/", "//evil.example", "///evil.example", "/\\evil.example", "\\/evil.example",
    "/%5cevil.example",
    "%2f%2fevil.example", "/%2f%2fevil.example", "/%252fevil.example", "javascript:alert(1)", "JaVaScRiPt://x%0aalert(1)",
    "data:text/html,x", "/\r\nSet-Cookie: a=b", "/%0d%0aSet-Cookie:a=b", "https://localhost:8443@evil.example/",
    "/@evil.example", ".evil.example", "/／／evil.example", "/。。/evil.example", "\u2028//evil.example",
    "/\x00//evil.example",
    "https:evil.example", "///\t/evil.example", "/.//evil.example", "/account/..//evil.example", "localhost:8443//evil",
]  # fmt: skip


def test_no_page_sends_anybody_elsewhere(world: World) -> None:
    browser = Browser(world)
    world.subscriber(ADA)
    for wanted in NEXT:
        for path in ("/sign-in", "/session/renew"):
            browser.page = world.run(browser.client.get(path, params={"next": wanted}))
            assert browser.page.status_code == 200
            for link in re.findall(r'(?:href|action|data-back)="([^"]*)"', browser.page.text):
                assert leads(link.replace("&amp;", "&")) or link.startswith(("http://127.0.0.1", "mailto:")), (
                    wanted,
                    link,
                )
            assert "set-cookie: a=b" not in str(browser.page.headers).lower()
    for wanted in NEXT[::4]:
        browser.client.cookies.clear()
        browser.page = world.run(browser.client.get("/sign-in", params={"next": wanted}))
        assert leads(browser.press("/sign-in", email=ADA, password=PASSWORD).headers["location"]), wanted


# false hosts


@pytest.mark.parametrize("purpose", ["identity.reset_password", "identity.unlock", "identity.verify_address"])
def test_links_in_letters_name_the_configured_host_whatever_was_asked(world: World, purpose: str) -> None:
    browser = Browser(world)
    account = world.subscriber(ADA).id
    path, new = {"identity.reset_password": ("/forgot", ADA), "identity.unlock": ("/locked", ADA),
                 "identity.verify_address": ("/sign-up/again", "new@example.org")}[purpose]  # fmt: skip
    if purpose == "identity.verify_address":
        browser.sign_up(new)
        account = world.account(new)
    browser.get("/sign-up/sent" if path == "/sign-up/again" else path)
    fields = {**browser.form(path).fields, "email": new}
    lies = {
        "X-Forwarded-Host": "evil.example", "X-Host": "evil.example", "X-Original-Host": "evil.example",
        "Forwarded": "host=evil.example", "X-Forwarded-Port": "1", "X-Forwarded-Proto": "http",
        "X-Forwarded-Server": "evil.example", "X-HTTP-Host-Override": "evil.example",
        "X-Forwarded-Prefix": "//evil.example",
    }  # fmt: skip
    for host, status in (
        ("localhost:8443", 303), ("localhost:4443", 303), ("evil.example", 421), ("localhost:8443@evil.example", 421),
        ("evil.example:8443", 421), ("localhost.evil.example", 421), ("localhost:8443 evil.example", 421), ("", 421),
    ):  # fmt: skip
        headers = {"Origin": HOME, "Sec-Fetch-Site": "same-origin", **lies, "Host": host}
        answer = world.run(browser.client.post(path, data=fields, headers=headers))
        assert answer.status_code == status, (host, answer.status_code)
        assert "evil" not in answer.headers.get("location", "") + answer.text
    (kind,) = [item for item in LETTERS if item.name == purpose]
    site = SiteFacts(world.house.settings.of(_house()).public_url, "Us", "support@example.org")
    letter = world.run(kind.compose(world.house.kernel, site, account, {}))
    assert re.findall(r"https?://[^/\s]+", letter.text) == ["https://localhost:8443"]


def _house() -> type:
    from subscription_services.kernel.settings import HouseSettings

    return HouseSettings


# frames, and what a browser keeps


def test_no_page_is_framed_or_kept_and_none_tells_another_site_where_one_was(world: World) -> None:
    """Every page without parameters, as a stranger and signed in, refusals included."""
    browser = Browser(world)
    world.subscriber(ADA)
    paths = [route.path for route in world.house.routes if route.method == "GET" and "{" not in route.path]
    for signed_in in (False, True):
        if signed_in:
            browser.sign_in(ADA)
        for path in [*paths, "/nowhere", "/api/nowhere", "/verify?token=x"]:
            answer = browser.get(path)
            said = answer.headers
            assert said["x-frame-options"] == "DENY" and said["x-content-type-options"] == "nosniff", path
            assert "frame-ancestors 'none'" in said["content-security-policy"], path
            assert said["referrer-policy"] in ("strict-origin-when-cross-origin", "no-referrer"), path
            if signed_in and ADA in answer.text:
                assert said["cache-control"] == "no-store", path
    assert "Ada Example" in words_of(browser.get("/account"))
    assert world.do("identity.sign_in", Anonymous(), SignIn(ADA, PASSWORD)).token

"""Single sign-on of the team, with a provider that can be bent: what is refused, and that the log says why."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from sqlalchemy import select

from subscription_services.access.operations.leavers import DeactivateLeaver
from subscription_services.access.operations.people import Invite, People
from subscription_services.identity import model
from subscription_services.identity.errors import SignOnRequired
from subscription_services.identity.operations.sign_in import SignIn
from subscription_services.identity.operations.single_sign_on import ForgetSignOn
from subscription_services.identity.sign_on_model import sign_on as links
from subscription_services.jobs.model import job
from subscription_services.kernel.actors import Anonymous, Role
from subscription_services.kernel.context import Origin
from subscription_services.mail.letters import JOB_KIND
from subscription_services.testing import World
from subscription_services.testing.approving import invited
from subscription_services.testing.people import PASSWORD
from tests.identity.browsing import FIREFOX, Browser, set_cookies, words_of
from tests.identity.provider import (
    CLIENT,
    Provider,
    by_another_key,
    elliptic,
    providing,
    settings_for,
    unsigned,
    with_public_key_as_secret,
)

START = "/sign-in/team"
ADDRESS = "new@example.org"


@pytest.fixture
def provider() -> Iterator[Provider]:
    with providing() as made:
        yield made


@pytest.fixture
def world(place: tuple[Path, str], provider: Provider) -> Iterator[World]:
    with World.open(*place, **settings_for(provider)) as opened:
        provider.now = opened.clock
        yield opened


def invite(world: World, email: str = ADDRESS) -> str:
    boss = world.team(Role.ADMINISTRATOR)
    return invited(world, boss, email, Role.SUPPORT, "Nora New")


def away(browser: Browser, path: str = START) -> str:
    """Off to the provider; where the browser is sent."""
    answer = browser.get(path)
    assert answer.status_code == 303, words_of(answer)
    return str(answer.headers["location"])


def through(browser: Browser, provider: Provider, path: str = START, sub: str = "sub-1", **claims: Any) -> Any:
    """All the way through the provider and back; the answer to the way back."""
    return browser.get(provider.approve(away(browser, path), sub, **{"email": ADDRESS, **claims}))


def why(world: World) -> str:
    """What the log says of the last try."""
    event = world.events("identity.sign_in_oidc")[-1]
    return str(event.details.get("why") or event.reason or event.outcome.value)


def letters(world: World) -> list[str]:
    """The letters that wait to be sent."""
    with world.house.store.reading() as connection:
        rows = connection.execute(select(job.c.payload).where(job.c.kind == JOB_KIND)).scalars()
        return [str(msgspec.json.decode(row)["letter"]) for row in rows]


def nobody(browser: Browser) -> bool:
    """Nobody is signed in, and the page says what to do."""
    page = browser.page
    assert page.status_code in (403, 503), words_of(page)
    assert "You are not signed in" in words_of(page)
    assert "Try again" in words_of(page)
    return not browser.cookie("__Host-session") and not browser.cookie("__Host-challenge")


def test_the_button_is_there_when_a_provider_is_set_up_and_the_invited_join_by_it(
    world: World, provider: Provider
) -> None:
    account = invite(world)
    browser = Browser(world)
    assert 'href="/sign-in/team"' in browser.get("/sign-in").text
    answer = through(browser, provider, amr=["pwd", "mfa"])
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")
    assert answer.headers["secure-session-registration"].startswith("(ES256)")
    cookies = set_cookies(answer)
    assert cookies["__Host-session"]["samesite"] == "lax"
    assert cookies["__Host-sign-on"]["max-age"] == "0"
    assert browser.follow().headers["location"] == "/team"
    assert browser.follow().status_code == 200
    event = world.events("identity.sign_in_oidc")[-1]
    assert (event.actor, event.actor_kind, event.details["tied"]) == (account, "team-member", True)
    assert "sub-1" not in str(world.events())
    assert letters(world).count("identity.sign_on_linked") == 1
    assert "identity.new_device" not in letters(world)
    again = Browser(world, FIREFOX + " other")
    assert through(again, provider, email=None, email_verified=None, amr=["mfa"]).status_code == 303
    assert world.events("identity.sign_in_oidc")[-1].details["tied"] is False
    assert letters(world).count("identity.sign_on_linked") == letters(world).count("identity.new_device") == 1


def test_it_makes_nobody_and_lets_no_subscriber_in(world: World, provider: Provider) -> None:
    world.subscriber("ada@example.org")
    for address, sub in (("ada@example.org", "sub-2"), ("nobody@example.org", "sub-3")):
        browser = Browser(world)
        through(browser, provider, sub=sub, email=address)
        assert nobody(browser)
        assert why(world) == "unknown"
    with world.house.store.reading() as connection:
        assert connection.execute(select(links)).all() == []
        found = connection.execute(select(model.account.c.id).where(model.account.c.kind == "team")).all()
        assert found == []


@pytest.mark.parametrize("verified", [False, None, "true", 1])
def test_an_address_that_the_provider_did_not_verify_ties_nobody(
    world: World, provider: Provider, verified: Any
) -> None:
    invite(world)
    browser = Browser(world)
    through(browser, provider, email_verified=verified)
    assert nobody(browser)
    assert why(world) == "unverified-email"


def test_another_subject_with_the_same_address_is_nobody_until_an_administrator_unties(
    world: World, provider: Provider
) -> None:
    account = invite(world)
    through(Browser(world), provider, amr=["mfa"])
    browser = Browser(world)
    through(browser, provider, sub="sub-2", amr=["mfa"])
    assert nobody(browser)
    assert why(world) == "another-subject"
    world.do("identity.forget_sign_on", world.team(Role.ADMINISTRATOR), ForgetSignOn(account))
    assert through(Browser(world), provider, sub="sub-2", amr=["mfa"]).status_code == 303
    through(browser, provider, sub="sub-1", amr=["mfa"])
    assert nobody(browser)


BENT: dict[str, tuple[dict[str, Any], str]] = {
    "nonce of another flow": ({"nonce": "x" * 64}, "nonce"),
    "no nonce": ({"nonce": None}, "nonce"),
    "another audience": ({"aud": "somebody-else"}, "aud"),
    "an audience among others without azp": ({"aud": [CLIENT, "somebody-else"]}, "azp"),
    "issued for somebody else": ({"aud": [CLIENT, "other"], "azp": "other"}, "azp"),
    "another issuer": ({"iss": "https://evil.example"}, "iss"),
    "no subject": ({"sub": None}, "sub"),
    "an empty subject": ({"sub": ""}, "sub"),
    "another access token": ({"at_hash": "x" * 22}, "at_hash"),
    "no expiry": ({"exp": None}, "exp"),
}


@pytest.mark.parametrize("bent", BENT, ids=lambda name: str(name).replace(" ", "-"))
def test_an_id_token_that_is_not_for_us_is_refused(world: World, provider: Provider, bent: str) -> None:
    invite(world)
    provider.claims, word = BENT[bent]
    browser = Browser(world)
    through(browser, provider)
    assert nobody(browser)
    assert word in why(world)
    provider.claims = {}
    assert through(browser, provider, amr=["mfa"]).status_code == 303


def test_time_is_ours_with_a_minute_of_grace(world: World, provider: Provider) -> None:
    invite(world)
    now = int(world.clock().timestamp())
    for claims, word in (
        ({"exp": now - 61}, "exp"), ({"iat": now + 61}, "iat"), ({"iat": now - 700, "exp": now + 300}, "iat"),
        ({"nbf": now + 61}, "nbf"),
    ):  # fmt: skip
        browser, provider.claims = Browser(world), claims
        through(browser, provider)
        assert nobody(browser)
        assert why(world) == word
    provider.claims = {"exp": now - 59, "iat": now + 59}
    assert through(Browser(world), provider).status_code == 303


def test_no_signature_a_public_key_as_secret_and_a_strange_key_are_refused(world: World, provider: Provider) -> None:
    invite(world)
    for sign, word in (
        (unsigned, "alg"), (with_public_key_as_secret(provider), "alg"), (by_another_key, "bad_signature"),
    ):  # fmt: skip
        browser, provider.sign = Browser(world), sign
        through(browser, provider)
        assert nobody(browser)
        assert why(world) == word


def test_a_new_key_is_looked_for_once_and_then_not_for_a_while(world: World, provider: Provider) -> None:
    invite(world)
    assert through(Browser(world), provider).status_code == 303
    provider.key, provider.algorithm = elliptic(), "ES256"
    provider.claims = {"at_hash": None}
    assert through(Browser(world), provider).status_code == 303
    looked = provider.asked.count("/jwks")
    provider.key = RSAKey.generate_key(2048, {"kid": "three", "use": "sig"})
    provider.algorithm = "RS256"
    for _ in range(3):
        browser = Browser(world)
        through(browser, provider)
        assert nobody(browser)
        assert why(world) == "key"
    assert provider.asked.count("/jwks") == looked, "every stranger's token would have us ask the provider"


def test_the_state_belongs_to_one_browser_and_one_flow(world: World, provider: Provider) -> None:
    invite(world)
    mine, theirs = Browser(world), Browser(world)
    # login CSRF: the attacker's own answer, opened in somebody else's browser
    answer = provider.approve(away(mine), email=ADDRESS)
    theirs.get(answer)
    assert nobody(theirs)
    assert why(world) == "flow"
    away(theirs)
    theirs.get(answer)
    assert nobody(theirs)
    assert why(world) == "state"
    asked = len(provider.asked)
    theirs.get(answer.replace("state=", "state=0"))
    assert nobody(theirs)
    assert len(provider.asked) == asked, "the provider was asked for a flow that is not this browser's"
    assert mine.get(answer).status_code == 303


def test_a_flow_is_finished_once_and_in_time(world: World, provider: Provider) -> None:
    invite(world)
    browser = Browser(world)
    address = away(browser)
    flow = browser.cookie("__Host-sign-on")
    assert browser.get(provider.approve(address, email=ADDRESS)).status_code == 303
    replaying = Browser(world)
    replaying.client.cookies.set("__Host-sign-on", flow, domain="localhost.local")
    replaying.get(provider.approve(address, email=ADDRESS))
    assert nobody(replaying)
    assert why(world) == "replayed"
    late = Browser(world)
    address = away(late)
    world.clock.advance(minutes=10)
    late.get(provider.approve(address, email=ADDRESS))
    assert nobody(late)
    assert why(world) == "flow"


def test_a_code_works_once_and_refusals_of_the_provider_are_told(world: World, provider: Provider) -> None:
    invite(world)
    browser = Browser(world)
    address = away(browser)
    answer = provider.approve(address, email=ADDRESS)
    provider.codes.clear()
    browser.get(answer)
    assert nobody(browser)
    assert why(world) == "code"
    state = away(browser).partition("state=")[2].partition("&")[0]
    browser.get(f"{START}/callback?error=access_denied&state={state}&iss={provider.url}")
    assert nobody(browser)
    assert why(world) == "provider"


def test_an_answer_of_another_issuer_is_a_mix_up(world: World, provider: Provider) -> None:
    invite(world)
    for issuer in ("&iss=https%3A%2F%2Fevil.example", ""):
        browser = Browser(world)
        answer = provider.approve(away(browser), email=ADDRESS)
        browser.get(answer.partition("&iss=")[0] + issuer)
        assert nobody(browser)
        assert why(world) == "answer-iss"
    assert "/token" not in provider.asked, "the code was given to somebody"


@pytest.mark.parametrize("wanted", ["//evil.example", "https://evil.example/", "/\\evil.example", "/%09/evil.example"])
def test_next_stays_on_this_site(world: World, provider: Provider, wanted: str) -> None:
    invite(world)
    answer = through(Browser(world), provider, f"{START}?next={wanted}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")


def test_next_is_kept_and_the_host_header_never_counts(world: World, provider: Provider) -> None:
    invite(world)
    answer = through(Browser(world), provider, f"{START}?next=/team/people")
    assert answer.headers["location"] == "/team/people"
    other = Browser(world)
    found = world.run(other.client.get(START, headers={"Host": "127.0.0.1:8443"}))
    assert "redirect_uri=https%3A%2F%2Flocalhost%3A8443%2Fsign-in%2Fteam%2Fcallback" in found.headers["location"]


def test_without_a_second_factor_at_the_provider_ours_is_asked(world: World, provider: Provider) -> None:
    boss = world.team(Role.ADMINISTRATOR)
    address = next(p.email for p in world.do("access.people", boss, People()).people if p.id == boss.id)
    browser = Browser(world)
    answer = through(browser, provider, email=address, amr=["pwd"])
    assert answer.headers["location"] == "/sign-in/code"
    assert not browser.cookie("__Host-session")
    invite(world)
    fresh = Browser(world)
    through(fresh, provider, sub="sub-9", amr=["pwd"])
    assert fresh.get("/team").headers["location"].startswith("/account/two-factor")


def test_what_is_sensitive_needs_a_proof_whose_time_the_provider_tells(world: World, provider: Provider) -> None:
    invite(world)
    through(Browser(world), provider, amr=["mfa"])
    for told, fresh in ((None, False), (-7200, False), (-60, True)):
        browser = Browser(world)
        moment = None if told is None else int((world.clock() + timedelta(seconds=told)).timestamp())
        through(browser, provider, amr=["mfa"], auth_time=moment)
        browser.get("/account/two-factor")
        browser.press("/account/two-factor/start")
        assert browser.page.headers["location"] == (
            "/account/two-factor/set-up" if fresh else "/confirm?next=/account/two-factor"
        )
        if fresh:
            before = browser.cookie("__Host-session")
            through(browser, provider, "/sign-in/team?again=yes", amr=["mfa"])
            assert browser.cookie("__Host-session") != before
            with world.house.store.reading() as connection:
                ended = connection.execute(select(model.session.c.end_reason)).scalars().all()
            assert ended.count("signed in anew") == 1
        else:
            assert "Confirm with single sign-on" in browser.follow().text
            asked = away(browser, "/sign-in/team?again=yes&next=/account/two-factor")
            assert "prompt=login" in asked
            assert "max_age=0" in asked


def test_whoever_left_is_not_let_in_and_may_be_invited_anew(world: World, provider: Provider) -> None:
    account = invite(world)
    through(Browser(world), provider, amr=["mfa"])
    half = Browser(world)
    address = away(half)
    world.do("access.deactivate_leaver", world.team(Role.ADMINISTRATOR), DeactivateLeaver(account, "left"))
    half.get(provider.approve(address, email=ADDRESS, amr=["mfa"]))
    assert nobody(half)
    assert why(world) == "unknown"
    fresh = invite(world)
    assert through(Browser(world), provider, amr=["mfa"]).status_code == 303
    assert world.events("identity.sign_in_oidc")[-1].actor == fresh != account


def test_a_provider_that_is_silent_or_somebody_else_lets_nobody_in(world: World, provider: Provider) -> None:
    provider.silent = True
    browser = Browser(world)
    assert browser.get(START).status_code == 503
    assert nobody(browser)
    asked = len(provider.asked)
    browser.get(START)
    assert len(provider.asked) == asked, "a provider in trouble is not asked at every click"


def test_the_address_comes_from_userinfo_where_the_token_lacks_it(world: World, provider: Provider) -> None:
    invite(world)
    provider.claims = {"email": None, "email_verified": None}
    provider.userinfo = {"sub": "somebody-else", "email": ADDRESS, "email_verified": True}
    browser = Browser(world)
    through(browser, provider)
    assert nobody(browser)
    assert why(world) == "userinfo-sub"
    provider.userinfo["sub"] = "sub-1"
    assert through(browser, provider).status_code == 303


def test_one_domain_and_no_other_way_where_the_operators_say_so(place: tuple[Path, str], provider: Provider) -> None:
    chosen = settings_for(provider, domains="corp.example, sub.example", required="true", factors="hwk")
    with World.open(*place, **chosen) as world:
        provider.now = world.clock
        browser = Browser(world)
        # accounts from before the switch
        from subscription_services.identity import sign_on

        configured, sign_on._configured[:] = list(sign_on._configured), []
        member = world.team(Role.ADMINISTRATOR)
        address = next(p.email for p in world.do("access.people", member, People()).people if p.id == member.id)
        world.subscriber("ada@example.org")
        sign_on._configured[:] = configured
        with pytest.raises(SignOnRequired):
            world.do("identity.sign_in", Anonymous(), SignIn(address, PASSWORD))
        assert world.do("identity.sign_in", Anonymous(), SignIn("ada@example.org", PASSWORD)).token
        assert world.do(
            "identity.sign_in", Anonymous(), SignIn(address, PASSWORD), origin=Origin(channel="terminal")
        ).challenge
        assert browser.get("/enrol?token=x").headers["location"] == "/sign-in"
        assert "Join with single sign-on" in browser.follow().text
        through(browser, provider, email=address)
        assert nobody(browser)
        assert why(world) == "domain"
        assert "password" not in words_of(browser.page)
        world.do("access.invite", member, Invite("nora@CORP.example", "Nora"))
        assert through(browser, provider, email="nora@corp.example", acr="hwk").status_code == 303
        assert browser.get("/team").status_code == 200


def test_a_provider_in_the_settings_is_whole_or_absent(tmp_path: Path, provider: Provider) -> None:
    from subscription_services.identity import IdentitySettings, configure
    from subscription_services.kernel.errors import SettingsError

    right: dict[str, Any] = {
        "oidc_issuer": "https://id.example", "oidc_client_id": "subs", "oidc_client_secret": "secret",
    }  # fmt: skip
    wrong: list[dict[str, Any]] = [
        {**right, "oidc_client_secret": ""}, {**right, "oidc_issuer": "http://id.example"},
        {**right, "oidc_issuer": "https://id.example?x=1"}, {"oidc_required": True},
    ]  # fmt: skip
    try:
        for values in wrong:
            with pytest.raises(SettingsError):
                configure(IdentitySettings(bcrypt_cost=4, **values), sandbox=True)
        with pytest.raises(SettingsError):
            configure(IdentitySettings(bcrypt_cost=12, **{**right, "oidc_issuer": provider.url}), sandbox=False)
    finally:
        configure(IdentitySettings(bcrypt_cost=4), sandbox=True)


def test_the_key_must_not_be_tiny(world: World, provider: Provider) -> None:
    invite(world)
    small = RSAKey.generate_key(1024, {"kid": "one", "use": "sig"})
    provider.key = small
    provider.sign = lambda header, claims: jwt.encode(header, claims, small, ["RS256"])
    browser = Browser(world)
    through(browser, provider)
    assert nobody(browser)
    assert why(world) == "key"

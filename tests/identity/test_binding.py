"""Sessions bound to a key: what browsers do, and what whoever copied their cookies tries."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey

from subscription_services.identity.errors import BadProof, StaleProof, WrongKey
from subscription_services.identity.operations.binding import BindDevice, ProveKey, Proven, RenewDevice
from subscription_services.identity.proofs import read_proof
from subscription_services.kernel.actors import Anonymous
from subscription_services.kernel.context import Origin
from subscription_services.kernel.errors import DomainError, NotSignedIn
from subscription_services.kernel.events import Outcome
from subscription_services.testing import World
from tests.identity.browsing import Browser, set_cookies
from tests.identity.keyed import BROWSER, HERE, Key, offered, page_session

ADA = "ada@example.org"
STRANGER = Anonymous()


class Bound(Browser):
    """A browser without scripts whose keys tests hold: `registers` as DBSC does, `proves` as our script does."""

    def __init__(self, world: World, user_agent: str = "Bound/1") -> None:
        super().__init__(world, user_agent)
        self.key = Key()
        self.session = ""

    def offer(self) -> str:
        return self.page.headers["secure-session-registration"].partition('challenge="')[2].rstrip('"')

    def sends(self, path: str, proof: str = "", session: str = "") -> httpx.Response:
        """As a browser does by itself: no Origin, no Accept, no body."""
        headers = {"Secure-Session-Response": proof} if proof else {}
        headers |= {"Sec-Secure-Session-Id": session} if session else {}
        answer: httpx.Response = self.world.run(self.client.post(path, headers=headers))
        return answer

    def registers(self) -> None:
        answer = self.sends("/session/register", self.key.proof(self.offer(), first=True))
        assert answer.status_code == 200, answer.text
        self.session = answer.json()["session_identifier"]

    def challenged(self) -> str:
        answer = self.sends("/session/refresh", session=self.session)
        assert answer.status_code == 403, answer.text
        said = answer.headers["secure-session-challenge"]
        assert said.endswith(f';id="{self.session}"')
        return said.partition('"')[2].partition('"')[0]

    def refreshes(self) -> httpx.Response:
        return self.sends("/session/refresh", self.key.proof(self.challenged()), self.session)

    def copy(self, user_agent: str = "Bound/1") -> Bound:
        """A second browser with this one's jar."""
        thief = Bound(self.world, user_agent)
        for cookie in self.client.cookies.jar:
            thief.client.cookies.jar.set_cookie(cookie)
        return thief


def _device(world: World) -> Bound:
    """Signed in, with a key of the browser's own."""
    world.subscriber(ADA)
    browser = Bound(world)
    browser.sign_in(ADA)
    browser.registers()
    return browser


def test_a_browser_registers_and_its_cookie_is_declared_as_it_is_set(world: World) -> None:
    world.subscriber(ADA)
    browser = Bound(world)
    browser.sign_in(ADA)
    assert browser.page.headers["secure-session-registration"].startswith('(ES256);path="/session/register";challenge=')
    answer = browser.sends("/session/register", browser.key.proof(browser.offer(), first=True))
    (credential,) = answer.json()["credentials"]
    assert credential["name"] == "__Host-bound"
    given = set_cookies(answer)["__Host-bound"]
    declared = {part.partition("=")[0].strip().lower() for part in credential["attributes"].split(";")}
    assert declared == set(given) - {"", "max-age"}
    assert given["max-age"] == "600"
    assert browser.get("/account").status_code == 200


def test_copied_cookies_work_no_longer_than_the_bound_one_while_the_owner_goes_on(world: World) -> None:
    owner = _device(world)
    thief = owner.copy()
    world.clock.advance(minutes=9)
    assert owner.refreshes().status_code == 200
    assert owner.get("/account").status_code == 200
    world.clock.advance(minutes=2)
    assert thief.get("/account").headers["location"] == "/session/renew?next=/account"
    api = thief.get("/api/identity.profile")
    assert (api.status_code, api.json()["code"]) == (401, "session-unbound")
    assert owner.get("/account").status_code == 200


def test_the_session_cookie_alone_is_refused_and_does_not_end_the_session(world: World) -> None:
    owner = _device(world)
    thief = owner.copy("Thief/1")
    thief.client.cookies.delete("__Host-bound")
    assert thief.get("/account").headers["location"].startswith("/session/renew")
    form = owner.form("/sign-out") if "sign-out" in owner.page.text else None
    assert form is None
    world.clock.advance(seconds=11)
    same = owner.copy()
    same.client.cookies.delete("__Host-bound")
    assert same.get("/account").headers["location"].startswith("/session/renew")
    assert owner.get("/account").status_code == 200


def test_the_grace_only_shows_pages(world: World) -> None:
    owner = _device(world)
    late = owner.copy()
    late.client.cookies.delete("__Host-bound")
    assert late.get("/account/profile").status_code == 200
    assert late.press("/account/profile", name="Thief").status_code == 401
    assert "Not sent yet" in late.page.text


def test_a_session_of_pages_is_no_bearer_token(world: World) -> None:
    owner = _device(world)
    token = owner.cookie("__Host-session")
    answer = world.run(Browser(world).client.get("/api/identity.profile", headers={"Authorization": f"Bearer {token}"}))
    assert answer.json()["code"] == "session-unbound"


def test_another_key_ends_the_session_and_stands_in_the_log(world: World) -> None:
    owner = _device(world)
    answer = owner.sends("/session/refresh", Key().proof(owner.challenged()), owner.session)
    assert answer.json() == {"session_identifier": owner.session, "continue": False}
    assert owner.get("/account").headers["location"] == "/sign-in?next=/account"
    (event,) = [item for item in world.events("identity.renew_device") if item.reason == WrongKey.code]
    assert event.outcome == Outcome.REFUSED


def test_a_replayed_proof_is_refused_and_ends_nothing(world: World) -> None:
    owner = _device(world)
    proof = owner.key.proof(owner.challenged())
    assert owner.sends("/session/refresh", proof, owner.session).status_code == 200
    again = owner.sends("/session/refresh", proof, owner.session)
    assert again.status_code == 403
    assert f';id="{owner.session}"' in again.headers["secure-session-challenge"]
    assert owner.get("/account").status_code == 200


def test_the_challenge_given_ahead_saves_a_round(world: World) -> None:
    owner = _device(world)
    answer = owner.refreshes()
    ahead = answer.headers["secure-session-challenge"].partition('"')[2].partition('"')[0]
    world.clock.advance(minutes=9)
    assert owner.sends("/session/refresh", owner.key.proof(ahead), owner.session).status_code == 200


def test_no_second_key_is_taken(world: World) -> None:
    owner = _device(world)
    offer = owner.page.headers["secure-session-registration"].partition('challenge="')[2].rstrip('"')
    assert owner.sends("/session/register", Key().proof(offer, first=True)).status_code == 400
    owner.get("/confirm")
    owner.press("/confirm", password="correct horse battery staple 7")
    assert owner.page.status_code == 303
    assert "secure-session-registration" not in owner.page.headers
    assert owner.get("/account").status_code == 200


def test_after_sign_out_the_browser_is_told_to_stop(world: World) -> None:
    owner = _device(world)
    owner.get("/account")
    owner.press("/sign-out")
    assert set_cookies(owner.page)["__Host-bound"]["max-age"] == "0"
    assert owner.page.headers["clear-site-data"] == '"cache", "storage"'
    answer = owner.sends("/session/refresh", session=owner.session)
    assert answer.json() == {"session_identifier": owner.session, "continue": False}


def test_an_offer_ends_soon_and_belongs_to_its_session(world: World) -> None:
    signed = page_session(world)
    challenge = offered(world, signed.token)
    with pytest.raises(StaleProof):
        world.do("identity.bind_device", BROWSER, BindDevice(Key().proof(challenge[:-2] + "00", first=True)))
    world.clock.advance(seconds=121)
    with pytest.raises(StaleProof):
        world.do("identity.bind_device", BROWSER, BindDevice(Key().proof(challenge, first=True)))


def test_a_challenge_of_another_session_is_refused(world: World) -> None:
    keys, names, challenges = [], [], []
    for _ in range(2):
        key = Key()
        proof = key.proof(offered(world, page_session(world).token), first=True)
        bound: Proven = world.do("identity.bind_device", BROWSER, BindDevice(proof))
        keys.append(key)
        names.append(bound.session)
        challenges.append(bound.challenge)
    with pytest.raises(StaleProof):
        world.do("identity.renew_device", BROWSER, RenewDevice(names[0], keys[0].proof(challenges[1])))
    done: Proven = world.do("identity.renew_device", BROWSER, RenewDevice(names[0], keys[0].proof(challenges[0])))
    assert done.step == "renewed"


def _part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _forged() -> dict[str, str]:
    key = Key()
    good = key.proof("c" * 64, first=True)
    header, payload, signature = good.split(".")
    private = dict(ECKey.generate_key("P-256").as_dict(private=True))
    return {
        "none": f"{_part({'alg': 'none', 'typ': 'dbsc+jwt', 'jwk': key.public})}.{payload}.",
        "hs256": f"{_part({'alg': 'HS256', 'typ': 'dbsc+jwt', 'jwk': key.public})}.{payload}.{signature}",
        "other type": key.proof("c" * 64, first=True, typ="jwt"),
        "private key": key.proof("c" * 64, jwk={n: private[n] for n in ("kty", "crv", "x", "y", "d")}),
        "other curve": key.proof("c" * 64, jwk={**key.public, "crv": "P-384"}),
        "key by address": key.proof("c" * 64, first=True, jku="https://example.org/keys"),
        "critical": key.proof("c" * 64, first=True, kid="1"),
        "too long": good + "A" * 3000,
        "two parts": f"{header}.{payload}",
        "no challenge": f"{header}.{_part({'aud': 'x'})}.{signature}",
        "a list": f"{header}.{_part(['jti'])}.{signature}",
        "nothing": "",
    }


@pytest.mark.parametrize("name", sorted(_forged()))
def test_what_is_no_proof(name: str) -> None:
    with pytest.raises(BadProof):
        read_proof(_forged()[name])


def test_a_key_that_did_not_sign_is_not_registered(world: World) -> None:
    challenge = offered(world, page_session(world).token)
    with pytest.raises(BadProof):
        world.do("identity.bind_device", BROWSER, BindDevice(Key().proof(challenge, jwk=Key().public)))
    with pytest.raises(BadProof):
        world.do("identity.bind_device", BROWSER, BindDevice(Key().proof(challenge)))


def _scripted(world: World) -> tuple[str, Key, Proven]:
    """A session bound to a key of our script."""
    token, key = page_session(world).token, Key()
    asked: Proven = world.do("identity.prove_key", STRANGER, ProveKey(token), origin=HERE)
    assert (asked.step, asked.first) == ("challenge", True)
    proof = key.proof(asked.challenge, first=True)
    done: Proven = world.do("identity.prove_key", STRANGER, ProveKey(token, proof), origin=HERE)
    assert done.step == "bound"
    return token, key, done


def test_the_key_of_our_script_is_taken_once_and_proved_again(world: World) -> None:
    token, key, done = _scripted(world)
    world.clock.advance(minutes=11)
    again = ProveKey(token, key.proof(done.challenge))
    assert world.do("identity.prove_key", STRANGER, again, origin=HERE).step == "renewed"
    asked: Proven = world.do("identity.prove_key", STRANGER, ProveKey(token), origin=HERE)
    assert not asked.first
    with pytest.raises(WrongKey):
        other = ProveKey(token, Key().proof(asked.challenge, first=True))
        world.do("identity.prove_key", STRANGER, other, origin=HERE)
    with pytest.raises(NotSignedIn):
        world.do("identity.prove_key", STRANGER, ProveKey(token), origin=HERE)


@pytest.mark.parametrize("late", [True, False])
def test_no_key_is_taken_late_or_from_another_network(world: World, late: bool) -> None:
    token = page_session(world).token
    asked: Proven = world.do("identity.prove_key", STRANGER, ProveKey(token), origin=HERE)
    if late:
        world.clock.advance(seconds=121)
    origin = HERE if late else Origin("10.9.8.7", HERE.user_agent, "page")
    proof = ProveKey(token, Key().proof(asked.challenge, first=True))
    assert world.do("identity.prove_key", STRANGER, proof, origin=origin).step == "none"


def test_a_device_key_replaces_that_of_our_script_and_never_the_other_way(world: World) -> None:
    token, _, _ = _scripted(world)
    key = Key()
    proof = key.proof(offered(world, token), first=True)
    assert world.do("identity.bind_device", BROWSER, BindDevice(proof)).step == "bound"
    assert world.do("identity.prove_key", STRANGER, ProveKey(token), origin=HERE).step == "none"


def test_without_key_a_session_belongs_to_its_network_and_is_short(world: World) -> None:
    world.subscriber(ADA)
    browser = Bound(world)
    browser.sign_in(ADA)
    assert "Only to its network" in browser.get("/account/devices").text
    assert browser.copy("Thief/1").get("/account").headers["location"].startswith("/session/renew")
    thief = browser.copy("Thief/1")
    assert thief.get("/sign-in").status_code == 200
    world.clock.advance(minutes=14)
    assert browser.get("/account").status_code == 200
    world.clock.advance(minutes=16)
    assert browser.get("/account").headers["location"] == "/sign-in?next=/account"


def test_a_store_that_does_not_answer_keeps_the_browsers_session(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from subscription_services.kernel.errors import Unavailable

    owner = _device(world)

    async def full(*given: object) -> None:
        raise Unavailable()

    with monkeypatch.context() as patch:
        patch.setattr(type(world.house.store), "write", full)
        assert owner.sends("/session/refresh", session=owner.session).status_code == 503
    assert owner.refreshes().status_code == 200


def test_garbage_at_the_endpoints_is_never_an_error_of_ours(world: World) -> None:
    owner = _device(world)
    for proof in ("x", "a.b.c", "A" * 5000):
        assert owner.sends("/session/register", proof).status_code in (400, 422), proof
        assert owner.sends("/session/refresh", proof, owner.session).status_code == 403, proof
        assert owner.sends("/session/refresh", proof, "nobody").status_code == 200, proof
    assert owner.sends("/session/refresh").status_code == 400
    with pytest.raises(DomainError):
        world.do("identity.renew_device", BROWSER, RenewDevice("x" * 101))
    assert owner.get("/account").status_code == 200

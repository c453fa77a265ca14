"""The live check of sessions that belong to one browser: a probe's own key, a copy of its cookies, another key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta

import httpx
import msgspec
from joserfc import jws
from joserfc.jwk import ECKey

from subscription_services.kernel.checks import Check, Doors, Finding, Verdict

from .configured import rules
from .pages.cookies import DEVICE_PROOF, SESSION_COOKIE
from .probes import Probe, Unclear, code_of, probe

OFTEN = timedelta(minutes=15)
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')
_QUOTED = re.compile(r'"([^"]+)"')
_OTHER = {"User-Agent": "another browser"}


def check() -> Check:
    """The check of auth.device-bound."""
    return Check(
        "auth.device-bound",
        "A probe signs in on the page and registers a key as browsers do. With the cookie that its key earns it must "
        "be let in; in another browser the copied session cookie alone must be refused, as cookie and as token, and "
        "before a key is registered as well. Then another key signs: it must be refused and the session ended.",
        copies_do_not_work, OFTEN,
    )  # fmt: skip


async def copies_do_not_work(doors: Doors) -> Finding:
    """See `check`."""
    async with probe(doors, "bound") as someone:
        signed = await _sign_in(someone)
        session = {SESSION_COOKIE: signed.cookies.get(SESSION_COOKIE) or ""}
        early = await _look(someone, session, _OTHER)
        challenge = _after(signed.headers.get("secure-session-registration", ""), "challenge=")
        key = ECKey.generate_key("P-256")
        registered = await _send(someone, "/session/register", _proof(key, challenge, first=True))
        if not challenge or registered.status_code != 200 or not registered.cookies.get(DEVICE_PROOF):
            return Finding(Verdict.BROKEN, "The service offers browsers no binding, or did not take a key.")
        name = registered.json()["session_identifier"]
        both = {**session, DEVICE_PROOF: registered.cookies[DEVICE_PROOF]}
        owner = await _look(someone, both, {})
        copied = await _look(someone, session, _OTHER)
        bearer = await _look(someone, {}, {"Authorization": f"Bearer {session[SESSION_COOKIE]}"})
        asked = await _send(someone, "/session/refresh", "", name)
        challenge = _after(asked.headers.get("secure-session-challenge", ""), "")
        wrong = await _send(someone, "/session/refresh", _proof(ECKey.generate_key("P-256"), challenge), name)
        after = await _look(someone, both, {})
    evidence: dict[str, str | int] = {
        "owner": owner.status_code, "copy_before_key": early.status_code, "copy": copied.status_code,
        "as_token": bearer.status_code, "wrong_key": wrong.status_code, "after_wrong_key": after.status_code,
        "minutes": int(rules().bound.total_seconds() // 60),
    }  # fmt: skip
    if 200 in (early.status_code, copied.status_code, bearer.status_code):
        return Finding(Verdict.BROKEN, "A copied session cookie works in another browser.", evidence)
    if wrong.cookies.get(DEVICE_PROOF) or after.status_code == 200:
        return Finding(Verdict.BROKEN, "Another key than the session's own was accepted.", evidence)
    if owner.status_code != 200 or asked.status_code != 403:
        return Finding(Verdict.COULD_NOT_CHECK, "The owner's own browser was not let in.", evidence)
    if {code_of(answer) for answer in (early, copied, bearer)} != {"session-unbound"}:
        return Finding(Verdict.COULD_NOT_CHECK, "The copy was refused for another reason.", evidence)
    says = "A copy of the session cookie was refused in another browser; another key ended the session."
    return Finding(Verdict.KEPT, says, evidence)


async def _sign_in(someone: Probe) -> httpx.Response:
    """As a person does, on the page. Raises Unclear."""
    someone.client.cookies.clear()
    page = await someone.client.get("/sign-in")
    found = _TOKEN.search(page.text)
    if page.status_code != 200 or found is None:
        raise Unclear(f"the page of signing in answered {page.status_code}")
    typed = {"csrf_token": found[1], "email": someone.email, "password": someone.password}
    signed = await someone.client.post("/sign-in", data=typed)
    if signed.status_code != 303:
        raise Unclear(f"signing in answered {signed.status_code}")
    return signed


async def _look(someone: Probe, cookies: Mapping[str, str], headers: Mapping[str, str]) -> httpx.Response:
    someone.client.cookies.clear()
    jar = "; ".join(f"{name}={value}" for name, value in cookies.items())
    return await someone.client.get("/api/identity.profile", headers={**({"Cookie": jar} if jar else {}), **headers})


async def _send(someone: Probe, path: str, proof: str, session: str = "") -> httpx.Response:
    someone.client.cookies.clear()
    headers = {"Secure-Session-Response": proof, "Sec-Secure-Session-Id": session}
    return await someone.client.post(path, headers={name: value for name, value in headers.items() if value})


def _proof(key: ECKey, challenge: str, *, first: bool = False) -> str:
    header = {"alg": "ES256", "typ": "dbsc+jwt", **({"jwk": key.as_dict(private=False)} if first else {})}
    return jws.serialize_compact(header, msgspec.json.encode({"jti": challenge}), key, algorithms=["ES256"])


def _after(text: str, mark: str) -> str:
    found = _QUOTED.search(text.partition(mark)[2] if mark else text)
    return found[1] if found else ""

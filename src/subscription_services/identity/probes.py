"""An account of the service's own that live checks use as anybody would: through the public door, over HTTPS."""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from subscription_services.kernel.actors import System
from subscription_services.kernel.checks import Doors
from subscription_services.kernel.perform import perform

from .operations.sign_up import CreateProbe, create_probe
from .pages import SESSION_COOKIE

ACTOR = System("identity.checks")
DOMAIN = "probe.test"
NAME = "Live check"
_SECONDS = 15.0
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


class Unclear(Exception):
    """The service answered something that says nothing about the promise; the check could not be carried out."""


@dataclass(slots=True)
class Probe:
    """`account` is marked as a probe; `token` is the session's, after `signed_in`."""

    doors: Doors
    client: httpx.AsyncClient
    email: str
    password: str
    account: str = ""
    token: str = ""

    async def sign_in(self, password: str | None = None, *, device: str = "") -> httpx.Response:
        """Try to sign in as a stranger, or from a browser that kept its `device`."""
        typed = {"email": self.email, "password": self.password if password is None else password, "device": device}
        return await self._post("identity.sign_in", typed, {})

    async def code(self, challenge: str, code: str) -> httpx.Response:
        """Try to finish a sign-in with a code."""
        return await self._post("identity.sign_in_code", {"challenge": challenge, "code": code}, {})

    async def unlock(self, token: str) -> httpx.Response:
        """Use the link of the letter for those who are locked out."""
        return await self._post("identity.unlock", {"token": token}, {})

    async def ask_reset(self) -> httpx.Response:
        """Ask for a link for a new password."""
        return await self._post("identity.ask_reset", {"email": self.email}, {})

    async def reset(self, token: str, password: str) -> httpx.Response:
        """Set a new password with a link's token."""
        return await self._post("identity.reset_password", {"token": token, "password": password}, {})

    async def signed_in(self) -> dict[str, Any]:
        """Sign in with the right password. Raises Unclear unless that works."""
        answer = expect(await self.sign_in(), 200)
        self.token = answer["token"]
        return answer

    async def look(self, operation: str) -> httpx.Response:
        """Read over the API with the session."""
        self.client.cookies.clear()
        return await self.client.get(f"/api/{operation}", headers=self._cookie())

    async def change(self, operation: str, body: dict[str, Any] | None = None) -> httpx.Response:
        """Change something over the API with the session and a form token from a page of its own."""
        self.client.cookies.clear()
        page = await self.client.get("/account/profile", headers=self._cookie())
        found = _TOKEN.search(page.text)
        if page.status_code != 200 or found is None:
            raise Unclear(f"the profile answered {page.status_code}")
        return await self._post(operation, body or {}, {**self._cookie(), "X-CSRF-Token": found[1]})

    async def _post(self, operation: str, body: dict[str, Any], headers: dict[str, str]) -> httpx.Response:
        # the client keeps no cookies between requests: each says itself who asks
        self.client.cookies.clear()
        return await self.client.post(f"/api/{operation}", json=body, headers=headers)

    def _cookie(self) -> dict[str, str]:
        return {"Cookie": f"{SESSION_COOKIE}={self.token}"}


@asynccontextmanager
async def stranger(doors: Doors, name: str) -> AsyncIterator[Probe]:
    """Somebody without account, with an address and a password that nobody used before."""
    context = ssl.create_default_context(cafile=doors.certificate or None)
    email = f"{name}-{_letters(doors, 16)}@{DOMAIN}"
    async with httpx.AsyncClient(
        base_url=doors.https_url,
        headers=doors.headers(),
        verify=context,
        trust_env=False,
        follow_redirects=False,
        timeout=_SECONDS,
    ) as client:
        yield Probe(doors, client, email, password_of(doors))


@asynccontextmanager
async def probe(doors: Doors, name: str, *, team: bool = False) -> AsyncIterator[Probe]:
    """The probe account of one check, as if it were new each time: password, sessions, second factor.

    One of the `team` holds no role, is in no list of people, and gets no letters."""
    async with stranger(doors, name) as found:
        found.email = f"{name}@{DOMAIN}"
        made = await perform(doors.kernel, create_probe, ACTOR, CreateProbe(found.email, NAME, found.password, team))
        found.account = made.id
        yield found


def password_of(doors: Doors) -> str:
    """A good password that stands nowhere else."""
    return f"canary-{_letters(doors, 32)}"


def _letters(doors: Doors, count: int) -> str:
    """No digits: a run of them may look like a card number, which every field refuses."""
    return "".join(chr(ord("a") + byte % 16) for byte in doors.kernel.random(count))


def expect(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The answer's body. Raises Unclear for another status."""
    if answer.status_code != status:
        raise Unclear(f"{answer.request.url.path} answered {answer.status_code} instead of {status}")
    body = answer.json()
    return body if isinstance(body, dict) else {"list": body}


def code_of(answer: httpx.Response) -> str:
    """The problem's code, or nothing."""
    kind = answer.headers.get("content-type", "")
    return str(answer.json().get("code", "")) if "json" in kind else ""

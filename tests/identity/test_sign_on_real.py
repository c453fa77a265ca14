"""Single sign-on with a provider that others wrote (oidc-provider-mock, on authlib), as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from sandbox.loopback import choose_port
from subscription_services.kernel.actors import Role
from subscription_services.testing import World
from subscription_services.testing.approving import invited
from tests.identity.browsing import Browser, words_of
from tests.sandbox.processes import eventually

ADDRESS = "nora@example.org"


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """The address of the running provider."""
    port = choose_port("127.0.0.1", 0)
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "oidc_provider_mock",
        "--port",
        str(port),
        "--require-nonce",
        "true",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: _answers(url, process), 90)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def _answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "the provider ended at once"
    try:
        return httpx.get(f"{url}/.well-known/openid-configuration", trust_env=False, timeout=5).is_success
    except httpx.HTTPError:
        return False


@pytest.fixture
def world(place: tuple[Path, str], issuer: str) -> Iterator[World]:
    """A house at the provider's own time: it reads the wall clock."""
    settings: dict[str, Any] = {
        "SUBS_IDENTITY_OIDC_ISSUER": issuer, "SUBS_IDENTITY_OIDC_CLIENT_ID": "subs",
        "SUBS_IDENTITY_OIDC_CLIENT_SECRET": "anything goes",
    }  # fmt: skip
    with World.open(*place, **settings) as opened:
        opened.clock.now = datetime.now(UTC)
        yield opened


def person(issuer: str, sub: str, **claims: Any) -> None:
    httpx.put(f"{issuer}/users/{sub}", json=claims, trust_env=False).raise_for_status()


def through(browser: Browser, sub: str, **answer: str) -> httpx.Response:
    """To the provider by our button, press its own, and back."""
    address = browser.get("/sign-in/team?next=/account/devices").headers["location"]
    form = {"sub": sub, **answer}
    answered = httpx.post(address, data=form, trust_env=False)
    assert answered.status_code == 302, answered.text
    back = urlsplit(answered.headers["location"])
    assert f"{back.scheme}://{back.netloc}{back.path}" == "https://localhost:8443/sign-in/team/callback"
    return browser.get(f"{back.path}?{back.query}")


def test_an_invited_person_signs_in_and_is_somebody(world: World, issuer: str) -> None:
    boss = world.team(Role.ADMINISTRATOR)
    invited(world, boss, ADDRESS, Role.SUPPORT, "Nora New")
    person(issuer, "nora-1", email=ADDRESS, email_verified=True, amr=["pwd", "mfa"])
    browser = Browser(world)
    answer = through(browser, "nora-1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/account/devices"), words_of(answer)
    assert browser.follow().status_code == 200
    assert browser.get("/team").status_code == 200
    again = Browser(world)
    assert through(again, "nora-1").status_code == 303


def test_who_says_no_or_is_unknown_is_nobody(world: World, issuer: str) -> None:
    person(issuer, "eve-1", email="eve@example.org", email_verified=True)
    browser = Browser(world)
    for answer in ({}, {"action": "deny"}):
        page = through(browser, "eve-1", **answer)
        assert page.status_code == 403
        assert "You are not signed in" in words_of(page)
        assert not browser.cookie("__Host-session")
    said = [event.details.get("why") for event in world.events("identity.sign_in_oidc")]
    # its refusal comes without state, so that it is not even believed to be about this browser
    assert said == ["unknown", "state"]

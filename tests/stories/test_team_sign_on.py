"""A team that signs in through its provider, all of it real; and a leaver, cut off by the directory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser

from tests.seeing import judged
from tests.stories.person import Person, meet
from tests.stories.running import Service, eventually, free_ports, start

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stories"), pytest.mark.timeout(280)]
PEOPLE = {"boss-1": "boss@example.org", "nora-1": "nora@example.org"}


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """oidc-provider-mock as a process of its own, with two people whose second factor it asks for."""
    (port,) = free_ports(1)
    claims = [
        part
        for sub, email in PEOPLE.items()
        for part in (
            "--user-claims", json.dumps({"sub": sub, "email": email, "email_verified": True, "amr": ["mfa"]}),
        )
    ]  # fmt: skip
    command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port), *claims]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return httpx.get(f"{url}/jwks", trust_env=False, timeout=5).is_success
        except httpx.HTTPError:
            return False

    try:
        eventually(answers, 90)
        yield url
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def service(provider: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """An installation whose team signs in with that provider."""
    settings = {"ISSUER": provider, "CLIENT_ID": "subs", "CLIENT_SECRET": "secret of tests", "REQUIRED": "true"}
    running = start(
        tmp_path_factory.mktemp("sign-on"),
        **{f"SUBS_IDENTITY_OIDC_{name}": value for name, value in settings.items()},
    )
    yield running
    running.stop()


def through(person: Person, sub: str) -> None:
    """From our page to the provider and back."""
    person.page.goto(f"{person.service.url}/sign-in?next=/team")
    person.see("sign-in")
    person.press("Team: continue with single sign-on")
    assert "/oauth2/authorize" in person.page.url
    person.page.locator(f"button[value='{sub}']").first.click()
    person.page.wait_for_load_state()


def looks(person: Person, path: str, name: str) -> None:
    """The page in the light, in the dark and on a telephone."""
    person.go(path, name)
    # each time anew: colours that are still fading would be judged otherwise
    person.page.emulate_media(color_scheme="dark")
    person.go(path, f"{name}-dark")
    person.page.emulate_media(color_scheme="light")
    person.page.set_viewport_size({"width": 360, "height": 740})
    person.go(path, f"{name}-telephone")
    assert person.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    person.page.set_viewport_size({"width": 1280, "height": 900})


def test_a_team_comes_in_by_its_provider_and_a_leaver_is_out_at_once(
    service: Service, browser: Browser, pictures: Path
) -> None:
    assert service.subs("bootstrap", "boss@example.org", "Grace Hopper").returncode == 0
    boss = meet(service, browser, "boss@example.org", pictures=pictures)
    through(boss, "boss-1")
    assert boss.page.url == f"{service.url}/team", boss.page.locator("main").inner_text()
    boss.go("/team/people/invite", "invite")
    boss.page.locator("input[name=name]").fill("Nora New")
    boss.page.locator("input[name=email]").fill("nora@example.org")
    boss.page.locator("input[name=role][value=support]").check()
    boss.page.locator("[name=reason]").fill("helps subscribers")
    boss.page.locator("main form").get_by_role("button").first.click()
    boss.page.wait_for_load_state()
    nora = meet(service, browser, "nora@example.org")
    through(nora, "nora-1")
    assert nora.page.url == f"{service.url}/team", nora.page.locator("main").inner_text()

    boss.go("/team/service-accounts/new", "new-service-account")
    boss.page.locator("input[name=name]").fill("Directory")
    boss.page.locator("main form").get_by_role("button").first.click()
    boss.page.wait_for_load_state()
    for scope in ("access.scim_users", "access.scim_update_user"):
        boss.page.locator(f"input[name='scope:{scope}']").check()
    boss.press("Issue the token")
    token = boss.page.get_by_role("group", name="Token").locator("code").inner_text().strip()
    assert token.startswith("subs_sa_")
    boss.see("token")
    boss.press("Done")
    account = boss.page.url.removeprefix(service.url)
    looks(boss, account, "service-account")
    looks(boss, "/team/unused", "unused")
    boss.go(account, "service-account-again")
    boss.page.get_by_role("button", name="Replace token").click()
    boss.page.wait_for_load_state()
    boss.see("token-replaced")

    with service.client(headers={"Authorization": f"Bearer {token}"}) as directory:
        listed = directory.get("/scim/v2/Users", params={"filter": 'userName eq "nora@example.org"'}).json()
        address = listed["Resources"][0]["meta"]["location"]
        looks(boss, f"/team/people/{listed['Resources'][0]['id']}", "person")
        body = {
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{"op": "replace", "value": {"active": False}}],
        }
        left = directory.patch(address, json=body, headers={"Content-Type": "application/scim+json"})
        assert (left.status_code, left.json()["active"]) == (200, False)
    nora.page.goto(f"{service.url}/team")
    assert "/sign-in" in nora.page.url
    through(nora, "nora-1")
    assert "You are not signed in" in nora.page.locator("main").inner_text()
    assert judged(nora.page).response["violations"] == []
    nora.page.screenshot(path=str(pictures / "sign-on-problem.png"))

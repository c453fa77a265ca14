"""Bad days: what people, clocks, networks and other programs do to a service."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser

from tests.stories.person import PASSWORD, meet
from tests.stories.running import Service, descendants, eventually, subs, unique

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stories"), pytest.mark.timeout(280)]


def paid_intents(service: Service) -> list[dict[str, object]]:
    key = (service.folder / "data-sandbox" / "secret-key").read_text().strip()
    listed = httpx.get(
        f"{service.processor}/v1/payment_intents?limit=100", headers={"Authorization": f"Bearer sk_test_{key}"},
        trust_env=False,
    ).json()["data"]  # fmt: skip
    return [item for item in listed if item["status"] == "succeeded"]


def test_a_large_body_and_broken_text_are_refused_clearly(service: Service) -> None:
    with service.client() as client:
        answer = client.post(
            "/api/identity.sign_up",
            content=b'{"name":"' + b"x" * 10_000_000,
            headers={"content-type": "application/json"},
        )
        assert answer.status_code == 413
        broken = client.post(
            "/api/identity.sign_up", content=b'{"name":"\xff\xfe"}', headers={"content-type": "application/json"}
        )
        assert broken.status_code == 400
        assert broken.headers["content-type"].startswith("application/problem+json")
        assert client.get("/verify", params={"token": "x" * 43}).status_code in (200, 400, 403, 404, 410, 422)


def test_the_mail_server_is_down_for_a_while(service: Service) -> None:
    email = f"{unique('late')}@example.org"
    service.mailbox_behaves(fail_next=1, code=451)
    with service.client() as client:
        answer = client.post("/api/identity.sign_up", json={"email": email, "name": "Late", "password": PASSWORD})
        assert answer.status_code == 200
    assert service.letter(email, "Confirm", 40)


def test_two_tabs_and_lost_answers_charge_once(service: Service, browser: Browser) -> None:
    before = len(paid_intents(service))
    ada = meet(service, browser, f"{unique('tabs')}@example.org")
    ada.sign_up()
    ada.sign_in()
    service.processor_behaves(
        lose_answers={"count": 2, "path": "/v1/payment_intents*", "method": "POST", "how": "500"},
        webhook_duplicate=3,
    )
    try:
        ada.choose_a_plan()
        checkout = ada.page.url
        second = ada.page.context.new_page()
        second.goto(checkout)
        ada.page.wait_for_selector("iframe.processor", timeout=40_000)
        ada.pay()
        second.reload()
        assert "iframe" not in second.locator("main").inner_html()
    finally:
        service.processor_behaves()
    assert len(paid_intents(service)) == before + 1
    ada.page.goto(f"{service.url}/invoices")
    assert ada.page.locator("main").inner_text().count("Paid") == 1


def test_a_web_process_is_killed_and_the_service_answers_again(service: Service) -> None:
    parent = min(service.parts("cli serve"))
    workers = sorted(descendants(parent))
    assert workers
    os.kill(workers[0], signal.SIGKILL)

    def answers() -> bool:
        try:
            with service.client() as client:
                return all(client.get("/health/ready").status_code == 200 for _ in range(4))
        except httpx.HTTPError:
            return False

    time.sleep(0.5)
    assert eventually(answers, 180)


def test_starting_wrong_is_one_clear_line(service: Service, tmp_path: Path) -> None:
    plain = {
        "SUBS_DATA": str(tmp_path / "data"), "SUBS_SANDBOX": "true", "SUBS_IDENTITY_BCRYPT_COST": "6",
        "SUBS_BILLING_PROCESSOR_URL": "http://127.0.0.1:9", "SUBS_BILLING_FRAME_ORIGIN": "http://127.0.0.1:9",
        "SUBS_BILLING_SECRET_KEY": "sk_test_x", "SUBS_BILLING_PUBLISHABLE_KEY": "pk_test_x",
        "SUBS_BILLING_WEBHOOK_SECRET": "whsec_x",
    }  # fmt: skip

    def refusal(**settings: str) -> str:
        told = subs("run", environment=plain | settings)
        assert told.returncode not in (0, None)
        assert "Traceback" not in told.stderr, told.stderr
        lines = [line for line in told.stderr.splitlines() if line.startswith("subs: ")]
        assert len(lines) == 1, told.stderr
        return lines[0]

    assert "SUBS_HTTPS_PORT" in refusal(SUBS_HTTPS_PORT=str(service.https_port))
    assert "SUBS_HTPS" in refusal(SUBS_HTPS_PORT="1")
    assert "webhook" in refusal(SUBS_BILLING_WEBHOOK_SECRET="").lower()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    assert subs("migrate", environment=plain).returncode == 0
    assert "sandbox" in refusal(
        SUBS_SANDBOX="false", SUBS_HTTPS_PORT=port, SUBS_BILLING_PROCESSOR_URL="", SUBS_IDENTITY_BCRYPT_COST="12"
    )
    root = tmp_path / "data" / "keys" / "root.key"
    kept = root.read_bytes()
    root.write_bytes(bytes(reversed(kept)))
    assert "key" in refusal(SUBS_HTTPS_PORT=port).lower()
    root.write_bytes(kept)
    root.unlink()
    assert "root.key" in refusal(SUBS_HTTPS_PORT=port)

"""Idempotency keys, answers lost, failures asked for, and where the processor refuses to be."""

import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe

from sandbox.processor import Listen, Settings
from sandbox.processor import processor as processor_in_thread
from tests.sandbox.processes import ROOT, SECRET, Certificate, Processor, processor_process

_PAYMENT: Any = {"amount": 700, "currency": "eur", "payment_method": "pm_card_visa", "confirm": True}
_OTHER: Any = _PAYMENT | {"amount": 701}
_DECLINED: Any = _PAYMENT | {"payment_method": "pm_card_visa_chargeDeclined"}
_TOO_SMALL: Any = _PAYMENT | {"amount": 1}


def _count(processor: Processor) -> int:
    return len(processor.sdk.v1.payment_intents.list({"limit": 100}).data)


def test_the_same_key_gives_the_same_answer_once(processor: Processor) -> None:
    before = _count(processor)
    options: Any = {"idempotency_key": "order-1"}
    first = processor.sdk.v1.payment_intents.create(_PAYMENT, options)
    again = processor.sdk.v1.payment_intents.create(_PAYMENT, options)
    assert first.id == again.id and _count(processor) == before + 1
    assert first.last_response is not None and again.last_response is not None
    assert "idempotent-replayed" not in first.last_response.headers
    assert again.last_response.headers["idempotent-replayed"] == "true"
    assert again.last_response.headers["original-request"] == first.last_response.headers["request-id"]


@pytest.mark.parametrize("other", ["body", "endpoint"])
def test_the_same_key_for_something_else_is_refused(processor: Processor, other: str) -> None:
    options: Any = {"idempotency_key": f"order-2-{other}"}
    processor.sdk.v1.payment_intents.create(_PAYMENT, options)
    with pytest.raises(stripe.IdempotencyError) as caught:
        if other == "body":
            processor.sdk.v1.payment_intents.create(_OTHER, options)
        else:
            processor.sdk.v1.customers.create(None, options)
    assert caught.value.http_status == 400
    assert caught.value.error is not None and caught.value.error.type == "idempotency_error"


def test_a_decline_is_replayed_too(processor: Processor) -> None:
    options: Any = {"idempotency_key": "order-3"}
    intents = []
    for _ in range(2):
        with pytest.raises(stripe.CardError) as caught:
            processor.sdk.v1.payment_intents.create(_DECLINED, options)
        assert caught.value.error is not None and caught.value.error.payment_intent is not None
        intents.append(caught.value.error.payment_intent.id)
    assert intents[0] == intents[1]


def test_a_key_of_a_malformed_call_can_be_used_again(processor: Processor) -> None:
    options: Any = {"idempotency_key": "order-4"}
    with pytest.raises(stripe.InvalidRequestError):
        processor.sdk.v1.payment_intents.create(_TOO_SMALL, options)
    assert processor.sdk.v1.payment_intents.create(_PAYMENT, options).status == "succeeded"


@pytest.mark.parametrize("how", ["500", "close"])
def test_a_lost_answer_was_work_done(processor: Processor, how: str) -> None:
    before = _count(processor)
    processor.behave(lose_answers={"count": 1, "path": "/v1/payment_intents", "how": how})
    options: Any = {"idempotency_key": f"order-5-{how}"}
    with pytest.raises((stripe.APIError, stripe.APIConnectionError)):
        processor.sdk.v1.payment_intents.create(_PAYMENT, options)
    assert _count(processor) == before + 1
    again = processor.sdk.v1.payment_intents.create(_PAYMENT, options)
    assert _count(processor) == before + 1
    assert again.id == processor.sdk.v1.payment_intents.list({"limit": 1}).data[0].id
    assert again.last_response is not None
    assert again.last_response.headers["idempotent-replayed"] == "true"


def test_a_silent_answer_was_work_done(processor: Processor) -> None:
    before = _count(processor)
    processor.behave(lose_answers={"count": 1, "how": "hang", "hang_seconds": 3})
    headers = {"Authorization": f"Bearer {SECRET}", "Idempotency-Key": "order-6"}
    form = {"amount": "700", "currency": "eur"}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{processor.url}/v1/payment_intents", data=form, headers=headers, timeout=0.5)
    assert _count(processor) == before + 1


def test_the_sdk_s_own_retry_charges_once(processor: Processor) -> None:
    before = _count(processor)
    processor.behave(lose_answers={"count": 2, "path": "/v1/payment_intents"})
    assert processor.patient_sdk.v1.payment_intents.create(_PAYMENT).status == "succeeded"
    assert _count(processor) == before + 1


@pytest.mark.parametrize(("status", "error"), [(503, stripe.APIError), (429, stripe.RateLimitError)])
def test_a_failure_asked_for_does_nothing(processor: Processor, status: int, error: type[stripe.StripeError]) -> None:
    before = _count(processor)
    processor.behave(fail_next={"count": 1, "path": "/v1/payment_intents", "status": status})
    processor.sdk.v1.customers.create()
    with pytest.raises(error):
        processor.sdk.v1.payment_intents.create(_PAYMENT)
    assert _count(processor) == before
    assert processor.sdk.v1.payment_intents.create(_PAYMENT).status == "succeeded"


@pytest.mark.parametrize("body", [b"{", b'{"unknown": 1}', b'{"webhook_duplicate": "many"}', b"[]"])
def test_behaviour_that_makes_no_sense_changes_nothing(processor: Processor, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {SECRET}"}
    url = f"{processor.url}/sandbox/behaviour"
    before = httpx.get(url, headers=headers).json()
    assert httpx.post(url, content=body, headers=headers).status_code == 400
    assert httpx.get(url, headers=headers).json() == before


def test_behaviour_needs_the_secret_key(processor: Processor) -> None:
    assert httpx.post(f"{processor.url}/sandbox/behaviour", json={}).status_code == 401


def test_another_host_name_is_refused(processor: Processor) -> None:
    answer = httpx.get(f"{processor.url}/sandbox/health", headers={"Host": "evil.example"})
    assert answer.status_code == 421
    answer = httpx.get(f"{processor.url}/sandbox/health", headers={"Host": "processor.localhost:1"})
    assert answer.status_code == 200


def test_a_large_or_broken_body_is_refused(processor: Processor) -> None:
    headers = {"Authorization": f"Bearer {SECRET}", "content-type": "application/x-www-form-urlencoded"}
    url = f"{processor.url}/v1/customers"
    assert httpx.post(url, content=b"a" * 1_000_001, headers=headers).status_code == 413
    assert httpx.post(url, content=b"email=%ff%fe", headers=headers).status_code == 400
    assert httpx.post(url, content=b"a[b=1", headers=headers).status_code == 400


def test_what_was_paid_survives_a_restart(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "processor.sqlite"))
    options: Any = {"idempotency_key": "order-7"}
    with processor_process(*data) as first:
        paid = first.sdk.v1.payment_intents.create(_PAYMENT, options)
    with processor_process(*data) as second:
        assert second.sdk.v1.payment_intents.create(_PAYMENT, options).id == paid.id
        assert second.sdk.v1.payment_intents.retrieve(paid.id).status == "succeeded"


def test_what_was_paid_survives_a_kill(tmp_path: Path) -> None:
    data = str(tmp_path / "processor.sqlite")
    command = [sys.executable, "-m", "sandbox.processor", "--secret-key", SECRET, "--data", data]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        first = Processor(killed.stdout.readline().rpartition(" ")[2].strip())
        paid = [first.sdk.v1.payment_intents.create(_PAYMENT).id for _ in range(20)]
        killed.kill()
    with processor_process("--data", data) as second:
        assert [row.id for row in second.sdk.v1.payment_intents.list({"limit": 100}).data] == paid[::-1]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--host", "0.0.0.0"),
        ("--host", "192.0.2.1"),
        ("--secret-key", "sk_live_x"),
        ("--embedder", "https://shop.example"),
        ("--embedder", "http://localhost:1/path"),
        ("--webhook-url", "https://shop.example/", "--webhook-secret", "whsec_x"),
        ("--webhook-url", "http://127.0.0.1:1/"),
        ("--data", str(ROOT / "pyproject.toml")),
        ("--data", str(ROOT / "absent" / "processor.sqlite")),
    ],
)
def test_a_setting_that_leaves_the_machine_stops_it(arguments: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "sandbox.processor", *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert ended.stdout == "" and ended.stderr.startswith("processor: ") and "Traceback" not in ended.stderr


def test_a_taken_port_is_said(processor: Processor) -> None:
    port = processor.url.rpartition(":")[2]
    command = [sys.executable, "-m", "sandbox.processor", "--port", port]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, "taken" in ended.stderr) == (2, True)


def test_the_same_runs_inside_a_test(certificate: Certificate) -> None:
    listen = Listen(cert=certificate.cert, key=certificate.key)
    with processor_in_thread(Settings(listen=listen, secret_key=SECRET)) as url:
        assert url.startswith("https://")
        trusted = ssl.create_default_context(cafile=str(certificate.cert))
        answer = httpx.get(f"{url}/sandbox/health", verify=trusted)
        assert answer.json() == {"status": "ok", "sandbox": True}
        trusted.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/sandbox/health", verify=trusted)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/sandbox/health")

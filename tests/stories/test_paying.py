"""Paying when the processor is down, slow or forgetful: charged once, and no subscription lost."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.stories.running import Service, eventually
from tests.stories.visitor import Form, Visitor

pytestmark = [pytest.mark.xdist_group("stories"), pytest.mark.timeout(200)]


@pytest.fixture
def vera(service: Service) -> Iterator[Visitor]:
    """A subscriber, and a processor that is well again afterwards."""
    yield Visitor(service).join()
    service.processor_behaves()


def charges(service: Service) -> list[str]:
    """The payment intents of all charges that moved money, from the processor's own books."""
    key = (service.folder / "data-sandbox" / "secret-key").read_text().strip()
    listed = httpx.get(
        f"{service.processor}/v1/charges?limit=100", headers={"Authorization": f"Bearer sk_test_{key}"},
        trust_env=False,
    ).json()  # fmt: skip
    assert not listed["has_more"]
    return [item["payment_intent"] for item in listed["data"] if item["paid"]]


def paid(vera: Visitor) -> bool:
    """Whether the one invoice is paid; then the one subscription is active too."""
    (subscription,), (invoice,) = vera.subscriptions(), vera.invoices()
    done = "Paid</span>" in vera.get(f"/invoices/{invoice}")
    assert not done or "Active</span>" in vera.get(f"/subscriptions/{subscription}")
    return done


def test_the_processor_is_down_when_the_order_is_made(vera: Visitor) -> None:
    before = charges(vera.service)
    vera.service.processor_behaves(fail_next={"count": 1000, "path": "/v1/*", "method": "*", "status": 503})
    checkout = vera.order()
    waiting = vera.get(checkout)
    assert "Connecting to the payment processor" in waiting
    assert "Cancel this order" in waiting
    assert vera.client.get(f"{checkout}/state").json().keys() == {"message"}
    vera.service.processor_behaves()
    vera.type_card(vera.frame(checkout))
    assert eventually(lambda: paid(vera))
    assert len(charges(vera.service)) == len(before) + 1


@pytest.mark.parametrize("how", ["500", "close"])
def test_the_answers_are_lost_after_the_work_was_done(vera: Visitor, how: str) -> None:
    before = charges(vera.service)
    vera.service.processor_behaves(
        lose_answers={"count": 2, "path": "/v1/*", "method": "POST", "how": how}, webhook_duplicate=3
    )
    checkout = vera.order()
    vera.type_card(vera.frame(checkout))
    assert vera.client.get(f"{checkout}/return").status_code == 200
    assert eventually(lambda: paid(vera))
    assert len(charges(vera.service)) == len(before) + 1


def test_the_processor_is_down_between_the_card_and_the_way_back(vera: Visitor) -> None:
    before = charges(vera.service)
    checkout = vera.order()
    frame = vera.frame(checkout)
    vera.service.processor_behaves(
        fail_next={"count": 1000, "path": "/v1/*", "method": "*", "status": 503}, webhook_delay_seconds=3
    )
    vera.type_card(frame)
    back = vera.get(f"{checkout}/return")
    assert "Confirming your payment" in back
    vera.service.processor_behaves()
    assert eventually(lambda: paid(vera), 180)
    assert len(charges(vera.service)) == len(before) + 1
    for _ in range(3):
        assert vera.client.get(f"{checkout}/return").url.path.startswith("/subscriptions/")
    assert len(charges(vera.service)) == len(before) + 1


def test_one_processor_that_hangs_keeps_nobody_elses_letters_waiting(vera: Visitor) -> None:
    vera.service.processor_behaves(
        lose_answers={"count": 20, "path": "/v1/*", "method": "POST", "how": "hang", "hang_seconds": 6}
    )
    checkout = vera.order()
    other = Visitor(vera.service)
    other.sign_up()
    assert other.service.letter(other.email, "Confirm", 10)
    assert "Connecting" in vera.get(checkout)
    vera.service.processor_behaves()
    vera.type_card(vera.frame(checkout))
    assert eventually(lambda: paid(vera))


def test_the_same_card_form_in_two_tabs_and_sent_twice(vera: Visitor) -> None:
    before = charges(vera.service)
    checkout = vera.order()
    assert vera.order() == checkout, "an order that waits for its payment is gone on with"
    frame = vera.frame(checkout)
    assert vera.frame(checkout) == frame
    vera.type_card(frame, times=3)
    assert eventually(lambda: paid(vera))
    assert vera.client.get(checkout).url.path.startswith("/subscriptions/")
    assert len(charges(vera.service)) == len(before) + 1


def test_a_declined_card_then_another(vera: Visitor) -> None:
    before = charges(vera.service)
    checkout = vera.order()
    frame = vera.frame(checkout)
    declined = vera.type_card(frame, "4000000000000002")
    assert "declined" in declined.text
    assert not paid(vera)
    vera.type_card(frame)
    assert eventually(lambda: paid(vera))
    assert len(charges(vera.service)) == len(before) + 1


def test_an_order_that_is_cancelled_while_it_is_paid_is_one_or_the_other(vera: Visitor) -> None:
    before = charges(vera.service)
    checkout = vera.order()
    frame = vera.frame(checkout)
    form = vera.form(checkout, f"{checkout}/cancel")
    vera.type_card(frame)
    answer = vera.send(Form(form.action, form.fields))
    assert answer.status_code == 200
    assert eventually(lambda: paid(vera))
    assert len(charges(vera.service)) == len(before) + 1


def test_webhooks_that_nobody_signed_change_nothing(service: Service) -> None:
    body = b'{"id":"evt_1","object":"event","type":"payment_intent.succeeded","data":{"object":{"id":"pi_1"}}}'
    with service.client() as client:
        for signature in ("", "t=1,v1=00", "t=9999999999,v1=" + "a" * 64):
            answer = client.post("/webhooks/processor", content=body, headers={"stripe-signature": signature})
            assert 400 <= answer.status_code < 500

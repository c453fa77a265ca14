"""From a plan to a paid invoice: confirm, pay in the processor's frame, come back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode

import msgspec
import structlog
from starlette.responses import Response

from subscription_services.billing.errors import ProcessorUnavailable
from subscription_services.billing.jobs import Till
from subscription_services.billing.model import PaymentState
from subscription_services.billing.operations import checkout as operations
from subscription_services.billing.requests import Checkout, OnePayment, OneSubscription, StartCheckout, Started
from subscription_services.billing.settings import BillingSettings
from subscription_services.billing.words import payment_problem
from subscription_services.jobs import wait_until_done
from subscription_services.kernel.errors import Conflict, Invalid, NotFound
from subscription_services.kernel.words import words
from subscription_services.web import notices
from subscription_services.web.call import Call
from subscription_services.web.routes import Route, get, post

PATIENCE = 3.0
"""Seconds that a page waits for the processor before it shows progress instead."""
STEPS = (words("Plan"), words("Payment"), words("Done"))
log = structlog.get_logger("billing")
PAID = notices.declare("checkout-paid", "success", "Thank you. Your payment arrived and your subscription is active.")
TRIAL = notices.declare("checkout-started", "success", "Your subscription is active. Nothing was charged.")
HAD = notices.declare("checkout-had", "info", "You have this plan already.")
GIVEN_UP = notices.declare("checkout-given-up", "info", "The checkout is being closed. Nothing will be charged.")


@dataclass(frozen=True, slots=True)
class CheckoutPages:
    """The handlers, bound to the processor. `site_url` is where the processor sends people back to."""

    till: Till
    settings: BillingSettings
    site_url: str

    async def confirm(self, call: Call) -> Response:
        """What is charged when, before anything is."""
        if not call.query("plan"):
            return call.go("/plans")
        offer = await call.perform(operations.offer, StartCheckout(call.query("plan")))
        return call.render("billing/confirm.html", offer=offer, steps=STEPS)

    async def start(self, call: Call) -> Response:
        """Subscription, invoice and payment in one transaction; then on to the payment."""
        done = await call.submit(operations.start_checkout)
        if done.form is not None:
            return call.go("/subscriptions", HAD) if done.status == 409 else call.go("/plans")
        started: Started = done.answer
        if started.payment is None:
            return call.go(f"/subscriptions/{started.subscription}", TRIAL)
        return call.go(f"/checkout/{started.payment}")

    async def pay(self, call: Call) -> Response:
        """The card form in the processor's frame, as soon as the processor is ready."""
        found = await self._read(call)
        if found.payment.state is PaymentState.WAITING and found.payment.job and not found.payment.off_session:
            await wait_until_done(call.site.kernel, found.payment.job, PATIENCE)
            found = await self._read(call)
        state = found.payment.state
        if state is PaymentState.PAID:
            return call.go(f"/subscriptions/{found.payment.subscription}")
        if state is PaymentState.CANCELLED:
            return call.render("billing/closed.html", checkout=found, steps=STEPS)
        if not found.client_secret:
            return self._wait(call, found, words("Connecting to the payment processor…"))
        template = "billing/pay_frame.html" if self.settings.sandbox else "billing/pay_stripe.html"
        return call.render(
            template, frames=True, checkout=found, steps=STEPS, problem=payment_problem(found.payment),
            frame=self._frame(found), return_url=self._return_url(found), key=self.settings.publishable_key,
            script=self.settings.frame_origin,
        )  # fmt: skip

    async def back(self, call: Call) -> Response:
        """Back from the processor: ask it how the payment stands, whatever the address says."""
        found = await self._read(call)
        if found.payment.state not in (PaymentState.PAID, PaymentState.CANCELLED):
            await self._look(call, found)
            found = await self._read(call)
        subscription = f"/subscriptions/{found.payment.subscription}"
        if found.payment.state is PaymentState.PAID:
            return call.go(subscription, PAID)
        failed = payment_problem(found.payment) or call.query("redirect_status") == "failed"
        if found.payment.state is PaymentState.CANCELLED or failed:
            return call.go(f"/checkout/{found.payment.id}")
        return self._wait(call, found, words("Confirming your payment…"), back="?for=return")

    async def state(self, call: Call) -> Response:
        """For the progress bar: how it stands, and where to go when it is done."""
        found = await self._read(call)
        paying = found.payment
        following = ""
        if paying.state is PaymentState.PAID:
            following = f"/subscriptions/{paying.subscription}"
        elif (
            paying.state is PaymentState.CANCELLED
            or payment_problem(paying)
            or (found.client_secret and call.query("for") != "return")
        ):
            following = f"/checkout/{paying.id}"
        answer = {"next": following} if following else {"message": call.said(_progress(call, found))}
        return Response(msgspec.json.encode(answer), media_type="application/json")

    async def give_up(self, call: Call) -> Response:
        """The person does not want to pay after all."""
        done = await call.submit(operations.cancel_checkout, given={"id": call.path("id")})
        return call.go("/subscriptions", None if done.form else GIVEN_UP)

    async def pay_subscription(self, call: Call) -> Response:
        """To the payment that a subscription waits for."""
        try:
            found = await call.perform(operations.open_payment, OneSubscription(call.path("id")))
        except (NotFound, Invalid):
            return call.go("/subscriptions")
        return call.go(f"/checkout/{found.id}")

    def routes(self) -> tuple[Route, ...]:
        """The pages of checkout."""
        return (
            get("/subscribe", self.confirm, operations.offer),
            post("/subscribe", self.start, operations.start_checkout),
            get("/checkout/{id}", self.pay, operations.checkout),
            get("/checkout/{id}/return", self.back, operations.checkout),
            get("/checkout/{id}/state", self.state, operations.checkout),
            post("/checkout/{id}/cancel", self.give_up, operations.cancel_checkout),
            get("/subscriptions/{id}/pay", self.pay_subscription, operations.open_payment),
        )

    async def _read(self, call: Call) -> Checkout:
        found: Checkout = await call.perform(operations.checkout, OnePayment(call.path("id")))
        return found

    async def _look(self, call: Call, found: Checkout) -> None:
        """As the jobs do, at once; when the processor is slow or down they do it without us."""
        try:
            await asyncio.wait_for(self.till.look(call.site.kernel, found.payment.id), PATIENCE)
        except (TimeoutError, ProcessorUnavailable, Conflict) as error:
            log.warning("checkout.not_confirmed", payment=found.payment.id, error=type(error).__name__)

    def _wait(self, call: Call, found: Checkout, message: str, back: str = "") -> Response:
        return call.render(
            "billing/wait.html", checkout=found, steps=STEPS, message=message, detail=_progress(call, found),
            poll=f"/checkout/{found.payment.id}/state{back}",
            again=f"/checkout/{found.payment.id}/return" if back else f"/checkout/{found.payment.id}",
        )  # fmt: skip

    def _return_url(self, found: Checkout) -> str:
        return f"{self.site_url}/checkout/{found.payment.id}/return"

    def _frame(self, found: Checkout) -> str:
        query = {
            "client_secret": found.client_secret, "return_url": self._return_url(found),
            "publishable_key": self.settings.publishable_key,
        }  # fmt: skip
        return f"{self.settings.frame_origin}/frame/payment?{urlencode(query)}"


def _progress(call: Call, found: Checkout) -> str:
    if call.now - found.payment.created_at > timedelta(seconds=20):
        return words(
            "The payment processor does not answer at the moment. Nothing is lost and nothing is charged twice: we go "
            "on asking by ourselves. You can leave; the result will stand under Subscriptions and we will write to you."
        )
    return words("This takes a few seconds. You can leave: the result will stand under Subscriptions.")

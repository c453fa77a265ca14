"""Saved cards and billing details."""

from __future__ import annotations

from starlette.responses import Response

from subscription_services.billing.operations import invoices, methods
from subscription_services.billing.requests import Nothing
from subscription_services.billing.words import brand_text
from subscription_services.web import notices
from subscription_services.web.call import Call
from subscription_services.web.forms import FormState
from subscription_services.web.routes import Route, get, post

REMOVED = notices.declare("card-removed", "success", "The card is removed, here and at the payment processor.")
DEFAULT = notices.declare("card-default", "success", "Your subscriptions renew with this card from now on.")
KEPT = notices.declare(
    "card-kept", "warning",
    "A subscription renews with this card. Pay with another card, or cancel the subscription first.",
)  # fmt: skip
DETAILS = notices.declare("billing-details", "success", "Saved. They stand on your invoices from now on.")
PAGE = "/account/payment-methods"


async def show(call: Call) -> Response:
    """Saved cards, and what stands on invoices."""
    details = await call.perform(invoices.show_details, Nothing())
    return await _page(call, FormState({"name": details.name, "address": details.address}))


async def set_default(call: Call) -> Response:
    """Renew with this card."""
    done = await call.submit(methods.set_default_method, given={"id": call.path("id")})
    return call.go(PAGE, None if done.form else DEFAULT)


async def remove(call: Call) -> Response:
    """Forget a card."""
    done = await call.submit(methods.remove_payment_method, given={"id": call.path("id")})
    return call.go(PAGE, KEPT if done.form else REMOVED)


async def save_details(call: Call) -> Response:
    """Change what stands on future invoices."""
    done = await call.submit(invoices.set_details)
    return call.go(PAGE, DETAILS) if done.form is None else await _page(call, done.form, done.status)


async def _page(call: Call, form: FormState, status: int = 200) -> Response:
    found = await call.perform(methods.list_methods, Nothing())
    cards = [(item, brand_text(item.brand)) for item in found.methods]
    return call.render("billing/methods.html", status, cards=cards, form=form)


def routes() -> tuple[Route, ...]:
    """The pages of cards."""
    return (
        get(PAGE, show, methods.list_methods),
        post(PAGE + "/{id}/default", set_default, methods.set_default_method),
        post(PAGE + "/{id}/remove", remove, methods.remove_payment_method),
        post("/account/billing-details", save_details, invoices.set_details),
    )

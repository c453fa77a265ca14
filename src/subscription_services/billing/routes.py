"""Every route of the room."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import Response

from subscription_services.kernel.settings import HouseSettings
from subscription_services.web.call import Call
from subscription_services.web.routes import Route

from .jobs import Till
from .pages import invoices, methods
from .pages.checkout import CheckoutPages
from .pages.webhook import Webhook
from .processor import StripeProcessor
from .settings import BillingSettings

SCRIPT = (Path(__file__).parent / "static" / "stripe.js").read_bytes()


async def script(call: Call) -> Response:
    """The few lines that put Stripe's own payment form into our page."""
    return Response(SCRIPT, media_type="text/javascript; charset=utf-8", headers={"Cache-Control": "no-cache"})


def routes(settings: BillingSettings, house: HouseSettings) -> tuple[Route, ...]:
    """The room's pages and the webhook's endpoint."""
    processor = StripeProcessor(settings)
    return (
        *CheckoutPages(Till(processor), settings, house.public_url).routes(), *invoices.routes(), *methods.routes(),
        *Webhook(processor).routes(),
        Route("GET", "/checkout-stripe.js", script, reason="a script without secrets", anonymous=True),
    )  # fmt: skip

"""The room's slice of the settings."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from subscription_services.kernel.errors import SettingsError
from subscription_services.kernel.settings import Says, Slice

from .model import Terms

LOOPBACK = ("localhost", "127.0.0.1", "::1")


class BillingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The processor, tax, and what happens when a payment fails."""

    processor_url: Annotated[
        str, Says("Base address of the processor's API; empty for Stripe. Another one is for the sandbox only.")
    ] = ""
    secret_key: Annotated[
        str, Says("Secret API key of the processor. Without it the service does not start.", secret=True)
    ] = ""
    publishable_key: Annotated[str, Says("Publishable API key, given to the payment form in the browser.")] = ""
    webhook_secret: Annotated[
        str, Says("Secret that webhooks are signed with. Without it the service does not start.", secret=True)
    ] = ""
    frame_origin: Annotated[
        str, Says("Origin of the card form. It is the only one that our pages may frame, and that on payment pages.")
    ] = "https://js.stripe.com"
    ca_file: Annotated[str, Says("Certificates to trust for the processor; empty for those of the system.")] = ""
    timeout: Annotated[int, Says("Seconds to wait for an answer of the processor, 1 to 30.")] = 10
    seller: Annotated[str, Says("Name of the seller on invoices.")] = "Subscription Services"
    seller_address: Annotated[str, Says("Address of the seller on invoices; lines are separated by ' / '.")] = ""
    tax_name: Annotated[str, Says("What the tax is called on invoices.")] = "VAT"
    tax_rate: Annotated[
        int, Says("Tax in hundredths of a percent, added to prices: 1900 is 19 %. 0 prints 'tax not charged'.")
    ] = 0
    retry_days: Annotated[
        str, Says("Days after each failed renewal charge until the next try; after the last the subscription ends.")
    ] = "3,5,7"
    checkout_hours: Annotated[int, Says("Hours until a checkout that nobody paid is given up.")] = 24

    def __post_init__(self) -> None:
        if not 0 <= self.tax_rate <= 10_000:
            raise ValueError("the tax rate is 0 to 10000 hundredths of a percent")
        if not 1 <= self.timeout <= 30:
            raise ValueError("the processor's timeout is 1 to 30 seconds")
        if not 1 <= self.checkout_hours <= 720:
            raise ValueError("a checkout stays open for 1 to 720 hours")
        if any(not 1 <= days <= 60 for days in _days(self.retry_days)):
            raise ValueError("a retry comes after 1 to 60 days")

    @property
    def sandbox(self) -> bool:
        """Whether the processor is a stand-in."""
        return bool(self.processor_url)

    @property
    def terms(self) -> Terms:
        address = "\n".join(part.strip() for part in self.seller_address.split(" / ") if part.strip())
        return Terms(
            self.seller, address, self.tax_name, self.tax_rate, _days(self.retry_days), self.checkout_hours
        )  # fmt: skip


def frame_origins(settings: BillingSettings) -> tuple[str, ...]:
    """Origins that payment pages may frame and reach (edge.headers)."""
    if settings.sandbox:
        return (settings.frame_origin,)
    return (settings.frame_origin, "https://api.stripe.com", "https://hooks.stripe.com")


SETTINGS = Slice("billing", BillingSettings)


def check_settings(settings: BillingSettings, *, sandbox: bool) -> None:
    """Raises SettingsError, at start-up, where money could go astray."""
    for name in ("secret_key", "publishable_key", "webhook_secret"):
        if not getattr(settings, name):
            raise SettingsError(f"SUBS_BILLING_{name.upper()} is empty. Without it no payment can be made or trusted.")
    host = urlsplit(settings.processor_url).hostname or ""
    if settings.sandbox and not (host in LOOPBACK or host.endswith(".localhost")):
        raise SettingsError("SUBS_BILLING_PROCESSOR_URL leads away from this machine. Leave it empty for Stripe.")
    if settings.sandbox and not sandbox:
        raise SettingsError("SUBS_BILLING_PROCESSOR_URL is for a sandbox; set SUBS_SANDBOX=true or leave it empty.")
    if sandbox and settings.secret_key.startswith(("sk_live_", "rk_live_")):
        raise SettingsError("SUBS_BILLING_SECRET_KEY is a live key, and this is a sandbox. Use a test key.")


def _days(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(",") if part.strip())

"""Billing and payment.

Invoices, tax, refunds and the schedule of failed charges are ours; the processor only moves money. Card numbers go
from the browser to the processor and never reach this service: what we keep of a card is its brand, its last four
digits, its expiry and the processor's token, sealed. Every call to the processor carries a key of ours, so that
repeating it after a lost answer charges nobody twice.
"""

from .card_numbers import contains_card_number
from .checks import checks
from .errors import CardNumberRefused
from .jobs import SCHEDULES, apply_terms
from .letters import LETTERS
from .operations import ALL as OPERATIONS
from .queries import details_of
from .routes import routes
from .settings import SETTINGS, BillingSettings, check_settings, frame_origins
from .wiring import kinds

__all__ = [
    "LETTERS", "OPERATIONS", "SCHEDULES", "SETTINGS", "BillingSettings", "CardNumberRefused", "apply_terms",
    "check_settings", "checks", "contains_card_number", "details_of", "frame_origins", "kinds", "routes",
]  # fmt: skip

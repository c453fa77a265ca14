"""Subscription records.

Plans and prices, and each subscription with its status, periods and history. Periods follow the calendar from the
day a subscription began. Billing moves money and tells this room what was paid; this room knows nothing of billing.
"""

from subscription_services.kernel.operations import operations_of as _operations_of

from . import operations as _operations
from .checks import checks
from .jobs import SCHEDULES, kinds
from .lifecycle import activate, advance, end, first_charge, mark_past_due, open_subscription
from .model import Interval, Plan, Status, Subscription
from .operations import seed_catalogue
from .pages import routes
from .queries import due_for_renewal, find, find_plan, of_account
from .requests import SeedCatalogue

OPERATIONS = _operations_of(_operations)

__all__ = [
    "OPERATIONS", "SCHEDULES", "Interval", "Plan", "SeedCatalogue", "Status", "Subscription", "activate", "advance",
    "checks", "due_for_renewal", "end", "find", "find_plan", "first_charge", "kinds", "mark_past_due", "of_account",
    "open_subscription", "routes", "seed_catalogue",
]  # fmt: skip

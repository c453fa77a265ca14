"""The plans that an empty sandbox installation starts with."""

from __future__ import annotations

from .model import Interval
from .requests import CreatePlan

STARTER = (
    CreatePlan(
        name="Light", description="For one person.", amount=900, currency="EUR", interval=Interval.MONTH,
        features=("One seat", "Answers by e-mail within two days"),
    ),
    CreatePlan(
        name="Standard", description="For small teams.", amount=1990, currency="EUR", interval=Interval.MONTH,
        features=("Ten seats", "Answers by e-mail within a day", "Reports"),
    ),
    CreatePlan(
        name="Large", description="For whole organisations.", amount=9900, currency="EUR", interval=Interval.MONTH,
        features=("Any number of seats", "A person to call", "Reports and exports"), trial_days=14,
    ),
)  # fmt: skip

"""Money is an integer count of minor units with its ISO 4217 currency."""

from __future__ import annotations

from typing import Annotated

import msgspec

Currency = Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]


class Money(msgspec.Struct, frozen=True, order=False):
    """`amount` in minor units (cents); negative for credit."""

    amount: int
    currency: Currency

    def __add__(self, other: Money) -> Money:
        return Money(self.amount + _same(self, other).amount, self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.amount - _same(self, other).amount, self.currency)


def _same(left: Money, right: Money) -> Money:
    if left.currency != right.currency:
        raise ValueError(f"cannot add {right.currency} to {left.currency}")
    return right

"""What the operations of this room are asked, with the bounds of every value."""

from __future__ import annotations

from typing import Annotated

import msgspec

from subscription_services.kernel.money import Currency

from .model import HistoryEntry, Interval, Plan, Subscription

PlanId = Annotated[str, msgspec.Meta(pattern="^pln_[0-9a-f]{32}$")]
SubscriptionId = Annotated[str, msgspec.Meta(pattern="^sub_[0-9a-f]{32}$")]
AccountId = Annotated[str, msgspec.Meta(pattern="^[a-z]{2,8}_[0-9a-f]{32}$")]
Line = Annotated[str, msgspec.Meta(min_length=1, max_length=120, pattern="^[^\\r\\n]+$")]


class ListPlans(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to say."""


class SeedCatalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to say."""


class CreatePlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`amount` is in minor units (cents)."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    description: Annotated[str, msgspec.Meta(max_length=300)]
    amount: Annotated[int, msgspec.Meta(ge=0, le=99_999_999)]
    currency: Currency
    interval: Interval
    trial_days: Annotated[int, msgspec.Meta(ge=0, le=365)] = 0
    features: Annotated[tuple[Line, ...], msgspec.Meta(max_length=12)] = ()


class RetirePlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: PlanId


class Subscribe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    plan: PlanId


class OneSubscription(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: SubscriptionId


class ListOwn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to say."""


class OfPerson(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    account: AccountId


class Plans(msgspec.Struct, frozen=True):
    plans: tuple[Plan, ...]


class Subscriptions(msgspec.Struct, frozen=True):
    subscriptions: tuple[Subscription, ...]


class History(msgspec.Struct, frozen=True):
    entries: tuple[HistoryEntry, ...]

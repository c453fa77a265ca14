"""A subscription's state and what happens next, in a sentence for its owner."""

from __future__ import annotations

from subscription_services.kernel.words import words
from subscription_services.web.words import amount, day

from .model import Status, Subscription


def state_of(subscription: Subscription) -> str:
    """The name of the state as `ui.status` knows it."""
    if subscription.running and subscription.ends_at is not None:
        return "ending"
    return "pending" if subscription.status is Status.INCOMPLETE else subscription.status.value


def what_happens_next(subscription: Subscription) -> str:
    """One sentence: the next charge, or the end, or what is to be done."""
    price, end = amount(subscription.price), day(subscription.period_end)
    if subscription.status is Status.INCOMPLETE:
        return words("It starts as soon as the first payment is made.")
    if subscription.status is Status.ENDED:
        ended = day(subscription.ended_at or subscription.period_end)
        return words("It ended on %(day)s. Nothing more is charged.", day=ended)
    if subscription.ends_at is not None:
        return words("Cancelled: it runs until %(day)s. Nothing more is charged.", day=day(subscription.ends_at))
    if subscription.status is Status.PAST_DUE:
        return words("A payment of %(price)s did not succeed. Pay now so that your subscription goes on.", price=price)
    if subscription.price.amount == 0:
        return words("It goes on by itself on %(day)s, free of charge.", day=end)
    if subscription.status is Status.TRIALING:
        return words("Free until %(day)s. Then %(price)s is charged, unless you cancel before.", day=end, price=price)
    return words("%(price)s is charged on %(day)s, unless you cancel before.", price=price, day=end)

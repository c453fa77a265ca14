"""A subscription's state and what happens next, in a sentence for its owner."""

from __future__ import annotations

from subscription_services.web.words import date_text, money_text

from .model import Status, Subscription


def state_of(subscription: Subscription) -> str:
    """The name of the state as `ui.status` knows it."""
    if subscription.running and subscription.ends_at is not None:
        return "ending"
    return "pending" if subscription.status is Status.INCOMPLETE else subscription.status.value


def what_happens_next(subscription: Subscription) -> str:
    """One sentence: the next charge, or the end, or what is to be done."""
    price = money_text(subscription.price)
    day = date_text(subscription.period_end)
    if subscription.status is Status.INCOMPLETE:
        return "It starts as soon as the first payment is made."
    if subscription.status is Status.ENDED:
        return f"It ended on {date_text(subscription.ended_at or subscription.period_end)}. Nothing more is charged."
    if subscription.ends_at is not None:
        return f"Cancelled: it runs until {date_text(subscription.ends_at)}. Nothing more is charged."
    if subscription.status is Status.PAST_DUE:
        return f"A payment of {price} did not succeed. Pay now so that your subscription goes on."
    if subscription.price.amount == 0:
        return f"It goes on by itself on {day}, free of charge."
    if subscription.status is Status.TRIALING:
        return f"Free until {day}. Then {price} is charged, unless you cancel before."
    return f"{price} is charged on {day}, unless you cancel before."

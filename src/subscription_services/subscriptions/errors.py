"""What can be wrong with a subscription, in words for people."""

from __future__ import annotations

from subscription_services.kernel.errors import Conflict, NotFound


class PlanNotFound(NotFound):
    code = "plan-not-found"
    message = "This plan is not offered. Choose one of the plans that are."


class PlanExists(Conflict):
    code = "plan-exists"
    message = "A plan of this name is offered already. Retire it first or choose another name."


class AlreadySubscribed(Conflict):
    code = "already-subscribed"
    message = "You have this plan already. You find it under Subscriptions."


class AlreadyEnded(Conflict):
    code = "already-ended"
    message = "This subscription has ended. You can subscribe again at any time."


class AlreadyCancelled(Conflict):
    code = "already-cancelled"
    message = "This subscription is cancelled already and ends with the period that is paid for."


class NotCancelled(Conflict):
    code = "not-cancelled"
    message = "This subscription is not cancelled; it goes on by itself."


class NotStarted(Conflict):
    code = "not-started"
    message = "This subscription was never paid for, so there is nothing to cancel. It goes away by itself."

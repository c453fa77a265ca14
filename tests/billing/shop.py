"""A house with the real processor process beside it, and people whose sessions begin whenever a test needs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import stripe

from subscription_services.billing import requests as asks
from subscription_services.billing.jobs import Till
from subscription_services.billing.model import Invoice, Payment
from subscription_services.billing.work import RenewDue
from subscription_services.identity import model as identity_model
from subscription_services.identity.tokens import digest
from subscription_services.kernel.actors import Role, Subscriber, System, TeamMember
from subscription_services.kernel.ids import Ids
from subscription_services.kernel.ports import Writer
from subscription_services.kernel.transaction import BoundOutbox, Transaction
from subscription_services.storage import insert_row
from subscription_services.subscriptions import Plan, Subscription
from subscription_services.subscriptions import requests as sub_asks
from subscription_services.testing import World
from subscription_services.testing.people import AGES
from tests.sandbox.processes import EMBEDDER, SECRET, Processor

JOBS = System("billing.jobs")
WEBHOOK_SECRET = "whsec_forTests"


def settings_for(processor: Processor) -> dict[str, Any]:
    """What points a house at the processor."""
    return {
        "SUBS_BILLING_PROCESSOR_URL": processor.url,
        "SUBS_BILLING_FRAME_ORIGIN": processor.url,
        "SUBS_BILLING_SECRET_KEY": SECRET,
        "SUBS_BILLING_PUBLISHABLE_KEY": "pk_test_sandbox",
        "SUBS_BILLING_WEBHOOK_SECRET": WEBHOOK_SECRET,
    }


@dataclass(slots=True)
class Shop:
    """Steps that many tests share, each through the real operations."""

    world: World
    processor: Processor
    till: Till

    def person(self, email: str = "ada@example.org", name: str = "Ada Łukasiewicz") -> Subscriber:
        """An account with a session."""
        identifier = self._ids().new("acc")
        values = {
            "id": identifier, "kind": "subscriber", "state": "active", "email": email,
            "email_index": identifier.encode(), "name": name, "probe": False, "created_at": self.world.clock(),
            "verified_at": self.world.clock(),
        }  # fmt: skip
        self._insert(identity_model.account, identifier, values)
        return self.signed_in(identifier)

    def signed_in(self, account: str) -> Subscriber:
        """A fresh session of an account; earlier ones end as the clock moves."""
        session = self._ids().new("ses")
        now = self.world.clock()
        values = {
            "id": session, "account": account, "digest": digest(session), "user_agent": "tests",
            "address": "127.0.0.1", "second_factor": True, "created_at": now, "signed_in_at": now,
            "last_used_at": now, "idle_until": now.replace(year=now.year + 1),
            "ends_at": now.replace(year=now.year + 1),
        }  # fmt: skip
        self._insert(identity_model.session, account, values)
        held = {"session": session, "held": "program", "network": b"", "handle": session[:43]}
        self._insert(identity_model.binding, account, held)
        return Subscriber(account, session, now, True)

    def member(self, *roles: Role) -> TeamMember:
        """A member of the team with a session and roles."""
        from subscription_services.access import model as access_model

        identifier, now = self._ids().new("acc"), self.world.clock()
        values = {
            "id": identifier, "kind": "team", "state": "active", "email": f"{identifier}@example.org",
            "email_index": identifier.encode(), "name": "Tea Member", "probe": False, "created_at": now,
        }  # fmt: skip
        self._insert(identity_model.account, identifier, values)
        for role in roles:
            grant = {
                "id": self._ids().new("grt"), "account": identifier, "role": role, "granted_by": "system:test",
                "granted_at": now, "reason": "tests", "standing": True, "ends_at": now + AGES,
            }  # fmt: skip
            self._insert(access_model.grant, identifier, grant)
        session = self.signed_in(identifier)
        return TeamMember(identifier, session.session, now, frozenset(roles), True)

    def plan(self, name: str = "Light") -> Plan:
        """One of the starter plans."""
        found = self.world.do("subscriptions.plans", System("test"), sub_asks.ListPlans()).plans
        if not found:
            found = self.world.do("subscriptions.seed_catalogue", System("test"), sub_asks.SeedCatalogue()).plans
        chosen: Plan = next(item for item in found if item.name == name)
        return chosen

    def checkout(self, who: Subscriber, plan: str = "Light") -> asks.Started:
        """Start a checkout and let the processor know of it."""
        started: asks.Started = self.world.do("billing.start_checkout", who, asks.StartCheckout(self.plan(plan).id))
        self.world.run_jobs(3)
        return started

    def subscribed(self, who: Subscriber, plan: str = "Light", card: str = "pm_card_visa") -> asks.Started:
        """A paid, active subscription."""
        started = self.checkout(who, plan)
        assert started.payment is not None
        self.customer_pays(started.payment, card)
        self.look(started.payment)
        assert self.payment(started.payment).state == "paid"
        return started

    def customer_pays(self, payment: str, card: str = "pm_card_visa") -> None:
        """What happens in the processor's own frame; a declined card is not an error of ours."""
        intent = self.payment(payment).intent
        assert intent is not None
        try:
            self.processor.sdk.v1.payment_intents.confirm(intent, {"payment_method": card})
        except stripe.CardError:
            return

    def look(self, payment: str) -> None:
        """Ask the processor, as the page does when the customer comes back."""
        self.world.run(self.till.look(self.world.house.kernel, payment))

    def renew(self) -> None:
        """What the schedule does."""
        self.world.run(self.till.renew(self.world.house.kernel, RenewDue()))
        self.world.run_jobs(4)

    def payment(self, identifier: str) -> Payment:
        found: asks.PaymentFacts = self.world.do("billing.payment_facts", JOBS, asks.OnePayment(identifier))
        return found.payment

    def subscription(self, who: Subscriber, identifier: str) -> Subscription:
        found: Subscription = self.world.do(
            "subscriptions.show", self.signed_in(who.id), sub_asks.OneSubscription(identifier)
        )
        return found

    def invoices(self, who: Subscriber) -> tuple[Invoice, ...]:
        found: asks.Invoices = self.world.do("billing.invoices", self.signed_in(who.id), asks.Nothing())
        return found.invoices

    def charges(self, payment: str) -> list[Any]:
        """Successful charges at the processor for one payment: never more than one."""
        intent = self.payment(payment).intent
        found = self.processor.sdk.v1.charges.list({"payment_intent": intent}).data if intent else []
        return [charge for charge in found if charge.paid]

    def _ids(self) -> Ids:
        kernel = self.world.house.kernel
        return Ids(kernel.clock, kernel.random)

    def _insert(self, table: Any, subject: str, values: dict[str, Any]) -> None:
        house = self.world.house
        keys = house.kernel.keys.for_caller("identity")
        keys.ensure_subject(subject)

        def work(connection: Any) -> None:
            outbox = BoundOutbox(connection, house.kernel.outbox, house.kernel.clock())
            insert_row(Transaction(connection, keys, outbox), table, values)

        self.world.run(house.store.write(Writer.MIGRATIONS, work))


__all__ = ["EMBEDDER", "JOBS", "SECRET", "WEBHOOK_SECRET", "Shop", "settings_for"]

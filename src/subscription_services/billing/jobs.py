"""What is done at the processor: after the commit, in a thread, at least once, each call with a key of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

import msgspec
import structlog

from subscription_services.jobs import JobKind, Schedule
from subscription_services.kernel.actors import System
from subscription_services.kernel.errors import DomainError, SubjectErased
from subscription_services.kernel.operations import Operation
from subscription_services.kernel.perform import Kernel, perform
from subscription_services.subscriptions import due_for_renewal

from .errors import ProcessorRefused
from .model import PaymentState, RefundState, Terms
from .operations.methods import method_facts
from .operations.payments import close_payment, open_period, payment_facts, record_intent, set_terms, settle_payment
from .operations.refunds import record_refund, refund_facts
from .ports import Intent, IntentStatus, Processor
from .queries import terms_of, undecided_payments, waiting_refunds
from .requests import (
    CardFacts,
    OneMethod,
    OnePayment,
    OneRefund,
    OneSubscription,
    PaymentFacts,
    RecordIntent,
    RecordRefund,
    RefundFacts,
    SetTerms,
    SettlePayment,
)
from .work import (
    ApplyTerms,
    CancelPayment,
    ChargeSaved,
    DetachMethod,
    ReadPayment,
    Reconcile,
    RenewDue,
    SendRefund,
    StartPayment,
)

T = TypeVar("T")
log = structlog.get_logger("billing")
NO_CARD = "no_saved_card"
FINAL = (PaymentState.PAID, PaymentState.CANCELLED)


class Till:
    """The handlers of this room's jobs, bound to one processor."""

    def __init__(self, processor: Processor) -> None:
        self._processor = processor

    async def start(self, kernel: Kernel, job: StartPayment) -> None:
        facts = await self._facts(kernel, job.payment)
        if facts.payment.state is not PaymentState.WAITING:
            return
        try:
            await self._tell(kernel, facts)
        except SubjectErased:  # whoever was to pay is gone
            await self.cancel(kernel, CancelPayment(job.payment))

    async def charge(self, kernel: Kernel, job: ChargeSaved) -> None:
        facts = await self._facts(kernel, job.payment)
        paying = facts.payment
        if paying.state in FINAL or paying.attempt >= job.attempt:
            return
        try:
            intent = await self._tell(kernel, facts)
        except SubjectErased:
            await self.cancel(kernel, CancelPayment(job.payment))
            return
        if not facts.token:
            intent = replace(intent, failure=NO_CARD)
        else:
            key = f"{paying.id}-charge-{job.attempt}"
            intent = await _thread(lambda: self._processor.charge_saved(intent.id, facts.token, key))
        await _settle(kernel, paying.id, intent, job.attempt)

    async def read(self, kernel: Kernel, job: ReadPayment) -> None:
        await self.look(kernel, job.payment)

    async def look(self, kernel: Kernel, payment: str) -> None:
        """Ask the processor how a payment stands; raises ProcessorUnavailable."""
        facts = await self._facts(kernel, payment)
        if facts.payment.state is PaymentState.PAID:
            return
        if facts.payment.intent is None:
            if facts.payment.state is PaymentState.WAITING and not facts.payment.off_session:
                await self._tell(kernel, facts)
            return
        intent = await self._retrieve(facts.payment.intent)
        if _news(facts, intent):
            await _settle(kernel, payment, intent, 0)

    async def cancel(self, kernel: Kernel, job: CancelPayment) -> None:
        facts = await self._facts(kernel, job.payment)
        paying = facts.payment
        if paying.state in FINAL:
            return
        if paying.intent is None:
            await _do(kernel, close_payment, OnePayment(paying.id))
            return
        name = paying.intent
        intent = await _thread(lambda: self._processor.cancel_intent(name, f"{paying.id}-cancel"))
        if intent.status not in (IntentStatus.CANCELED, IntentStatus.SUCCEEDED):
            raise ProcessorRefused(intent.status)
        await _settle(kernel, paying.id, intent, 0)

    async def refund(self, kernel: Kernel, job: SendRefund) -> None:
        facts: RefundFacts = await _do(kernel, refund_facts, OneRefund(job.refund))
        made = facts.refund
        if made.state is not RefundState.WAITING:
            return
        try:
            name = await _thread(
                lambda: self._processor.refund(facts.intent, made.amount, made.reason, made.id, made.id)
            )
        except ProcessorRefused as error:
            await _do(kernel, record_refund, RecordRefund(made.id, failure=error.reason))
            return
        await _do(kernel, record_refund, RecordRefund(made.id, processor_id=name))

    async def detach(self, kernel: Kernel, job: DetachMethod) -> None:
        facts = await _do(kernel, method_facts, OneMethod(job.method))
        try:
            await _thread(lambda: self._processor.detach(facts.token, f"{job.method}-detach"))
        except ProcessorRefused:
            return  # it is not attached any more, which is what we want

    async def renew(self, kernel: Kernel, job: RenewDue) -> None:
        now = kernel.clock()
        for identifier in await kernel.store.read(lambda connection: due_for_renewal(connection, now)):
            await _alone(identifier, _do(kernel, open_period, OneSubscription(identifier)))

    async def reconcile(self, kernel: Kernel, job: Reconcile) -> None:
        now = kernel.clock()
        before, after = now - timedelta(minutes=3), now - timedelta(days=40)
        for payment in await kernel.store.read(lambda c: undecided_payments(c, before, after)):
            await _alone(payment, self.look(kernel, payment))
        for refund in await kernel.store.read(lambda c: waiting_refunds(c, before)):
            await _alone(refund, self.refund(kernel, SendRefund(refund)))

    async def _tell(self, kernel: Kernel, facts: PaymentFacts) -> Intent:
        """The intent of the payment; the processor and then our record learn of it where they had not."""
        paying = facts.payment
        if paying.intent is not None:
            return await self._retrieve(paying.intent)
        customer = facts.customer or await _thread(
            lambda: self._processor.create_customer(paying.account, f"{paying.account}-customer")
        )
        intent = await _thread(
            lambda: self._processor.create_intent(paying.id, paying.amount, customer, f"{paying.id}-intent")
        )
        record = RecordIntent(paying.id, customer, intent.id, intent.client_secret)
        await _do(kernel, record_intent, record)
        return intent

    async def _retrieve(self, intent: str) -> Intent:
        return await _thread(lambda: self._processor.retrieve_intent(intent))

    async def _facts(self, kernel: Kernel, payment: str) -> PaymentFacts:
        found: PaymentFacts = await _do(kernel, payment_facts, OnePayment(payment))
        return found


def job_kinds(processor: Processor, terms: Terms) -> list[JobKind]:
    """The kinds of jobs of this room."""
    till, often, pause = Till(processor), 2000, timedelta(minutes=10)

    async def apply(kernel: Kernel, job: ApplyTerms) -> None:
        await apply_terms(kernel, terms)

    # a processor that is down for days loses nothing: these go on, with pauses of ten minutes at most
    persistent: dict[str, Any] = {"attempts": often, "longest_pause": pause}
    return [
        JobKind("billing.start_payment", StartPayment, till.start, **persistent),
        JobKind("billing.charge_saved", ChargeSaved, till.charge, **persistent),
        JobKind("billing.read_payment", ReadPayment, till.read, **persistent),
        JobKind("billing.cancel_payment", CancelPayment, till.cancel, **persistent),
        JobKind("billing.send_refund", SendRefund, till.refund, **persistent),
        JobKind("billing.detach_method", DetachMethod, till.detach, **persistent),
        JobKind("billing.renew_due", RenewDue, till.renew, attempts=3),
        JobKind("billing.apply_terms", ApplyTerms, apply, attempts=3),
        JobKind("billing.reconcile", Reconcile, till.reconcile, attempts=2),
    ]


async def apply_terms(kernel: Kernel, terms: Terms) -> None:
    """Put the settings' terms in force for all processes; nothing happens when they are."""
    if await kernel.store.read(terms_of) != terms:
        await perform(kernel, set_terms, System("billing.settings"), SetTerms(terms))


SCHEDULES = (
    Schedule("billing.apply_terms", timedelta(minutes=5), lambda now: ApplyTerms()),
    Schedule("billing.renew_due", timedelta(minutes=5), lambda now: RenewDue()),
    Schedule("billing.reconcile", timedelta(minutes=5), lambda now: Reconcile()),
)


def _news(facts: PaymentFacts, intent: Intent) -> bool:
    paying = facts.payment
    if intent.status in (IntentStatus.SUCCEEDED, IntentStatus.CANCELED):
        return paying.state is not PaymentState.CANCELLED or intent.status is IntentStatus.SUCCEEDED
    processing = intent.status is IntentStatus.PROCESSING
    return (intent.failure or paying.failure) != paying.failure or processing != (
        paying.state is PaymentState.PROCESSING
    )


async def _settle(kernel: Kernel, payment: str, intent: Intent, attempt: int) -> None:
    card = intent.card
    facts = None if card is None else CardFacts(card.token, card.brand, card.last4, card.expires)
    request = SettlePayment(payment, intent.id, intent.status, intent.received, intent.failure[:120], facts, attempt)
    await _do(kernel, settle_payment, request)


async def _alone(identifier: str, step: Awaitable[object]) -> None:
    """One of many: its failure is recorded and keeps nobody else waiting; the next round tries again."""
    try:
        await step
    except DomainError as error:
        log.warning("billing.round", object=identifier, error=error.code)


async def _do(kernel: Kernel, operation: Operation, request: msgspec.Struct) -> Any:
    return await perform(kernel, operation, System("billing.jobs"), request)


async def _thread(call: Callable[[], T]) -> T:
    return await asyncio.to_thread(call)

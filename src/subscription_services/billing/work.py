"""Payloads of this room's jobs: ids only."""

from __future__ import annotations

import msgspec


class StartPayment(msgspec.Struct, frozen=True):
    """Tell the processor of a payment, so that it can be paid."""

    payment: str


class ChargeSaved(msgspec.Struct, frozen=True):
    """Charge the default card while the customer is away; `attempt` from 1."""

    payment: str
    attempt: int


class ReadPayment(msgspec.Struct, frozen=True):
    """Ask the processor how a payment stands and settle it accordingly."""

    payment: str


class CancelPayment(msgspec.Struct, frozen=True):
    """Take a payment back at the processor, then close its invoice; if it was paid meanwhile, settle it."""

    payment: str


class SendRefund(msgspec.Struct, frozen=True):
    """Tell the processor to give money back."""

    refund: str


class DetachMethod(msgspec.Struct, frozen=True):
    """Remove a card at the processor."""

    method: str


class RenewDue(msgspec.Struct, frozen=True):
    """Bill the next period of every subscription whose running one is over."""


class Reconcile(msgspec.Struct, frozen=True):
    """Ask the processor about everything that has been undecided for some minutes."""


class ApplyTerms(msgspec.Struct, frozen=True):
    """Put the terms of the settings in force when they changed."""

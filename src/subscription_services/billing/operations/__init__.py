"""Every change of invoices, payments, cards and refunds, and every look at somebody's."""

from subscription_services.kernel.operations import operations_of

from . import checkout, events, invoices, methods, payments, refunds

ALL = tuple(
    item for module in (checkout, payments, invoices, methods, refunds, events) for item in operations_of(module)
)

__all__ = ["ALL", "checkout", "events", "invoices", "methods", "payments", "refunds"]

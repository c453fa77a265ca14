"""The page itself: what the security page says is so now, and nobody has to take our word for it."""

from subscription_services.kernel.operations import operations_of

from . import operations
from .checks import checks
from .jobs import RunCheck, declare, kinds, run_check, schedules
from .pages import routes
from .policy import PromiseState
from .promises import PROMISES, SECTIONS, Promise, Section
from .register import Register, make_register

OPERATIONS = operations_of(operations)

__all__ = [
    "OPERATIONS",
    "PROMISES",
    "SECTIONS",
    "Promise",
    "PromiseState",
    "Register",
    "RunCheck",
    "Section",
    "checks",
    "declare",
    "kinds",
    "make_register",
    "routes",
    "run_check",
    "schedules",
]

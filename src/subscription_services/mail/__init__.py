"""Email security: letters go out over the best encryption that the receiver offers, and each is accounted for."""

from subscription_services.kernel.operations import operations_of

from . import operations
from .jobs import kinds
from .letters import Letter, LetterKind, SendLetter, SiteFacts, letter_texts, template
from .pages import routes
from .settings import SETTINGS, MailSettings

OPERATIONS = operations_of(operations)

__all__ = [
    "OPERATIONS",
    "SETTINGS",
    "Letter",
    "LetterKind",
    "MailSettings",
    "SendLetter",
    "SiteFacts",
    "kinds",
    "letter_texts",
    "routes",
    "template",
]

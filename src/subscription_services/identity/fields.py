"""Types of fields that several requests share."""

from __future__ import annotations

from typing import Annotated

from email_validator import EmailNotValidError, validate_email
from msgspec import Meta

from subscription_services.kernel.words import words

from .errors import BadAddress

# no spaces, so that nobody gets a counter of their own for each way of writing one address
Email = Annotated[str, Meta(min_length=3, max_length=254, pattern=r"^[^\s@]+@[^\s@]+$")]
Name = Annotated[str, Meta(min_length=1, max_length=120)]
FactorName = Annotated[str, Meta(min_length=1, max_length=60)]
Secret = Annotated[str, Meta(min_length=1, max_length=1024)]
Token = Annotated[str, Meta(min_length=20, max_length=100)]
Code = Annotated[str, Meta(min_length=6, max_length=40)]
Earlier = Annotated[str, Meta(max_length=100)]
Device = Annotated[str, Meta(max_length=200)]
Id = Annotated[str, Meta(min_length=1, max_length=48)]


def clean_email(typed: str) -> str:
    """The address in its normal form. Raises BadAddress, beside the field."""
    try:
        found = validate_email(typed, check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        why = words("That does not look like an e-mail address: %(problem)s", problem=str(error))
        raise BadAddress(fields={"email": why}) from error
    return str(found.normalized)


def clean_name(typed: str) -> str:
    """One line without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in typed).split())

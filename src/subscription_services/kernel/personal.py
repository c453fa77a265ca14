"""Personal data in answers: how a field says what it holds, and what is left of it once it is masked. Pure.

    class AccountFacts(msgspec.Struct, frozen=True):
        id: str
        email: Email
        name: PersonName

A masked value keeps what recognises it beside others, and says nothing of its length. Who sees which kind unmasked is
in `sight`, that answers are masked in `masking`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from typing import Annotated

HIDDEN = "…"
_EMAIL = re.compile(r"[^\s@<>\"'(),;:]+@[^\s@<>\"'(),;:]+")
_LOOKS = re.compile(
    r"(^|_)(e?mails?|names?|surname|address(es)?|phones?|tel|line[12]|street|city|town|postal|postcode|zip|birth(day|date)?"
    r"|vat_id|tax_id|iban|buyer|recipient|contact|last4|expires|brand|ip|reason|title|note|comment|details)$"
)


class FieldKind(StrEnum):
    """What a field tells of a person. A colleague's are apart: who works in a team knows its people by their names."""

    NAME = "name"
    EMAIL = "e-mail"
    ADDRESS = "billing address"
    CARD = "card"
    ORIGIN = "network address"
    TEXT = "free text"
    COLLEAGUE_NAME = "colleague's name"
    COLLEAGUE_EMAIL = "colleague's e-mail"


@dataclass(frozen=True, slots=True)
class Personal:
    """Annotation: the field holds this. `of` is the field beside it that holds the person's id; without it the person
    is whom the whole operation is about."""

    kind: FieldKind
    of: str = ""


@dataclass(frozen=True, slots=True)
class NotPersonal:
    """Annotation: the field looks personal, or comes from a sealed column, and is shown as it is; why that is right."""

    reason: str


Email = Annotated[str, Personal(FieldKind.EMAIL)]
PersonName = Annotated[str, Personal(FieldKind.NAME)]
BillingAddress = Annotated[str, Personal(FieldKind.ADDRESS)]
CardFact = Annotated[str, Personal(FieldKind.CARD)]
NetworkAddress = Annotated[str, Personal(FieldKind.ORIGIN)]
FreeText = Annotated[str, Personal(FieldKind.TEXT)]
ColleagueName = Annotated[str, Personal(FieldKind.COLLEAGUE_NAME)]
ColleagueEmail = Annotated[str, Personal(FieldKind.COLLEAGUE_EMAIL)]


def looks_personal(name: str) -> bool:
    """Whether a field of this name has to say what it holds. A test asks it of every operation."""
    return _LOOKS.search(name) is not None


def mask(kind: FieldKind, text: str) -> str:
    """What is left of a value: `a…@e….org`, `A. L.`, `A… L…` (first and last line), `192.0.…`; nothing of the rest."""
    if not text.strip():
        return ""
    match kind:
        case FieldKind.EMAIL | FieldKind.COLLEAGUE_EMAIL:
            return mask_email(text)
        case FieldKind.NAME | FieldKind.COLLEAGUE_NAME:
            return _initials(text)
        case FieldKind.ADDRESS:
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            return " ".join(f"{line[0]}{HIDDEN}" for line in dict.fromkeys((lines[0], lines[-1])))
        case FieldKind.ORIGIN:
            return mask_network(text)
        case _:
            return HIDDEN


def mask_email(text: str) -> str:
    """The first letters of both sides, and the end of the domain."""
    local, found, domain = text.strip().rpartition("@")
    if not (found and local and domain):
        return HIDDEN
    head, dot, end = domain.rpartition(".")
    return f"{local[0]}{HIDDEN}@{(head or end)[0]}{HIDDEN}{dot}{end if dot else ''}"


def mask_emails(text: str) -> str:
    """The text with every e-mail address in it masked."""
    return _EMAIL.sub(lambda found: mask_email(found.group()), text)


def mask_network(address: str) -> str:
    """Enough of an address to recognise its network, not the house: 192.0.…, 2001:0db8:…."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return "unknown"
    if parsed.version == 4:
        return ".".join(str(parsed).split(".")[:2]) + f".{HIDDEN}"
    return ":".join(parsed.exploded.split(":")[:2]) + f":{HIDDEN}"


def _initials(text: str) -> str:
    parts = text.split()
    shown = (parts[0], parts[-1]) if len(parts) > 1 else (parts[0],)
    return " ".join(f"{part[0]}." for part in shown)

"""Letters to those who hold a role that was made narrower here, or put back."""

from __future__ import annotations

from datetime import datetime

from subscription_services.kernel.transaction import ReadTransaction

from . import accounts, catalogue
from .letter_parts import Occasion, letter, moment


def _changed(tx: ReadTransaction, occasion: Occasion) -> dict[str, str]:
    values = occasion.values
    people = accounts.people(tx, [values["by"]])
    return {
        "who": people[0].name if people else values["by"], "role": values["role"],
        "since": moment(datetime.fromisoformat(values["since"])), "what": _lines(values["operations"].split()),
        "link": occasion.link("/team/powers"),
    }  # fmt: skip


def _lines(names: list[str]) -> str:
    found = [(name, catalogue.named(name)) for name in names]
    return "\n".join(f"- {item.summary} ({name})" if item else f"- {name}" for name, item in found)


LIMIT_LETTERS = (
    letter(
        "access.role_narrowed",
        "The role {role} can do less from now on",
        "{who} took this from the role {role}, which you hold, from {since} on:\n\n{what}\n\nIf your work needs "
        "it, answer them, or ask for a task. What you can do now, and why:\n\n{link}",
        _changed,
    ),
    letter(
        "access.role_widened",
        "The role {role} can do more again",
        "{who} gave this back to the role {role}, which you hold, and somebody else approved it:\n\n{what}\n\n"
        "What you can do now, and why:\n\n{link}",
        _changed,
    ),
)

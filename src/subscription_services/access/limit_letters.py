"""Letters to those who hold a role that was made narrower here, or put back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

from sqlalchemy import Connection

from subscription_services.kernel.perform import Kernel
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.mail import Letter, LetterKind, SiteFacts, template

from . import accounts, catalogue

Compose = Callable[[Kernel, SiteFacts, str, Mapping[str, str]], Awaitable[Letter | None]]
_HELLO = template("Hello {name},")


def _letter(subject: str, text: str) -> Compose:
    template(subject)
    template(text)

    async def compose(kernel: Kernel, site: SiteFacts, account: str, values: Mapping[str, str]) -> Letter | None:
        keys = kernel.keys.for_caller("access")

        def read(connection: Connection) -> dict[str, accounts.Account]:
            found = accounts.people(ReadTransaction(connection, keys), [account, values["by"]])
            return {item.id: item for item in found}

        people = await kernel.store.read(read)
        if account not in people or not people[account].open:
            return None
        who = people[values["by"]].name if values["by"] in people else values["by"]
        since = f"{datetime.fromisoformat(values['since']):%Y-%m-%d %H:%M} UTC"
        facts = {"who": who, "role": values["role"], "since": since, "what": _lines(values["operations"].split())}
        link = f"{site.public_url}/team/powers"
        body = f"{site.say(_HELLO, name=people[account].name)}\n\n{site.say(text, **facts, link=link)}"
        return Letter(people[account].email, site.say(subject, **facts), f"{body}\n\n{site.product}\n{site.contact}\n")

    return compose


def _lines(names: list[str]) -> str:
    found = [(name, catalogue.named(name)) for name in names]
    return "\n".join(f"- {item.summary} ({name})" if item else f"- {name}" for name, item in found)


LIMIT_LETTERS = (
    LetterKind(
        "access.role_narrowed",
        _letter(
            "The role {role} can do less from now on",
            "{who} took this from the role {role}, which you hold, from {since} on:\n\n{what}\n\nIf your work needs "
            "it, answer them, or ask for a task. What you can do now, and why:\n\n{link}",
        ),
    ),
    LetterKind(
        "access.role_widened",
        _letter(
            "The role {role} can do more again",
            "{who} gave this back to the role {role}, which you hold, and somebody else approved it:\n\n{what}\n\n"
            "What you can do now, and why:\n\n{link}",
        ),
    ),
)

"""What the first page of the console says: what waits for the reader, and what each page behind it is for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from subscription_services.kernel.words import Words, as_words, counted, table, words
from subscription_services.web.page import NavItem


class Waiting(msgspec.Struct, frozen=True):
    """Something that somebody waits for the reader with."""

    href: str
    text: Words


class Group(msgspec.Struct, frozen=True):
    """Pages that belong together, each with a sentence that says what it is for."""

    title: Words
    links: list[tuple[NavItem, Words | None]]


# by the page where it waits; what is not named here is called by its link
_WAITS: dict[str, Callable[[int], Words]] = {
    "/team/approvals": lambda number: counted(
        "%(num)s request waits for your approval", "%(num)s requests wait for your approval", number
    ),
    "/team/tasks": lambda number: counted(
        "%(num)s person asks for more access, for a task", "%(num)s people ask for more access, for a task", number
    ),
    "/team/reviews": lambda number: counted("%(num)s access review is open", "%(num)s access reviews are open", number),
    "/team/glass": lambda number: counted(
        "%(num)s broken glass waits for a review", "%(num)s broken glasses wait for a review", number
    ),
}
_GROUPS = (
    (words("Who may do what"), ("/team/people", "/team/service-accounts", "/team/reviews", "/team/unused",
                                "/team/operations", "/team/foresight")),
    (words("More, for a while"), ("/team/tasks", "/team/approvals", "/team/glass")),
    (words("Subscribers"), ("/team/find", "/team/recoveries")),
    (words("The service"), ("/team/log", "/team/deployments", "/team/keys", "/team/mail")),
)  # fmt: skip
_OTHERS = words("More pages")
_SAYS = table({
    "/team/people": "Who is on the team, what each of them may do and who decided that. Invite and deactivate people.",
    "/team/service-accounts": "Programs with access of their own: who answers for each, and what their tokens open.",
    "/team/reviews": "Whether each role and program is still needed: what it was used for, kept or revoked one by one.",
    "/team/unused": "What could be done and was not for a long time, with one button each to take it away.",
    "/team/operations": "Everything that can be done here, who can do it now, and why.",
    "/team/foresight": "What would have been refused, had a role been narrower: look before you take something away.",
    "/team/tasks": "Access beyond your role for one task, granted by somebody else until it is done.",
    "/team/approvals": "What takes two people: ask for it, or read exactly what somebody asks and decide.",
    "/team/glass": "For emergencies when nobody is there to ask: the sealed code, and the review afterwards.",
    "/team/find": "Look somebody up to help them. Each look is recorded.",
    "/team/recoveries": "People who lost the way into their account and wait for an answer.",
    "/team/log": "Everything that happened, who did it and when. Nothing in it can be changed.",
    "/team/deployments": "Releases that two people permitted to run, and the signed permit of each.",
    "/team/keys": "The keys that protect what is stored, and when each was changed last.",
    "/team/mail": "Letters on their way, and those that did not arrive.",
})  # fmt: skip


def waiting_for(links: Iterable[NavItem], waiting: Mapping[str, int]) -> list[Waiting]:
    """What waits for the reader behind links that they may open."""
    found = []
    for item in links:
        number = waiting.get(item.href, 0)
        if not number:
            continue
        say = _WAITS.get(item.href)
        plain = words("%(label)s: %(number)s", label=as_words(item.label), number=number)
        found.append(Waiting(item.href, say(number) if say else plain))
    return found


def groups_of(links: Iterable[NavItem]) -> list[Group]:
    """The reader's links by what they are about; those that no group names come last."""
    by_path = {item.href: item for item in links}
    found = []
    for title, paths in _GROUPS:
        mine = [by_path.pop(path) for path in paths if path in by_path]
        found.append(Group(title, [(item, _SAYS.get(item.href)) for item in mine]))
    found.append(Group(_OTHERS, [(item, None) for item in by_path.values()]))
    return [group for group in found if group.links]

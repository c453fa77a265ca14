"""The console's first page: what stands, and what this person may do."""

from __future__ import annotations

from datetime import timedelta

from starlette.responses import Response

from subscription_services.access.operations.log import SearchLog, audit_log
from subscription_services.access.operations.people import MyPermissions, People, Permissions, my_permissions, people
from subscription_services.access.operations.service_accounts import ListServiceAccounts, service_accounts
from subscription_services.access.policy import ROLE_SUMMARIES
from subscription_services.kernel.actors import TeamMember
from subscription_services.kernel.events import Outcome
from subscription_services.kernel.words import words
from subscription_services.web.call import Call

from .console import enter, short, team_navigation, waits
from .guide import groups_of, waiting_for

SOON = timedelta(days=14)
ALL_WITH = words("all with a second factor")


async def show_overview(call: Call) -> Response:
    """Counts of what this person may see, and links to it."""
    may = enter(call)
    mine: Permissions = await call.perform(my_permissions, MyPermissions())
    stats: list[tuple[str, str, str]] = []
    others, nobody = None, False
    if people.name in may:
        team = await call.perform(people, People())
        without = sum(not person.second_factor for person in team.people)
        factors = words("%(number)s without second factor", number=without) if without else ALL_WITH
        stats.append((words("On the team"), str(len(team.people)), factors))
        others, nobody = team.others, len(team.administrators) < 2
    if service_accounts.name in may:
        found = await call.perform(service_accounts, ListServiceAccounts())
        live = [token for account in found.accounts for token in account.tokens
                if token.revoked_at is None and token.expires_at > call.now]  # fmt: skip
        ending = sum(token.expires_at <= call.now + SOON for token in live)
        stats.append(
            (words("Tokens in force"), str(len(live)), words("%(number)s expire within two weeks", number=ending))
        )
    refusals = []
    if audit_log.name in may:
        since = call.now - timedelta(days=1)
        refused = SearchLog(outcome=Outcome.REFUSED, since=since, limit=100, without_live_checks=True)
        page = await call.perform(audit_log, refused)
        refusals = page.entries
        stats.append(
            (words("Refusals since yesterday"), f"{len(refusals)}{'+' if page.next else ''}", words("in the log"))
        )
    tasks = call.actor.tasks if isinstance(call.actor, TeamMember) else frozenset()
    links = [item for item in team_navigation(mine.roles, tasks) if item.href != "/team"]
    return call.render(
        "access/overview.html", stats=stats, groups=groups_of(links), mine=mine, lent=len(tasks),
        waiting=waiting_for(links, call.visitor.waiting), summaries=ROLE_SUMMARIES, refusals=refusals[:5], short=short,
        now=call.now, day=call.now - timedelta(days=1), others=others, nobody=nobody, waits=waits(),
    )  # fmt: skip

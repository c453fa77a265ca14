"""Live checks of this room's promises."""

from __future__ import annotations

import ssl
from datetime import timedelta

import httpx
import msgspec

from subscription_services.kernel.actors import Role
from subscription_services.kernel.checks import Check, Doors, Finding, Verdict
from subscription_services.kernel.operations import Operation, Registry

from .documents import NO, actors, decide
from .examples import example
from .grant_checks import grant_checks
from .program_checks import program_checks
from .review_checks import review_checks

_SECONDS = 10.0


def checks() -> list[Check]:
    """That nothing is open which does not say so and no role can do everything; grants, programs, leavers, reviews."""
    return [
        Check(
            "access.rbac",
            "A stranger knocks at every operation of the API that is not public, with a request that is otherwise "
            "right, and must be told to sign in each time; and the table of roles and operations is decided anew: no "
            "role may hold every operation.",
            _strangers_are_refused,
            timedelta(hours=1),
        ),
        *grant_checks(),
        *program_checks(),
        *review_checks(),
    ]


async def _strangers_are_refused(doors: Doors) -> Finding:
    context = ssl.create_default_context(cafile=doors.certificate)
    door = httpx.AsyncClient(
        base_url=doors.https_url, headers=doors.headers(), verify=context, trust_env=False, timeout=_SECONDS
    )
    async with door as client:
        return await knock_everywhere(client, doors.kernel.registry)


async def knock_everywhere(client: httpx.AsyncClient, registry: Registry) -> Finding:
    """What a stranger is answered, operation by operation; `client` has neither cookie nor token."""
    closed = [item for item in registry if not item.public and not item.internal]
    if wide := _roles_that_do_everything(registry):
        return Finding(Verdict.BROKEN, f"The role {wide[0]} can do everything.", {"roles": ", ".join(wide)})
    answers = {item.name: await _knock(client, item) for item in closed}
    evidence: dict[str, str | int] = {"operations": len(closed)}
    let_in = [name for name, status in answers.items() if status < 400]
    if let_in:
        return Finding(Verdict.BROKEN, f"A stranger was let into {let_in[0]}.", {**evidence, "open": _some(let_in)})
    unclear = [name for name, status in answers.items() if status != 401]
    if unclear or not closed:
        says = "Some operations answered a stranger without getting as far as asking who it is."
        return Finding(Verdict.COULD_NOT_CHECK, says, {**evidence, "unclear": _some(unclear)})
    return Finding(Verdict.KEPT, f"All {len(closed)} operations that are not public refused a stranger.", evidence)


def _some(names: list[str]) -> str:
    """The first few, since evidence is short, and how many more."""
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


async def _knock(client: httpx.AsyncClient, item: Operation) -> int:
    client.cookies.clear()  # a cookie from an answer before would make this a browser, with form tokens to send
    path, body = f"/api/{item.name}", example(item.request)
    if item.changes:
        answer = await client.post(
            path, content=msgspec.json.encode(body), headers={"Content-Type": "application/json"}
        )
    else:
        answer = await client.get(path, params=body)
    return answer.status_code


def _roles_that_do_everything(registry: Registry) -> list[str]:
    reachable = [item for item in registry if not item.internal]
    table = actors()
    return [role.value for role in Role if all(decide(item, *table[role.value]) != NO for item in reachable)]

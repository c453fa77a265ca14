"""The table role x operation over the real API: every cell, through edge, session and store.

Each operation is asked by each kind of actor with a request that is valid and about nothing that exists. What
permission refuses is told apart from what comes after it by the answer's code and words.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import httpx
import pytest
from sqlalchemy import update

from subscription_services import app, front
from subscription_services.access import catalogue
from subscription_services.access.documents import NO, decide
from subscription_services.access.operations.service_accounts import CreateServiceAccount, IssueToken
from subscription_services.access.programs import resolve_token
from subscription_services.identity.model import session
from subscription_services.identity.tokens import digest
from subscription_services.kernel.actors import Actor, Anonymous, Role, ServiceAccount, Standing
from subscription_services.kernel.errors import NotSignedIn, Refusal
from subscription_services.kernel.operations import Operation, Public
from subscription_services.testing import World

from .requests import any_request

OPEN = sorted((item for item in app.OPERATIONS if not item.internal), key=lambda item: item.name)
KINDS = ("anonymous", "subscriber", "no role", *(role.value for role in Role), "program", "program without scope")
# the one scope of a program that has no other
ELSEWHERE = "access.log_exports"
# anybody may; it is about the session whose cookie comes along, and says itself where there is none
OF_A_COOKIE = "identity.prove_key"
ALLOWED, REFUSED = "allowed", "refused"


@dataclass
class Caller:
    """Somebody signed in, from an address of their own, so that nobody else's calls count against theirs."""

    actor: Actor
    standing: Standing
    token: str
    address: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


@pytest.fixture
def engine() -> str:
    """Permission is decided in Python; that standing is read alike on both engines is tests/access/test_authority."""
    return "sqlite"


class Callers:
    """One of each kind; whoever's session a call ended comes back as somebody else of their kind."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.made = 0
        self.boss = world.team(Role.ADMINISTRATOR)
        self.now = {kind: self.make(kind) for kind in KINDS}

    def make(self, kind: str) -> Caller:
        self.made += 1
        token, address = f"token-{self.made:037d}", f"198.51.{self.made // 250}.{self.made % 250 + 1}"
        if kind == "anonymous":
            return Caller(Anonymous(), Standing(), "", address)
        if kind.startswith("program"):
            return self.program(kind, address)
        roles = frozenset(role for role in Role if role.value == kind)
        actor = self.world.subscriber() if kind == "subscriber" else self.world.team(*roles)
        held = update(session).where(session.c.id == actor.session).values(digest=digest(token))
        self.world.write(lambda connection: connection.execute(held))
        return Caller(actor, Standing(roles=roles, second_factor=True), token, address)

    def program(self, kind: str, address: str) -> Caller:
        wanted = CreateServiceAccount(f"Program {self.made}", self.boss.id)
        account = self.world.do("access.create_service_account", self.boss, wanted).id
        scopes = sorted(catalogue.scopes() - {ELSEWHERE}) if kind == "program" else [ELSEWHERE]
        text = self.world.do("access.issue_token", self.boss, IssueToken(account, scopes)).text
        with self.world.house.store.reading() as connection:
            actor = resolve_token(connection, text, self.world.clock)
        return Caller(actor, Standing(scopes=frozenset(scopes)), text, address)


def cell(item: Operation, caller: Caller) -> str:
    """What docs/roles.md says; a program only as far as its scopes go."""
    if isinstance(caller.actor, ServiceAccount) and item.name not in caller.standing.scopes:
        return ALLOWED if any(isinstance(rule, Public) for rule in item.by) else REFUSED
    return REFUSED if decide(item, caller.actor, caller.standing) == NO else ALLOWED


def answered(item: Operation, caller: Caller, got: httpx.Response) -> str:
    """Whether permission was passed. Whatever comes after it has a code or words of its own."""
    if got.status_code < 400 or item.name == OF_A_COOKIE:
        return ALLOWED
    problem = got.json()
    if got.status_code == 401 and problem["code"] == NotSignedIn.code and isinstance(caller.actor, Anonymous):
        return REFUSED
    assert problem["code"] != NotSignedIn.code, f"{caller.actor.kind} is signed in: {got.request.url} {got.text}"
    if got.status_code == 403 and (problem["code"], problem["detail"]) == (Refusal.code, Refusal.message):
        return REFUSED
    if got.status_code == 429 and item.public:  # anybody may, so often
        return ALLOWED
    assert got.status_code in (400, 401, 403, 404, 409, 410, 422), f"{got.status_code}: {got.text}"
    return ALLOWED


def test_each_cell_of_the_table_over_the_api(world: World) -> None:
    callers = Callers(world)
    application = front.application(world.house)
    counted: Counter[str] = Counter()
    wrong: list[str] = []

    async def ask(item: Operation, caller: Caller, number: int) -> httpx.Response:
        transport = httpx.ASGITransport(application, client=(caller.address, 4711))
        async with httpx.AsyncClient(transport=transport, base_url="https://localhost:8443") as client:
            path, asked = f"/api/{item.name}", any_request(item.request, number)
            if item.changes:
                return await client.post(path, json=asked, headers=caller.headers)
            return await client.get(path, params={k: v for k, v in asked.items() if v}, headers=caller.headers)

    for item in OPEN:
        for kind in KINDS:
            caller = callers.now[kind]
            got = world.run(ask(item, caller, sum(counted.values())))
            # who has to wait is told so before permission is asked for; a call before may have ended the session
            if got.status_code == 429 or (caller.token and got.status_code == 401):
                caller = callers.now[kind] = callers.make(kind)
                got = world.run(ask(item, caller, 10_000 + sum(counted.values())))
            expected, found = cell(item, caller), answered(item, caller, got)
            counted[expected] += 1
            if found != expected:
                wrong.append(f"{item.name} by {kind}: {found} ({got.status_code}), but it is {expected}: {got.text}")
    assert wrong == []
    assert sum(counted.values()) == len(OPEN) * len(KINDS)
    assert counted[ALLOWED] > 200 and counted[REFUSED] > 500, counted

"""Live checks of programs, of leavers, and of what nobody uses."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import httpx
import msgspec
from joserfc import jws
from joserfc.jwk import ECKey
from sqlalchemy import Connection, select

from subscription_services.kernel.actors import System
from subscription_services.kernel.checks import Check, Doors, Finding, Verdict
from subscription_services.kernel.events import Event
from subscription_services.kernel.perform import Kernel, perform
from subscription_services.kernel.ports import Keys
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.ledger import queries as ledger

from . import accounts, catalogue, disuse, queries, row_codes
from .disuse import Step
from .dpop import token_hash
from .model import ServiceAccountState, grant, service_account, token
from .operations.canary import CloseCanary, OpenCanary, close_canary, my_token, open_canary

PERIOD, EVERY = timedelta(days=30), timedelta(hours=1)
PATIENCE = timedelta(days=1)
"""How late the job of what is unused may be."""
LEAVING = ("access.deactivate_leaver", "access.scim_update_user", "access.scim_delete_user", "access.keep_unused")
CHECKING = System("access.checks")
_SECONDS = 10.0


def program_checks() -> list[Check]:
    """Least privilege of programs, and that who left or is not there can do nothing."""
    return [
        Check(
            "access.least-privilege",
            "Every token in force is looked at: its row must be one that this service wrote, for operations that "
            "programs may have, ending within 90 days and with its account, whose owner is on the team. Then a program "
            "of five minutes knocks with a token that is bound to a key: without proof, with a proof of another key, "
            "with a used proof, for an operation it does not name, and after its end it must be refused.",
            _programs_are_narrow,
            EVERY,
        ),
        Check(
            "access.leavers",
            "For everybody who left in the last 30 days the log is searched for anything done afterwards by them or "
            "their programs; no role, service account or token of anybody who is not on the team may be in force; and "
            "nothing may be there that should have ended because nobody used it.",
            _leavers_are_gone,
            EVERY,
        ),
    ]


async def _programs_are_narrow(doors: Doors) -> Finding:
    kernel = doors.kernel
    found = await kernel.store.read(lambda connection: tokens_are_narrow(connection, _keys(kernel), kernel.clock()))
    if found.verdict is not Verdict.KEPT:
        return found
    context = ssl.create_default_context(cafile=doors.certificate)
    door = httpx.AsyncClient(
        base_url=doors.https_url, headers=doors.headers(), verify=context, trust_env=False, timeout=_SECONDS
    )
    async with door as client:
        return await try_the_door(client, kernel, doors.https_url, found.evidence)


async def _leavers_are_gone(doors: Doors) -> Finding:
    kernel = doors.kernel
    return await kernel.store.read(lambda connection: leavers_are_gone(connection, _keys(kernel), kernel.clock()))


def tokens_are_narrow(connection: Connection, keys: Keys, now: datetime) -> Finding:
    """No token in force is more than what it may be."""
    tx, known = ReadTransaction(connection, keys), catalogue.scopes()
    live = (
        select(token, service_account.c.owner, service_account.c.expires_at.label("account_ends"))
        .join(service_account, service_account.c.id == token.c.service_account)
        .where(token.c.revoked_at.is_(None), token.c.expires_at > now)
        .where(service_account.c.state == ServiceAccountState.ACTIVE, service_account.c.owner != queries.CANARY)
    )
    rows = connection.execute(live).all()
    answering = select(service_account.c.owner).where(
        service_account.c.state == ServiceAccountState.ACTIVE, service_account.c.expires_at > now,
        service_account.c.owner != queries.CANARY,
    )  # fmt: skip
    owners = set(connection.execute(answering).scalars())
    there = {item.id for item in accounts.people(tx, sorted(owners)) if item.open and item.team}
    bound = sum(row.jkt is not None for row in rows)
    evidence: dict[str, str | int] = {"tokens": len(rows), "bound_to_a_key": bound, "owners": len(owners)}
    if gone := owners - there:
        says = "A service account has no owner who is on the team."
        return Finding(Verdict.BROKEN, says, {**evidence, "owner": min(gone)})
    for row in rows:
        if not row_codes.is_ours(keys, token.name, row_codes.TOKEN, row):
            says = "A token is not one that this service wrote."
        elif row.expires_at > row.account_ends or row.expires_at - row.issued_at > timedelta(days=90):
            says = "A token outlives its limits."
        elif not set(msgspec.json.decode(row.scopes)) <= known:
            says = "A token names an operation that programs may not have."
        else:
            continue
        return Finding(Verdict.BROKEN, says, {**evidence, "token": row.id})
    return Finding(Verdict.KEPT, "Every token in force is narrow, ends soon and has an owner.", evidence)


async def try_the_door(
    client: httpx.AsyncClient, kernel: Kernel, url: str, evidence: Mapping[str, str | int]
) -> Finding:
    """Knock as a program whose token is bound to a key; `client` speaks to `url`."""
    key, thief = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
    made = await perform(kernel, open_canary, CHECKING, OpenCanary(str(key.thumbprint())))
    try:
        door = _Door(client, kernel, url, made.text)
        answers = {"as a bearer token": await door.knock("Bearer", "")}
        await door.knock("DPoP", door.proof(key))  # its answer brings the nonce
        answers["with a proof of another key"] = await door.knock("DPoP", door.proof(thief))
        right = door.proof(key)
        let_in = await door.knock("DPoP", right)
        answers["with a used proof"] = await door.knock("DPoP", right)
        other = "/api/access.audit_log"
        answers["for an operation it does not name"] = await door.knock("DPoP", door.proof(key, other), other)
        await perform(kernel, close_canary, CHECKING, CloseCanary(made.id))
        answers["after its end"] = await door.knock("DPoP", door.proof(key))
    finally:
        await perform(kernel, close_canary, CHECKING, CloseCanary(made.id))
    opened = [name for name, status in answers.items() if status < 400]
    if opened:
        says = f"A token that is bound to a key was let in {opened[0]}."
        return Finding(Verdict.BROKEN, says, {**evidence, "let_in": len(opened)})
    if let_in != 200 or any(status not in (401, 403) for status in answers.values()):
        says = "The door did not answer as it does: nothing can be told from its refusals."
        return Finding(Verdict.COULD_NOT_CHECK, says, {**evidence, "right_proof": let_in})
    says = "Every token in force is narrow and has an owner, and a bound one without its key's fresh proof is refused."
    return Finding(Verdict.KEPT, says, {**evidence, "refused": len(answers)})


def leavers_are_gone(connection: Connection, keys: Keys, now: datetime) -> Finding:
    """Who left can do nothing, and what nobody uses has ended."""
    tx = ReadTransaction(connection, keys)
    gone = {event.id: event for event in _leavings(connection, now)}
    for event in gone.values():
        programs = event.details.get("service_accounts")
        for who in (event.subject or event.object, *(programs if isinstance(programs, list) else ())):
            # an event has the moment of its request, which may be that of leaving itself
            after = ledger.Search(actor=who, since=event.at + timedelta(microseconds=1), outcome="success")
            if ledger.search(connection, after, limit=1).found:
                return Finding(Verdict.BROKEN, "Something was done by somebody after they left.", {"who": who})
    holders = _who_holds(connection, now)
    there = {item.id for item in accounts.people(tx, sorted(holders)) if item.open and item.team}
    if left := holders - there:
        says = "Something of somebody who is not on the team is still in force."
        return Finding(Verdict.BROKEN, says, {"who": min(left)})
    told = disuse.notices(tx)
    found = list(disuse.holders(tx, now))
    late = [item.id for item in found if _is_late(item, told.get(item.id), now)]
    last = queries.standing_administrators(tx, now)
    if late := [item for item in late if last != {item}]:
        return Finding(
            Verdict.BROKEN, "Something that nobody uses is still there.", {"late": len(late), "what": late[0]}
        )
    evidence: dict[str, str | int] = {"left": len(gone), "accounts_and_tokens": len(found), "told": len(told)}
    return Finding(Verdict.KEPT, "Who left can do nothing, and what nobody uses ends.", evidence)


def _is_late(holder: disuse.Holder, notice: disuse.Notice | None, now: datetime) -> bool:
    """Whether what was due a day ago was not done yet."""
    return disuse.next_step(holder, notice, now - PATIENCE) in (Step.NOTICE, Step.REMIND, Step.END)


def _who_holds(connection: Connection, now: datetime) -> set[str]:
    """The accounts whose roles, service accounts or issued tokens are in force."""
    program = service_account.c
    active = (program.state == ServiceAccountState.ACTIVE) & (program.expires_at > now)
    tokens = select(token.c.issued_by).join(service_account, program.id == token.c.service_account)
    asked = (
        select(grant.c.account).where(queries.live(now)),
        select(program.owner).where(active),
        tokens.where(active, token.c.revoked_at.is_(None), token.c.expires_at > now),
    )
    found = {who for statement in asked for who in connection.execute(statement).scalars()}
    return {who for who in found if who.startswith("acc_")}


def _leavings(connection: Connection, now: datetime) -> Iterator[Event]:
    for action in LEAVING:
        after: str | None = None
        while True:
            wanted = ledger.Search(action=action, outcome="success", since=now - PERIOD)
            page = ledger.search(connection, wanted, after=after, limit=ledger.LARGEST_PAGE)
            for item in page.found:
                if "sessions" in item.event.details:  # which says what ended
                    yield item.event
            if page.next is None:
                break
            after = page.next


def _keys(kernel: Kernel) -> Keys:
    return kernel.keys.for_caller("access")


class _Door:
    """The public door, as a program knocks at it."""

    def __init__(self, client: httpx.AsyncClient, kernel: Kernel, url: str, text: str) -> None:
        self._client, self._kernel, self._url, self._text = client, kernel, url, text
        self._nonce, self._count = "", 0

    async def knock(self, scheme: str, proof: str, path: str = f"/api/{my_token.name}") -> int:
        headers = {"Authorization": f"{scheme} {self._text}", **({"DPoP": proof} if proof else {})}
        answer = await self._client.get(path, headers=headers)
        self._nonce = answer.headers.get("DPoP-Nonce", self._nonce)
        return answer.status_code

    def proof(self, key: ECKey, path: str = f"/api/{my_token.name}") -> str:
        self._count += 1
        claims = {
            "jti": f"live-check-{self._count}-{self._kernel.random(8).hex()}", "htm": "GET", "htu": self._url + path,
            "iat": int(self._kernel.clock().timestamp()), "ath": token_hash(self._text), "nonce": self._nonce,
        }  # fmt: skip
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": key.as_dict(private=False)}
        return jws.serialize_compact(header, msgspec.json.encode(claims), key, algorithms=["ES256"])

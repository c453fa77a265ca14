"""Live checks of the room: probe accounts do through the public door what people do, and what thieves would try."""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta

import pyotp
from msgspec.structs import replace
from sqlalchemy import Connection, Row, select

from subscription_services.kernel.checks import Check, Doors, Finding, Verdict
from subscription_services.kernel.errors import DomainError
from subscription_services.kernel.perform import perform
from subscription_services.kernel.tokens import PROGRAM_SESSION, secret_in
from subscription_services.kernel.transaction import ReadTransaction

from . import binding_checks, model
from .codes import STEP
from .configured import rules
from .errors import LinkUsed, WrongCode, WrongCredentials
from .known import FREE
from .model import Purpose
from .operations.sign_up import IssueLink, issue_link, look_at_link
from .passwords import MINIMUM_COST, VERSION, cost_of
from .plaintext import nothing_written
from .probes import ACTOR, NAME, code_of, expect, password_of, probe, stranger
from .queries import resolve_session, session_facts

OFTEN = timedelta(minutes=15)
SOMETIMES = timedelta(minutes=30)
TRIES = FREE + 3
"""More wrong passwords in a row than anybody has."""


def checks() -> list[Check]:
    """The checks of the room."""
    return [
        Check(
            "auth.bcrypt",
            "A probe account signs in with a wrong password, which must be refused, and with the right one; it then "
            "changes its password, and what is stored for it must be a bcrypt hash of cost 12 or more.",
            passwords_are_bcrypt, OFTEN,
        ),
        Check(
            "auth.token-random",
            "A probe account signs in twice: the tokens must differ and hold 256 bits each, and the stored session "
            "must hold neither token, only its digest.",
            tokens_are_random, OFTEN,
        ),
        binding_checks.check(),
        Check(
            "auth.inactivity",
            "A probe account signs in; its session is looked up as if the time without use, and then the whole time "
            "of a session, had passed: it must be refused. The probe chooses a shorter time, and that must hold. After "
            "signing out its token must not work.",
            sessions_end, OFTEN,
        ),
        Check(
            "auth.totp",
            "A probe account turns on two-factor sign-in, signs in with password and code, and tries the same code "
            "again, and a wrong one: both must be refused.",
            second_factor_works, OFTEN,
        ),
        Check(
            "auth.no-plaintext",
            "A probe account is given a password that stands nowhere else and signs in with it; then every file "
            "written since and the newest rows of every table are searched for it, in the usual encodings.",
            nothing_written, SOMETIMES,
        ),
        Check(
            "auth.reset",
            "A link for a new password is made for a probe account: it must work once, end the session, be refused "
            "a second time and after its time, and asking for one must be answered alike for an unknown address.",
            resets_work_once, SOMETIMES,
        ),
        Check(
            "auth.rate-limit",
            "Wrong passwords are tried for an address that nobody has: five are wrong, then a try must be answered "
            "429 with a time to wait.",
            tries_are_limited, SOMETIMES,
        ),
        Check(
            "auth.lockout",
            "Wrong passwords are tried for a probe account and for an unknown address, until both must wait, even "
            "with the right password; then the owner, with the link of the letter, must get in at once.",
            owners_are_not_locked_out, SOMETIMES,
        ),
        Check(
            "sub.account",
            "A probe account signs in, reads its profile, changes its name and closes itself; after that neither its "
            "session nor its password may work.",
            accounts_work, OFTEN,
        ),
    ]  # fmt: skip


async def passwords_are_bcrypt(doors: Doors) -> Finding:
    """See `checks`. The changed password is hashed by the process that serves pages, not by the one that checks."""
    async with probe(doors, "bcrypt") as someone:
        wrong = await someone.sign_in(password_of(doors))
        if wrong.status_code == 200:
            return Finding(Verdict.BROKEN, "A wrong password signed in.")
        if code_of(wrong) != WrongCredentials.code:
            return Finding(Verdict.COULD_NOT_CHECK, f"A wrong password was answered {wrong.status_code}.")
        await someone.signed_in()
        fresh = password_of(doors)
        expect(await someone.change("identity.change_password", {"current": someone.password, "password": fresh}), 200)
        row = await doors.kernel.store.read(lambda connection: _account(connection, someone.account))
    verifier = bytes(row.verifier or b"")
    if not verifier.startswith(VERSION + b"$2b$"):
        return Finding(Verdict.BROKEN, "What is stored for a password is not a bcrypt hash.")
    cost = cost_of(verifier)
    evidence: dict[str, str | int] = {"cost_stored": cost, "cost_in_force": rules().cost, "least": MINIMUM_COST}
    if min(cost, rules().cost) < MINIMUM_COST:
        return Finding(Verdict.BROKEN, f"Passwords are hashed with bcrypt at cost {cost}, below 12.", evidence)
    if cost < rules().cost:
        return Finding(Verdict.BROKEN, "A fresh password is hashed at less than the cost measured here.", evidence)
    says = f"A wrong password was refused, the right one signed in, and what is stored is bcrypt at cost {cost}."
    return Finding(Verdict.KEPT, says, evidence)


async def tokens_are_random(doors: Doors) -> Finding:
    """See `checks`."""
    async with probe(doors, "token") as someone:
        signed = [await someone.signed_in() for _ in range(2)]
        tokens = [str(item["token"]) for item in signed]
        rows = [await _session(doors, str(item["id"])) for item in signed]
    bits = [_bits(token) for token in tokens]
    evidence: dict[str, str | int] = {"tokens": len(tokens), "bits": min(bits)}
    if tokens[0] == tokens[1] or min(bits) < 256:
        return Finding(Verdict.BROKEN, "Session tokens repeat or are shorter than 256 bits.", evidence)
    for token, row in zip(tokens, rows, strict=True):
        if row is None or bytes(row.digest) != hashlib.sha256(token.encode()).digest():
            return Finding(Verdict.BROKEN, "A session is not stored under the digest of its token.", evidence)
        if any(form in value for form in _forms(token) for value in map(_bytes, row)):
            return Finding(Verdict.BROKEN, "A session's token stands in the store.", evidence)
    return Finding(Verdict.KEPT, "Two sign-ins gave different tokens of 256 bits; only digests are stored.", evidence)


async def sessions_end(doors: Doors) -> Finding:
    """See `checks`."""
    limits = rules()
    evidence: dict[str, str | int] = {
        "idle_minutes": int(limits.idle.total_seconds() // 60),
        "session_minutes": int(limits.absolute.total_seconds() // 60),
    }
    keys = doors.kernel.keys.for_caller("identity")
    async with probe(doors, "inactivity") as someone:
        signed = await someone.signed_in()
        now = doors.kernel.clock()

        def good(connection: Connection, after: timedelta) -> bool:
            by_id = session_facts(connection, str(signed["id"]), now + after)
            by_token = resolve_session(connection, keys, someone.token, now + after)
            return by_id is not None or by_token is not None

        moments = (timedelta(0), limits.idle + timedelta(seconds=1), limits.absolute + timedelta(seconds=1))
        fresh, idle, old = await doors.kernel.store.read(lambda c: [good(c, after) for after in moments])
        row = await _session(doors, str(signed["id"]))
        if not fresh or row is None or (await someone.look("identity.profile")).status_code != 200:
            return Finding(Verdict.COULD_NOT_CHECK, "A fresh session does not work.", evidence)
        if idle or old or row.ends_at - row.created_at > limits.absolute:
            return Finding(Verdict.BROKEN, "A session outlives its time.", evidence)
        expect(await someone.change("identity.choose_idle", {"minutes": 1}), 200)
        shorter = await doors.kernel.store.read(lambda c: good(c, timedelta(seconds=61)))
        expect(await someone.change("identity.sign_out"), 200)
        after = await someone.look("identity.profile")
    if shorter and limits.idle > timedelta(minutes=1):
        return Finding(Verdict.BROKEN, "The shorter time that the account's owner chose does not hold.", evidence)
    if after.status_code != 401:
        return Finding(Verdict.BROKEN, "A session works after signing out.", evidence)
    says = (
        f"A session ends after {evidence['idle_minutes']} minutes without use, sooner where its owner wants it, and at "
        "sign-out at once."
    )
    return Finding(Verdict.KEPT, says, evidence)


async def second_factor_works(doors: Doors) -> Finding:
    """See `checks`. The first code is this step's and the second the next one's, which counts as drift: so none is
    used twice before that is meant."""
    async with probe(doors, "totp") as someone:
        await someone.signed_in()
        totp = pyotp.TOTP(expect(await someone.change("identity.start_totp"), 200)["secret"])
        step = int(doors.kernel.clock().timestamp()) // STEP
        made = expect(await someone.change("identity.confirm_totp", {"code": totp.at(step * STEP)}), 200)
        challenge = expect(await someone.sign_in(), 200)
        if challenge["token"] or not challenge["challenge"]:
            return Finding(Verdict.BROKEN, "With two-factor sign-in on, the password alone signed in.")
        code = totp.at((step + 1) * STEP)
        right = await someone.code(challenge["challenge"], code)
        again = expect(await someone.sign_in(), 200)["challenge"]
        replayed = await someone.code(again, code)
        false = await someone.code(again, f"{(int(code) + 1) % 1_000_000:06}")
    evidence: dict[str, str | int] = {
        "right_code": right.status_code, "same_code_again": replayed.status_code, "wrong_code": false.status_code,
        "recovery_codes": len(made["codes"]),
    }  # fmt: skip
    if 200 in (replayed.status_code, false.status_code):
        which = "a second time" if replayed.status_code == 200 else "though it was wrong"
        return Finding(Verdict.BROKEN, f"A code was accepted {which}.", evidence)
    if right.status_code != 200:
        return Finding(Verdict.BROKEN, "A right code was refused.", evidence)
    if {code_of(replayed), code_of(false)} != {WrongCode.code}:
        return Finding(Verdict.COULD_NOT_CHECK, "Codes were refused for another reason than being wrong.", evidence)
    return Finding(Verdict.KEPT, "Two-factor sign-in was turned on and each code worked once.", evidence)


async def resets_work_once(doors: Doors) -> Finding:
    """See `checks`. Letters do not go to probes, so the check makes the letter's link itself."""
    async with probe(doors, "reset") as someone, stranger(doors, "reset") as nobody:
        known, unknown = await someone.ask_reset(), await nobody.ask_reset()
        await someone.signed_in()
        issue = IssueLink(someone.account, Purpose.RESET)
        link = await perform(doors.kernel, issue_link, ACTOR, issue)
        other = await perform(doors.kernel, issue_link, ACTOR, issue)
        late = await _works_at(doors, other.token, rules().reset + timedelta(seconds=1))
        first = await someone.reset(link.token, password_of(doors))
        again, spare = [await someone.reset(token, password_of(doors)) for token in (link.token, other.token)]
        session = await someone.look("identity.profile")
    evidence: dict[str, str | int] = {
        "first_use": first.status_code, "second_use": again.status_code, "other_link": spare.status_code,
        "session_after": session.status_code, "minutes": int(rules().reset.total_seconds() // 60),
    }  # fmt: skip
    if (known.status_code, known.content) != (unknown.status_code, unknown.content):
        return Finding(Verdict.BROKEN, "Asking for a new password tells whether there is an account.", evidence)
    if late or 200 in (again.status_code, spare.status_code, session.status_code):
        return Finding(Verdict.BROKEN, "A link worked twice or too late, or a session outlived the reset.", evidence)
    if first.status_code != 200 or code_of(again) != LinkUsed.code:
        return Finding(Verdict.COULD_NOT_CHECK, "Links were refused for another reason.", evidence)
    says = f"A link set a new password once, within {evidence['minutes']} minutes, and ended the session."
    return Finding(Verdict.KEPT, says, evidence)


async def _works_at(doors: Doors, token: str, after: timedelta) -> bool:
    keys = doors.kernel.keys.for_caller("identity")
    ctx = replace(doors.kernel.context(ACTOR), now=doors.kernel.clock() + after)
    try:
        await doors.kernel.store.read(lambda c: look_at_link(ReadTransaction(c, keys), ctx, token, Purpose.RESET))
    except DomainError:
        return False
    return True


async def tries_are_limited(doors: Doors) -> Finding:
    """See `checks`. The address is new each time, so nobody else is kept waiting."""
    async with stranger(doors, "limit") as nobody:
        answers = [await nobody.sign_in(password_of(doors)) for _ in range(TRIES)]
    statuses = [answer.status_code for answer in answers]
    evidence: dict[str, str | int] = {"tries": len(statuses), "answers": " ".join(map(str, statuses))}
    if 200 in statuses:
        return Finding(Verdict.BROKEN, "A password that nobody set signed in.", evidence)
    if {code_of(answer) for answer in answers[:FREE]} != {WrongCredentials.code}:
        return Finding(Verdict.COULD_NOT_CHECK, "Tries were refused for another reason than being wrong.", evidence)
    refused = [answer for answer in answers[FREE:] if answer.status_code == 429]
    if not refused and {code_of(answer) for answer in answers} == {WrongCredentials.code}:
        return Finding(Verdict.BROKEN, f"{TRIES} wrong passwords in a row were all tried.", evidence)
    if not refused:
        return Finding(Verdict.COULD_NOT_CHECK, "After the free tries came another answer.", evidence)
    wait = refused[0].headers.get("retry-after", "")
    if not wait.isdigit():
        return Finding(Verdict.BROKEN, "The refusal does not say how long to wait.", evidence)
    says = f"After {FREE} wrong tries for one address the next one had to wait."
    return Finding(Verdict.KEPT, says, {**evidence, "wait": int(wait)})


async def owners_are_not_locked_out(doors: Doors) -> Finding:
    """See `checks`. Letters do not go to probes, so the check makes the letter's link itself."""
    async with probe(doors, "lockout") as someone, stranger(doors, "lockout") as nobody:
        attack = [await someone.sign_in(password_of(doors)) for _ in range(TRIES)]
        elsewhere = [await nobody.sign_in(password_of(doors)) for _ in range(TRIES)]
        guessed = await someone.sign_in()
        link = await perform(doors.kernel, issue_link, ACTOR, IssueLink(someone.account, Purpose.UNLOCK))
        device = expect(await someone.unlock(link.token), 200)["device"]
        owner = await someone.sign_in(device=device)
    evidence: dict[str, str | int] = {
        "attack": " ".join(str(answer.status_code) for answer in attack), "right_password": guessed.status_code,
        "owner": owner.status_code,
    }  # fmt: skip
    last = [next((code_of(answer) for answer in reversed(answers)), "") for answers in (attack, elsewhere)]
    if guessed.status_code == 200 or (last[0] == last[1] == WrongCredentials.code):
        return Finding(Verdict.BROKEN, "Wrong passwords in a row did not lock whoever tried them.", evidence)
    if owner.status_code == 429:
        return Finding(Verdict.BROKEN, "Somebody else's wrong passwords kept the owner out.", evidence)
    if last[0] != last[1]:
        return Finding(Verdict.BROKEN, "The lock tells whether there is an account.", evidence)
    if owner.status_code != 200 or guessed.status_code != 429:
        return Finding(Verdict.COULD_NOT_CHECK, "Sign-ins were refused for another reason.", evidence)
    return Finding(
        Verdict.KEPT,
        "Wrong passwords locked whoever tried them, with or without an account; its owner got in.",
        evidence,
    )


async def accounts_work(doors: Doors) -> Finding:
    """See `checks`."""
    async with probe(doors, "account") as someone:
        await someone.signed_in()
        profile = expect(await someone.look("identity.profile"), 200)
        if profile["id"] != someone.account or profile["email"] != someone.email or profile["name"] != NAME:
            return Finding(Verdict.BROKEN, "A profile is not that of the account that asked.")
        name = f"{NAME} {doors.kernel.random(4).hex()}"
        expect(await someone.change("identity.change_name", {"name": name}), 200)
        if expect(await someone.look("identity.profile"), 200)["name"] != name:
            return Finding(Verdict.BROKEN, "A name that was changed is not shown.")
        expect(await someone.change("identity.close_account"), 200)
        look, back = await someone.look("identity.profile"), await someone.sign_in()
    evidence: dict[str, str | int] = {"session_after": look.status_code, "password_after": back.status_code}
    if 200 in (look.status_code, back.status_code):
        return Finding(Verdict.BROKEN, "A closed account still opens.", evidence)
    if look.status_code != 401 or code_of(back) != WrongCredentials.code:
        return Finding(Verdict.COULD_NOT_CHECK, "A closed account was refused for another reason.", evidence)
    return Finding(Verdict.KEPT, "An account was signed in to, read, changed and closed by its owner.", evidence)


def _account(connection: Connection, identifier: str) -> Row[tuple[bytes]]:
    return connection.execute(select(model.account.c.verifier).where(model.account.c.id == identifier)).one()


async def _session(doors: Doors, identifier: str) -> Row[tuple[object, ...]] | None:
    statement = select(model.session).where(model.session.c.id == identifier)
    return await doors.kernel.store.read(lambda connection: connection.execute(statement).one_or_none())


def _bits(token: str) -> int:
    raw = _raw(token)
    used = len(raw.lstrip(b"\0"))
    # eight zero bytes in front are no chance: that many bits were never drawn
    return (used if len(raw) - used >= 8 else len(raw)) * 8


def _raw(token: str) -> bytes:
    if token.startswith(PROGRAM_SESSION):
        return secret_in(token, PROGRAM_SESSION)
    return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))


def _forms(token: str) -> tuple[bytes, ...]:
    return token.encode(), _raw(token), _raw(token).hex().encode()


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()

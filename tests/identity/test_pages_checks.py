"""The room's live checks against the whole service behind a real listener: kept when it holds, else broken."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Table

from subscription_services import front, identity
from subscription_services.edge.certificate import local_certificate
from subscription_services.edge.listener import Listening, server
from subscription_services.identity import checks, codes, known, model, passwords, queries, sessions
from subscription_services.identity.configured import rules
from subscription_services.identity.operations import binding, devices, profile, reset
from subscription_services.identity.operations.sign_up import look_at_link
from subscription_services.identity.pages import sign_in
from subscription_services.kernel import tokens
from subscription_services.kernel.checks import Doors, Finding, Verdict
from subscription_services.kernel.clock import system_clock
from subscription_services.kernel.context import Context
from subscription_services.kernel.settings import HouseSettings
from subscription_services.kernel.transaction import Transaction
from subscription_services.storage import insert_row
from subscription_services.storage.counters import DatabaseLimiter
from subscription_services.testing import World
from subscription_services.testing.world import copy_template
from tests.trust.served import free_port, opened

BY_PROMISE = {check.promise: check for check in checks()}


@asynccontextmanager
async def listening(world: World, folder: Path) -> AsyncIterator[Doors]:
    """The house on a free port, as the checks reach it."""
    files = local_certificate(folder, system_clock(), ("localhost", "127.0.0.1"))
    port = free_port()
    app = front.application(world.house)
    listener = server(app, Listening("127.0.0.1", port, files.certificate, files.key, lifespan=False))
    task = asyncio.ensure_future(listener.serve())
    try:
        await opened(port)
        url = f"https://localhost:{port}"
        yield Doors(world.house.kernel, world.house.settings, url, "http://localhost:1", str(files.certificate))
    finally:
        listener.stop()  # type: ignore[no-untyped-call]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(task, return_exceptions=True), 10)


def found(world: World, folder: Path, *promises: str) -> list[Finding]:
    async def work() -> list[Finding]:
        async with listening(world, folder) as doors:
            return [await BY_PROMISE[promise].run(doors) for promise in promises]

    done: list[Finding] = world.run(work())
    return done


def test_every_check_finds_its_promise_kept_and_can_run_again(world: World, tmp_path: Path) -> None:
    names = [name for name in BY_PROMISE if name != "auth.bcrypt"]
    for _ in range(2):
        seen = dict(zip(names, found(world, tmp_path, *names), strict=True))
        unclear = [name for name in names if seen[name].verdict is Verdict.COULD_NOT_CHECK]
        # "could not check" is said when an answer failed to come on a busy machine; the schedule tries again as well
        seen |= dict(zip(unclear, found(world, tmp_path, *unclear), strict=True))
        assert {name: item.verdict for name, item in seen.items()} == dict.fromkeys(names, Verdict.KEPT), seen
        world.clock.advance(minutes=16)


def test_a_low_cost_of_bcrypt_breaks_the_promise(world: World, tmp_path: Path) -> None:
    (seen,) = found(world, tmp_path, "auth.bcrypt")
    assert (seen.verdict, seen.evidence["cost_stored"]) == (Verdict.BROKEN, 4)


def test_the_cost_that_production_uses_keeps_it(sqlite_template: Path, tmp_path: Path) -> None:
    data = copy_template(sqlite_template, tmp_path / "data")
    with World.open(data, SUBS_IDENTITY_BCRYPT_COST="12") as world:
        (seen,) = found(world, tmp_path, "auth.bcrypt")
    assert (seen.verdict, seen.evidence["cost_stored"]) == (Verdict.KEPT, 12)


def short_tokens(patch: pytest.MonkeyPatch, world: World) -> None:
    patch.setattr(sessions, "program_token", lambda random, prefix: tokens.new_token(lambda count: random(16), prefix))


def tokens_kept(patch: pytest.MonkeyPatch, world: World) -> None:
    patch.setattr(sessions, "digest", lambda token: token.encode())


def endless_sessions(patch: pytest.MonkeyPatch, world: World) -> None:
    patch.setattr(queries, "rules", lambda: replace(rules(), idle=timedelta(days=3650)))


def wishes_do_not_count(patch: pytest.MonkeyPatch, world: World) -> None:
    patch.setattr(devices, "idle_of_account", lambda tx, account, held: timedelta(days=1))


def codes_work_twice(patch: pytest.MonkeyPatch, world: World) -> None:
    real = codes.use_code
    used: list[str] = []

    def lenient(tx: Transaction, ctx: Context, account: str, code: str) -> str | None:
        how = real(tx, ctx, account, code)
        used.append(code) if how else None
        return how or ("totp" if code in used else None)

    patch.setattr(codes, "use_code", lenient)


def any_code_works(patch: pytest.MonkeyPatch, world: World) -> None:
    patch.setattr(codes, "use_code", lambda tx, ctx, account, code: "totp")


def password_in_a_file(patch: pytest.MonkeyPatch, world: World) -> None:
    real, data = passwords.matches, world.house.settings.of(HouseSettings).data_path

    def talkative(pepper: bytes, password: str, verifier: bytes) -> bool:
        (data / "debug.log").write_text(f"trying {password.encode().hex()}")
        return real(pepper, password, verifier)

    patch.setattr(passwords, "matches", talkative)


def password_in_a_row(patch: pytest.MonkeyPatch, world: World) -> None:

    def careless(tx: Transaction, table: Table, values: dict[str, Any]) -> None:
        insert_row(tx, table, values)
        kept = model.challenge.insert().values(
            id=values["id"], account=values["account"], digest=typed[-1].encode(), expires_at=values["ends_at"], tries=0
        )
        tx.connection.execute(kept)

    typed: list[str] = []
    matches = passwords.matches

    def listening_in(pepper: bytes, password: str, verifier: bytes) -> bool:
        typed.append(password)
        return matches(pepper, password, verifier)

    patch.setattr(passwords, "matches", listening_in)
    patch.setattr(sessions, "insert_row", careless)


def no_limits(patch: pytest.MonkeyPatch, world: World) -> None:
    async def spend(self: DatabaseLimiter, *arguments: object) -> None: ...

    for name in ("spend", "spend_growing"):
        patch.setattr(DatabaseLimiter, name, spend)


def one_counter_for_all(patch: pytest.MonkeyPatch, world: World) -> None:
    patch.setattr(known, "device_of", lambda *arguments: "")


def links_work_for_ever(patch: pytest.MonkeyPatch, world: World) -> None:
    patch.setattr(reset, "use_link", lambda tx, ctx, token, purpose: look_at_link(tx, ctx, token, purpose))
    patch.setattr(reset, "end_links", lambda *arguments: None)


def sessions_outlive_resets(patch: pytest.MonkeyPatch, world: World) -> None:
    patch.setattr(reset, "end_sessions", lambda *arguments: 0)


def names_stay(patch: pytest.MonkeyPatch, world: World) -> None:
    patch.setattr(profile, "update_row", lambda *arguments: None)


def bound_to_nothing(patch: pytest.MonkeyPatch, world: World) -> None:
    patch.setattr(identity, "shows", lambda bound, shown, now: True)


def any_key_signs(patch: pytest.MonkeyPatch, world: World) -> None:
    patch.setattr(binding, "signed_by", lambda proof, key: True)


def no_key_is_asked_for(patch: pytest.MonkeyPatch, world: World) -> None:
    patch.setattr(sign_in, "offer_binding", lambda call, response, token: None)


FAULTS: list[tuple[str, Callable[[pytest.MonkeyPatch, World], None]]] = [
    ("auth.token-random", short_tokens), ("auth.token-random", tokens_kept), ("auth.inactivity", endless_sessions),
    ("auth.inactivity", wishes_do_not_count),
    ("auth.totp", codes_work_twice), ("auth.totp", any_code_works), ("auth.no-plaintext", password_in_a_file),
    ("auth.no-plaintext", password_in_a_row), ("auth.rate-limit", no_limits), ("auth.lockout", no_limits),
    ("auth.lockout", one_counter_for_all), ("auth.reset", sessions_outlive_resets), ("auth.reset", links_work_for_ever),
    ("sub.account", names_stay), ("auth.device-bound", bound_to_nothing), ("auth.device-bound", any_key_signs),
    ("auth.device-bound", no_key_is_asked_for),
]  # fmt: skip


@pytest.mark.parametrize(("promise", "fault"), FAULTS, ids=[fault.__name__ for _, fault in FAULTS])
def test_a_fault_breaks_its_promise(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, promise: str,
    fault: Callable[[pytest.MonkeyPatch, World], None],
) -> None:  # fmt: skip
    fault(monkeypatch, world)
    (seen,) = found(world, tmp_path, promise)
    assert seen.verdict is Verdict.BROKEN, seen


def test_a_service_that_does_not_answer_is_not_a_kept_promise(world: World) -> None:
    doors = Doors(world.house.kernel, world.house.settings, "https://localhost:1", "http://localhost:1", "")
    for check in checks():
        with pytest.raises(httpx.ConnectError):
            world.run(check.run(doors))
    assert not list(world.house.settings.of(HouseSettings).data_path.glob("*.control"))


def test_no_letter_goes_to_a_probe(world: World, tmp_path: Path) -> None:
    found(world, tmp_path, "sub.account", "auth.totp")
    world.run_jobs()
    assert not world.events("mail.record_sent")

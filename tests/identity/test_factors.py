"""Several second factors of each kind: names, adding, removing one by one, and the last one."""

from __future__ import annotations

import asyncio

import pyotp
import pytest
from sqlalchemy.exc import IntegrityError

from subscription_services.identity import model
from subscription_services.identity.errors import Compulsory, NotStarted, TooManyFactors, WrongCode
from subscription_services.identity.operations.profile import ShowProfile
from subscription_services.identity.operations.second_factor import (
    AUTHENTICATOR,
    ConfirmTotp,
    Factor,
    Nothing,
    RemoveFactor,
    RenameFactor,
)
from subscription_services.identity.operations.sign_in import SignIn, SignInCode
from subscription_services.kernel.actors import Role, Subscriber, TeamMember
from subscription_services.kernel.errors import DomainError, StepUpNeeded
from subscription_services.kernel.perform import perform
from subscription_services.testing import World
from subscription_services.testing.authenticator import Authenticator
from subscription_services.testing.people import PASSWORD

from .cases import with_totp
from .keyholder import KEYS, STRANGER, letters, password_right, register, with_passkey


def factors(world: World, actor: Subscriber | TeamMember) -> list[Factor]:
    found: list[Factor] = world.do("identity.second_factor", actor, Nothing()).factors
    return found


def add_app(world: World, actor: Subscriber | TeamMember, name: str) -> str:
    """Another authenticator app; its secret. The code of the present step is used up."""
    secret = str(world.do("identity.start_totp", actor, Nothing()).secret)
    made = world.do("identity.confirm_totp", actor, ConfirmTotp(pyotp.TOTP(secret).at(world.clock()), name))
    assert (made.codes, made.token) == ([], "")
    world.clock.advance(seconds=30)
    return secret


def enter(world: World, secret: str) -> str:
    code = pyotp.TOTP(secret).at(world.clock())
    return str(world.do("identity.sign_in_code", STRANGER, SignInCode(password_right(world), code)).token)


def test_each_authenticator_signs_in_and_each_code_works_once(world: World) -> None:
    actor, first = with_totp(world, KEYS)
    second = add_app(world, actor, "  Tablet\tat home ")
    assert [(item.kind, item.name) for item in factors(world, actor)] == [
        ("authenticator", AUTHENTICATOR), ("authenticator", "Tablet at home")
    ]  # fmt: skip
    for secret in (first, second):
        assert enter(world, secret)
        with pytest.raises(WrongCode):
            enter(world, secret)
    assert {item.last_used_at for item in factors(world, actor)} == {world.clock()}


def test_a_code_works_once_when_it_comes_many_times_at_once(world: World) -> None:
    actor, _ = with_totp(world, KEYS)
    secret, kernel = add_app(world, actor, "Tablet"), world.house.kernel
    operation = kernel.registry.get("identity.sign_in_code")
    assert operation is not None
    requests = [SignInCode(password_right(world), pyotp.TOTP(secret).at(world.clock())) for _ in range(4)]

    async def together() -> list[object]:
        tries = [perform(kernel, operation, STRANGER, request) for request in requests]
        return list(await asyncio.gather(*tries, return_exceptions=True))

    assert sorted(type(item).__name__ for item in world.run(together())) == ["SignedIn"] + ["WrongCode"] * 3


def test_only_one_is_set_up_at_a_time(world: World) -> None:
    actor, _ = with_totp(world, KEYS)
    with pytest.raises(NotStarted):
        world.do("identity.pending_totp", actor, Nothing())
    first, again = (world.do("identity.start_totp", actor, Nothing()) for _ in range(2))
    assert first == again == world.do("identity.pending_totp", actor, Nothing())
    assert len(factors(world, actor)) == 1
    row = {"id": "tot_x", "account": actor.id, "secret": b"x", "last_step": 0, "created_at": world.clock()}
    with pytest.raises(IntegrityError):
        world.write(lambda connection: connection.execute(model.totp.insert().values(row)))


def test_names_are_changed_by_their_owner_alone(world: World) -> None:
    actor, _ = with_passkey(world)
    add_app(world, actor, "App")
    for item in factors(world, actor):
        kind = "totp" if item.kind == "authenticator" else "passkey"
        world.do(f"identity.rename_{kind}", actor, RenameFactor(item.id, f"My {kind}"))
        with pytest.raises(DomainError):
            world.do(f"identity.rename_{kind}", world.subscriber(), RenameFactor(item.id, "Eve's"))
    assert {item.name for item in factors(world, actor)} == {"My totp", "My passkey"}


def test_names_are_sealed(world: World) -> None:
    actor, _ = with_passkey(world)
    with world.house.store.reading() as connection:
        stored = connection.execute(model.passkey.select()).one()
    assert b"My laptop" not in bytes(stored.name)
    world.house.ring.for_caller("privacy").destroy_subject(actor.id, "asked for by the person")
    with pytest.raises(DomainError):
        factors(world, actor)


def test_removing_the_last_one_turns_it_off_and_not_before(world: World) -> None:
    actor, _ = with_passkey(world)
    app = add_app(world, actor, "App")
    passkey, authenticator = sorted(factors(world, actor), key=lambda item: item.kind, reverse=True)
    assert world.do("identity.remove_passkey", actor, RemoveFactor(passkey.id)).on
    assert letters(world, actor.id)["identity.factor_removed"] == 1
    assert world.do("identity.second_factor", actor, Nothing()).recovery_codes_left == 10
    assert enter(world, app)
    assert not world.do("identity.remove_totp", actor, RemoveFactor(authenticator.id)).on
    assert letters(world, actor.id)["identity.second_factor_off"] == 1
    assert world.do("identity.second_factor", actor, Nothing()).recovery_codes_left == 0
    assert world.do("identity.sign_in", STRANGER, SignIn(KEYS, PASSWORD)).token
    with pytest.raises(DomainError):
        world.do("identity.remove_totp", actor, RemoveFactor(authenticator.id))


def test_the_overview_counts_passkeys(world: World) -> None:
    actor, _ = with_passkey(world)
    assert world.do("identity.profile", actor, ShowProfile()).second_factor
    assert not world.do("identity.profile", world.subscriber(), ShowProfile()).second_factor


def test_the_team_keeps_one_and_may_choose_which(world: World) -> None:
    boss = world.team(Role.SUPPORT)
    (app,) = factors(world, boss)
    with pytest.raises(Compulsory):
        world.do("identity.remove_totp", boss, RemoveFactor(app.id))
    passkey = register(world, boss, Authenticator())
    assert world.do("identity.remove_totp", boss, RemoveFactor(app.id)).on
    with pytest.raises(Compulsory):
        world.do("identity.remove_passkey", boss, RemoveFactor(passkey))
    assert [item.id for item in factors(world, boss)] == [passkey]


def test_two_removals_at_once_leave_the_team_one(world: World) -> None:
    boss, kernel = world.team(Role.SUPPORT), world.house.kernel
    (app,) = factors(world, boss)
    passkey = register(world, boss, Authenticator())

    async def both() -> list[object]:
        wanted = (("identity.remove_totp", app.id), ("identity.remove_passkey", passkey))
        operations = [(kernel.registry.get(name), RemoveFactor(identifier)) for name, identifier in wanted]
        tries = [perform(kernel, operation, boss, request) for operation, request in operations if operation]
        return list(await asyncio.gather(*tries, return_exceptions=True))

    assert sorted(type(item).__name__ for item in world.run(both())) == ["Compulsory", "Removed"]
    assert len(factors(world, boss)) == 1


def test_what_is_sensitive_needs_a_fresh_sign_in(world: World) -> None:
    actor, _ = with_passkey(world)
    (passkey,) = factors(world, actor)
    world.clock.advance(minutes=16)
    for name, request in (
        ("identity.begin_passkey", Nothing()), ("identity.remove_passkey", RemoveFactor(passkey.id)),
        ("identity.start_totp", Nothing()), ("identity.new_recovery_codes", Nothing()),
    ):  # fmt: skip
        with pytest.raises(StepUpNeeded):
            world.do(name, actor, request)


def test_nobody_has_more_than_ten_of_a_kind(world: World) -> None:
    actor, _ = with_passkey(world)
    for number in range(2, 11):
        register(world, actor, Authenticator(), f"Number {number}")
    with pytest.raises(TooManyFactors):
        register(world, actor, Authenticator())
    assert len(factors(world, actor)) == 10

"""Passkeys through the operations: what signs in, and everything that must not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import msgspec
import pytest
from sqlalchemy import select, update

from subscription_services.identity import model
from subscription_services.identity.errors import (
    ChallengeEnded,
    PasskeyCopied,
    PasskeyKnown,
    TooManyCodes,
    WrongCode,
    WrongPasskey,
)
from subscription_services.identity.operations.passkey_sign_in import ConfirmWithPasskey, PasskeyFactor, PasskeySignIn
from subscription_services.identity.operations.passkeys import RegisterPasskey
from subscription_services.identity.operations.profile import CloseAccount
from subscription_services.identity.operations.second_factor import Nothing
from subscription_services.identity.operations.sign_in import ConfirmItIsMe, SignInCode
from subscription_services.identity.queries import session_facts
from subscription_services.kernel.actors import Role, Subscriber
from subscription_services.kernel.context import Origin
from subscription_services.kernel.errors import DomainError, StepUpNeeded, TooMany
from subscription_services.kernel.perform import perform
from subscription_services.testing import World
from subscription_services.testing.authenticator import Authenticator, text
from subscription_services.testing.people import PASSWORD, sign_in_subscriber

from .keyholder import (
    KEYS,
    STRANGER,
    again,
    alone,
    begun,
    letters,
    password_right,
    register,
    second,
    with_passkey,
)


def refused(world: World, operation: str, request: msgspec.Struct, actor: object = STRANGER) -> None:
    with pytest.raises(WrongPasskey):
        world.do(operation, actor, request)  # type: ignore[arg-type]  # people of every kind


def test_a_passkey_alone_signs_in_and_counts_as_two_factors(world: World) -> None:
    actor, maker = with_passkey(world)
    signed = world.do("identity.passkey_sign_in", STRANGER, alone(world, maker))
    with world.house.store.reading() as connection:
        facts = session_facts(connection, signed.id, world.clock())
    assert facts is not None
    assert (facts.account, facts.second_factor) == (actor.id, True)
    assert signed.device
    event = world.events("identity.passkey_sign_in")[-1]
    assert (event.subject, event.details["by"], event.details["known_browser"]) == (actor.id, "passkey alone", False)
    assert letters(world, actor.id)["identity.new_device"] == 1
    known = msgspec.structs.replace(alone(world, maker), device=signed.device)
    assert world.do("identity.passkey_sign_in", STRANGER, known).device == signed.device
    assert world.events("identity.passkey_sign_in")[-1].details["known_browser"] is True


def test_what_was_asked_for_says_nothing_of_anybody(world: World) -> None:
    with_passkey(world)
    first, other = (world.do("identity.begin_passkey_sign_in", STRANGER, Nothing()).options for _ in range(2))
    assert first.pop("challenge") != other.pop("challenge")
    assert first == other == {
        "rpId": "localhost", "timeout": 300000, "allowCredentials": [], "userVerification": "required"
    }  # fmt: skip


def test_new_passkeys_are_asked_for_as_they_must_be(world: World) -> None:
    actor, maker = with_passkey(world)
    options = world.do("identity.begin_passkey", actor, Nothing()).options
    assert [item["id"] for item in options["excludeCredentials"]] == [text(maker.credential)]
    assert options["excludeCredentials"][0]["transports"] == ["hybrid", "internal"]
    assert options["authenticatorSelection"]["userVerification"] == "required"
    assert options["authenticatorSelection"]["residentKey"] == "required"
    assert options["attestation"] == "none"
    assert options["rp"]["id"] == "localhost"
    assert actor.id not in json.dumps(options)


def test_an_answer_works_once(world: World) -> None:
    actor, maker = with_passkey(world)
    request = alone(world, maker)
    assert world.do("identity.passkey_sign_in", STRANGER, request).token
    refused(world, "identity.passkey_sign_in", request)
    begin = begun(world, actor, other := Authenticator())
    world.do("identity.register_passkey", actor, begin)
    other.credential = bytes(32)
    refused(world, "identity.register_passkey", begin, actor)
    request_again = again(world, actor, maker)
    assert world.do("identity.confirm_with_passkey", actor, request_again).token
    refused(world, "identity.confirm_with_passkey", request_again, actor)


def test_of_two_at_once_one_signs_in(world: World) -> None:
    _, maker = with_passkey(world)
    request, kernel = alone(world, maker), world.house.kernel
    operation = kernel.registry.get("identity.passkey_sign_in")
    assert operation is not None

    async def both() -> list[object]:
        tries = [perform(kernel, operation, STRANGER, request, origin=Origin(f"127.0.1.{n}")) for n in range(5)]
        return list(await asyncio.gather(*tries, return_exceptions=True))

    found = world.run(both())
    assert sorted(type(item).__name__ for item in found) == ["SignedIn"] + ["WrongPasskey"] * 4


def test_a_challenge_ends(world: World) -> None:
    _, maker = with_passkey(world)
    request = alone(world, maker)
    world.clock.advance(seconds=301)
    refused(world, "identity.passkey_sign_in", request)


def test_a_challenge_of_our_own_is_needed(world: World) -> None:
    _, maker = with_passkey(world)
    made_up = {"rpId": "localhost", "challenge": text(bytes(32))}
    refused(world, "identity.passkey_sign_in", PasskeySignIn(maker.get(made_up)))


def test_a_challenge_is_for_one_purpose(world: World) -> None:
    actor, maker = with_passkey(world)
    challenge = password_right(world)
    answers: dict[str, Callable[[], str]] = {
        "sign-in": lambda: alone(world, maker).credential,
        "second-factor": lambda: second(world, maker, challenge).credential,
        "step-up": lambda: again(world, actor, maker).credential,
    }
    uses: dict[str, Callable[[str], tuple[str, object, msgspec.Struct]]] = {
        "sign-in": lambda made: ("identity.passkey_sign_in", STRANGER, PasskeySignIn(made)),
        "second-factor": lambda made: ("identity.passkey_factor", STRANGER, PasskeyFactor(challenge, made)),
        "step-up": lambda made: ("identity.confirm_with_passkey", actor, ConfirmWithPasskey(made)),
    }
    for asked, make in answers.items():
        for used, use in uses.items():
            if asked != used:
                name, who, request = use(make())
                refused(world, name, request, who)
    registering = world.do("identity.begin_passkey", actor, Nothing()).options
    asked_wrongly = {"rpId": "localhost", "challenge": registering["challenge"]}
    refused(world, "identity.passkey_sign_in", PasskeySignIn(maker.get(asked_wrongly)))
    name, who, request = uses["second-factor"](answers["second-factor"]())
    assert world.do(name, who, request).token  # type: ignore[arg-type]  # who is Anonymous


def test_a_challenge_is_for_one_session_and_one_sign_in(world: World) -> None:
    actor, maker = with_passkey(world)
    signed = world.do("identity.passkey_sign_in", STRANGER, alone(world, maker))
    other = Subscriber(actor.id, signed.id, world.clock(), True)
    refused(world, "identity.confirm_with_passkey", again(world, actor, maker), other)
    refused(world, "identity.register_passkey", begun(world, actor, Authenticator()), other)
    first, later = password_right(world), password_right(world)
    moved = PasskeyFactor(later, second(world, maker, first).credential)
    refused(world, "identity.passkey_factor", moved)


@pytest.mark.parametrize(("wrong", "value"), [
    ("origin", "https://localhost"), ("origin", "https://localhost:8443.example.org"), ("origin", "http://localhost:8443"),
    ("rp", "example.org"), ("client", {"crossOrigin": True}), ("client", {"topOrigin": "https://example.org"}),
    ("client", {"type": "payment.get"}), ("flags", 29 & ~1),
])  # fmt: skip
def test_another_place_is_refused_everywhere(world: World, wrong: str, value: object) -> None:
    actor, maker = with_passkey(world)
    strange = Authenticator()
    setattr(strange, wrong, value)
    refused(world, "identity.register_passkey", begun(world, actor, strange), actor)
    setattr(maker, wrong, value)
    refused(world, "identity.passkey_sign_in", alone(world, maker))
    refused(world, "identity.confirm_with_passkey", again(world, actor, maker), actor)
    refused(world, "identity.passkey_factor", second(world, maker, password_right(world)))


def test_nobody_signs_in_as_somebody_else(world: World) -> None:
    actor, maker = with_passkey(world)
    eve, eves = with_passkey(world, "eve@example.org")
    refused(world, "identity.passkey_factor", second(world, eves, password_right(world)))
    refused(world, "identity.confirm_with_passkey", again(world, actor, eves), actor)
    eves.handle = maker.handle
    refused(world, "identity.passkey_sign_in", alone(world, eves))
    eves.handle = b""
    refused(world, "identity.passkey_sign_in", alone(world, eves))
    assert {event.subject for event in world.events("identity.passkey_sign_in")} == {eve.id}
    stolen = Authenticator(credential=maker.credential, handle=maker.handle)
    refused(world, "identity.passkey_sign_in", alone(world, stolen))


def test_the_owner_must_unlock_it_unless_the_password_was_right(world: World) -> None:
    actor, maker = with_passkey(world)
    maker.flags &= ~4
    refused(world, "identity.passkey_sign_in", alone(world, maker))
    refused(world, "identity.confirm_with_passkey", again(world, actor, maker), actor)
    refused(world, "identity.register_passkey", begun(world, actor, Authenticator(flags=1)), actor)
    assert world.do("identity.passkey_factor", STRANGER, second(world, maker, password_right(world))).token


def test_a_counter_that_goes_back_is_refused_recorded_and_told(world: World) -> None:
    actor, maker = with_passkey(world)
    maker.count = 7
    assert world.do("identity.passkey_sign_in", STRANGER, alone(world, maker)).token
    for count in (7, 3, 0):
        maker.count = count
        with pytest.raises(PasskeyCopied):
            world.do("identity.passkey_sign_in", STRANGER, alone(world, maker))
    with pytest.raises(PasskeyCopied):
        world.do("identity.passkey_factor", STRANGER, second(world, maker, password_right(world)))
    event = world.events("identity.passkey_factor")[-1]
    assert (event.reason, event.subject) == ("passkey-copied", actor.id)
    assert letters(world, actor.id)["identity.passkey_copied"] == 4
    maker.count = 8
    assert world.do("identity.passkey_sign_in", STRANGER, alone(world, maker)).token


def test_wrong_passkeys_count_as_wrong_codes_do(world: World) -> None:
    actor, maker = with_passkey(world)
    for _ in range(4):
        challenge = password_right(world)
        for turn in range(5):
            with pytest.raises(WrongPasskey if turn % 2 else WrongCode):
                if turn % 2:
                    world.do("identity.passkey_factor", STRANGER, PasskeyFactor(challenge, "{}"))
                else:
                    world.do("identity.sign_in_code", STRANGER, SignInCode(challenge, "123456"))
        with pytest.raises(ChallengeEnded):
            second(world, maker, challenge)
    with pytest.raises(TooManyCodes):
        second(world, maker, password_right(world))
    assert "identity.codes_refused" in letters(world, actor.id)
    assert world.do("identity.passkey_sign_in", STRANGER, alone(world, maker)).token, "the owner still gets in"


def test_whoever_fails_again_and_again_waits_and_only_there(world: World) -> None:
    _, maker = with_passkey(world)
    _, other = with_passkey(world, "other@example.org")
    thief = Authenticator(credential=maker.credential, handle=maker.handle)
    for _ in range(5):
        refused(world, "identity.passkey_sign_in", alone(world, thief))
    with pytest.raises(TooMany):
        world.do("identity.passkey_sign_in", STRANGER, alone(world, maker))
    assert world.do("identity.passkey_sign_in", STRANGER, alone(world, other)).token
    assert world.do("identity.passkey_sign_in", STRANGER, alone(world, maker), origin=Origin("127.0.0.77")).token


@pytest.mark.parametrize("state", ["unverified", "invited"])
def test_every_refusal_reads_alike(world: World, state: str) -> None:
    actor, maker = with_passkey(world)
    closed, gone = with_passkey(world, "gone@example.org")
    world.do("identity.close_account", closed, CloseAccount())
    lay = update(model.account).where(model.account.c.id == actor.id)
    world.write(lambda connection: connection.execute(lay.values(state=state)))
    told = set()
    for holder in (maker, gone, Authenticator(handle=bytes(33)), Authenticator(credential=maker.credential)):
        with pytest.raises(DomainError) as caught:
            world.do("identity.passkey_sign_in", STRANGER, alone(world, holder))
        told.add((type(caught.value), caught.value.text, tuple(caught.value.fields)))
    assert told == {(WrongPasskey, WrongPasskey.message, ())}


def test_nothing_of_a_passkey_outlives_its_account(world: World) -> None:
    actor, maker = with_passkey(world)
    again(world, actor, maker)
    world.do("identity.close_account", actor, CloseAccount())
    with world.house.store.reading() as connection:
        for table in (model.passkey, model.passkey_challenge, model.recovery_code):
            assert connection.execute(select(table.c.id).where(table.c.account == actor.id)).all() == []


def test_the_first_one_turns_two_factor_on_and_later_ones_do_not_start_again(world: World) -> None:
    actor = world.subscriber(KEYS)
    other = sign_in_subscriber(world, KEYS)
    made = world.do("identity.register_passkey", actor, begun(world, actor, Authenticator()))
    assert len(made.codes) == 10 and made.token
    with world.house.store.reading() as connection:
        assert session_facts(connection, other.session, world.clock()) is None
        facts = session_facts(connection, actor.session, world.clock())
        assert facts is not None and facts.second_factor
    assert letters(world, actor.id)["identity.second_factor_on"] == 1
    more = world.do("identity.register_passkey", actor, begun(world, actor, Authenticator(), "Phone"))
    assert (more.codes, more.token) == ([], "")
    assert letters(world, actor.id)["identity.factor_added"] == 1
    with pytest.raises(StepUpNeeded):
        world.clock.advance(minutes=16)
        world.do("identity.begin_passkey", actor, Nothing())
    assert world.do("identity.sign_in_code", STRANGER, SignInCode(password_right(world), made.codes[0])).token
    code = ConfirmItIsMe(PASSWORD, made.codes[1])
    assert world.do("identity.confirm_it_is_me", actor, code).token


def test_a_passkey_belongs_to_one_account(world: World) -> None:
    _, maker = with_passkey(world)
    eve = world.subscriber("eve@example.org")
    with pytest.raises(PasskeyKnown):
        register(world, eve, Authenticator(credential=maker.credential))
    assert not world.do("identity.second_factor", eve, Nothing()).on


def test_the_team_may_use_passkeys_too(world: World) -> None:
    boss, maker = world.team(Role.ADMINISTRATOR), Authenticator()
    register(world, boss, maker)
    signed = world.do("identity.passkey_sign_in", STRANGER, alone(world, maker))
    event = world.events("identity.passkey_sign_in")[-1]
    assert (event.actor, event.actor_kind) == (boss.id, "team-member")
    assert signed.token


@pytest.mark.parametrize("credential", ["{}", "[]", "no json", '{"id": "\\ud800"}', "{" * 9000])
def test_what_is_no_answer_is_refused(world: World, credential: str) -> None:
    actor, _ = with_passkey(world)
    refused(world, "identity.passkey_sign_in", PasskeySignIn(credential))
    refused(world, "identity.register_passkey", RegisterPasskey(credential), actor)

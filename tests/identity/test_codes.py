"""TOTP (RFC 6238) and HOTP (RFC 4226) vectors, drift, and codes that work once."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscription_services.identity.codes import matching_step
from subscription_services.identity.errors import ChallengeEnded, WrongCode
from subscription_services.identity.operations.second_factor import Nothing
from subscription_services.identity.operations.sign_in import SignIn, SignInCode
from subscription_services.kernel.actors import Anonymous
from subscription_services.testing import World
from subscription_services.testing.people import PASSWORD

from .cases import with_totp
from .letters_sent import letters_to

# RFC 6238 appendix B (SHA-1, secret "12345678901234567890"), the last six of its eight digits
SECRET = base64.b32encode(b"12345678901234567890").decode()
RFC_6238 = [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"),
            (2000000000, "279037"), (20000000000, "353130")]  # fmt: skip
RFC_4226 = ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"]


def moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@pytest.mark.parametrize(("seconds", "code"), RFC_6238)
def test_rfc_6238(seconds: int, code: str) -> None:
    assert matching_step(SECRET, code, moment(seconds), -1) == seconds // 30


@pytest.mark.parametrize(("counter", "code"), list(enumerate(RFC_4226)))
def test_rfc_4226(counter: int, code: str) -> None:
    assert matching_step(SECRET, code, moment(counter * 30), -1) == counter


@given(st.integers(0, 4_000_000_000), st.integers(-4, 4))
def test_only_the_neighbouring_steps_are_taken(seconds: int, off: int) -> None:
    step = seconds // 30 + off
    if step < 0:
        return
    code = pyotp.TOTP(SECRET).at(step * 30)
    found = matching_step(SECRET, code, moment(seconds), -1)
    assert (found is not None) >= (abs(off) <= 1)
    if found is not None:
        assert abs(found - seconds // 30) <= 1
        assert matching_step(SECRET, code, moment(seconds), found) != found


@pytest.mark.parametrize("typed", ["", "12345", "1234567", "abcdef", "١٢٣٤٥٦", "28 70 8", "287082\0"])
def test_what_is_no_code_is_refused(typed: str) -> None:
    assert matching_step(SECRET, typed, moment(59), -1) is None


def test_spaces_in_a_code_do_not_matter() -> None:
    assert matching_step(SECRET, " 287 082 ", moment(59), -1) == 1


def sign_in(world: World, code: str) -> str:
    challenge = world.do("identity.sign_in", Anonymous(), SignIn("two@example.org", PASSWORD)).challenge
    return str(world.do("identity.sign_in_code", Anonymous(), SignInCode(challenge, code)).token)


def test_a_code_works_once(world: World) -> None:
    _, secret = with_totp(world)
    code = pyotp.TOTP(secret).at(world.clock())
    assert sign_in(world, code)
    with pytest.raises(WrongCode):
        sign_in(world, code)
    world.clock.advance(seconds=30)
    assert sign_in(world, pyotp.TOTP(secret).at(world.clock()))


def test_a_clock_an_hour_off_is_refused_in_clear_words(world: World) -> None:
    _, secret = with_totp(world)
    with pytest.raises(WrongCode, match="check your device's clock"):
        sign_in(world, pyotp.TOTP(secret).at(world.clock() + timedelta(hours=1)))


def test_five_wrong_codes_end_the_sign_in(world: World) -> None:
    _, secret = with_totp(world)
    challenge = world.do("identity.sign_in", Anonymous(), SignIn("two@example.org", PASSWORD)).challenge
    for _ in range(5):
        with pytest.raises(WrongCode):
            world.do("identity.sign_in_code", Anonymous(), SignInCode(challenge, "000000"))
    with pytest.raises(ChallengeEnded):
        right = pyotp.TOTP(secret).at(world.clock())
        world.do("identity.sign_in_code", Anonymous(), SignInCode(challenge, right))


def test_recovery_codes_work_once_each_and_new_ones_end_the_old(world: World) -> None:
    actor, _ = with_totp(world)
    old = world.do("identity.new_recovery_codes", actor, Nothing()).codes
    assert len(set(old)) == 10
    assert sign_in(world, old[0].upper().replace("-", " "))
    with pytest.raises(WrongCode):
        sign_in(world, old[0])
    assert world.do("identity.second_factor", actor, Nothing()).recovery_codes_left == 9
    new = world.do("identity.new_recovery_codes", actor, Nothing()).codes
    with pytest.raises(WrongCode):
        sign_in(world, old[1])
    assert sign_in(world, new[1])
    told = [letter.subject for letter in letters_to(world, "two@example.org")]
    assert told.count("New recovery codes") == 2

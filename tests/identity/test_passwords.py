"""Passwords: one way for all of them, whatever their length or bytes."""

from __future__ import annotations

import itertools
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subscription_services.identity import passwords
from subscription_services.identity.configured import configure
from subscription_services.identity.settings import IdentitySettings
from subscription_services.kernel.errors import SettingsError

PEPPER = bytes(range(48))


@settings(max_examples=30, deadline=None)
@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=300))
def test_a_verifier_opens_for_its_password_only(password: str, other: str) -> None:
    verifier = passwords.make_verifier(PEPPER, password, 4)
    assert passwords.matches(PEPPER, password, verifier)
    same = unicodedata.normalize("NFC", password) == unicodedata.normalize("NFC", other)
    assert passwords.matches(PEPPER, other, verifier) is same


def test_length_and_nul_bytes_change_nothing() -> None:
    long = "a" * 72
    verifier = passwords.make_verifier(PEPPER, long + "x", 4)
    assert not passwords.matches(PEPPER, long + "y", verifier)
    assert not passwords.matches(PEPPER, long, verifier)
    assert not passwords.matches(PEPPER, "abc", passwords.make_verifier(PEPPER, "abc\0def", 4))


def test_the_same_text_typed_differently_is_the_same_password() -> None:
    verifier = passwords.make_verifier(PEPPER, "café au lait please", 4)
    assert passwords.matches(PEPPER, "café au lait please", verifier)


def test_a_stolen_table_is_worth_nothing_without_the_key() -> None:
    verifier = passwords.make_verifier(PEPPER, "a good long password", 4)
    assert not passwords.matches(bytes(48), "a good long password", verifier)
    assert b"good" not in verifier
    assert verifier.startswith(b"v1$2b$04$")


@pytest.mark.parametrize("bad", ["short", "password1234", "123456789012", "aaaaaaaaaaaaaa", "Ada.Lovelace@example.org",
                                 "subscription services", "x" * 257])  # fmt: skip
def test_weak_passwords_are_refused_with_a_reason(bad: str) -> None:
    reason = passwords.weakness(bad, "Ada Lovelace", "ada.lovelace@example.org")
    assert reason
    assert bad not in reason


@pytest.mark.parametrize("good", ["correct horse battery staple", "ünïcödé wörks tòo", "x8-Jk2!pQz7m"])
def test_good_passwords_are_taken(good: str) -> None:
    assert passwords.weakness(good, "Ada", "ada@example.org") is None


def test_the_work_factor_is_measured_and_never_under_twelve() -> None:
    def machine(milliseconds: float) -> int:
        ticks = itertools.cycle([0.0, milliseconds / 1000])
        return passwords.calibrate(300, lambda: next(ticks))

    assert machine(1) == 18
    assert machine(50) == 12
    assert machine(30) == 13
    assert machine(1000) == 12


def test_a_low_work_factor_is_for_the_sandbox_only() -> None:
    with pytest.raises(SettingsError, match="12 or more"):
        configure(IdentitySettings(bcrypt_cost=4), sandbox=False)

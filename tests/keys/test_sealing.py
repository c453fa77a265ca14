"""What was sealed opens there and nowhere else."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subscription_services.kernel.ports import Keys, KeysFor
from subscription_services.keys import (
    ACCOUNTING,
    CallerKeys,
    KeyConflict,
    KeyPolicyRefused,
    KeyUnavailable,
    MacMismatch,
    NoSuchKey,
    SealBroken,
)

from .conftest import House

NAMES = st.text(st.characters(codec="utf-8"), max_size=20)


@pytest.fixture(scope="module")
def keys() -> Iterator[CallerKeys]:
    with tempfile.TemporaryDirectory() as directory:
        house = House(Path(directory) / "keys")
        for subject in ("acc_1", "acc_2", "acc_11"):
            house.keys().ensure_subject(subject)
        yield house.keys()
        house.close()


@given(seal_id=NAMES, row_id=NAMES, plaintext=st.binary(max_size=5000))
def test_opens_to_what_was_sealed(keys: CallerKeys, seal_id: str, row_id: str, plaintext: bytes) -> None:
    sealed = keys.seal("acc_1", seal_id, row_id, plaintext)
    assert keys.unseal("acc_1", seal_id, row_id, sealed) == plaintext
    assert len(sealed) == len(plaintext) + 33
    if len(plaintext) > 8:
        assert plaintext not in sealed


@given(data=st.data(), plaintext=st.binary(max_size=40))
def test_any_changed_byte_is_found(keys: CallerKeys, data: st.DataObject, plaintext: bytes) -> None:
    sealed = bytearray(keys.seal("acc_1", "f", "r", plaintext))
    position = data.draw(st.integers(0, len(sealed) - 1))
    sealed[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises((SealBroken, NoSuchKey)):
        keys.unseal("acc_1", "f", "r", bytes(sealed))


@given(data=st.data(), plaintext=st.binary(max_size=40))
def test_a_cut_or_longer_value_is_found(keys: CallerKeys, data: st.DataObject, plaintext: bytes) -> None:
    sealed = keys.seal("acc_1", "f", "r", plaintext)
    cut = sealed[: data.draw(st.integers(0, len(sealed) - 1))]
    for changed in (cut, sealed + data.draw(st.binary(min_size=1, max_size=3))):
        with pytest.raises((SealBroken, NoSuchKey)):
            keys.unseal("acc_1", "f", "r", changed)


@given(here=st.tuples(NAMES, NAMES), there=st.tuples(NAMES, NAMES))
def test_a_value_moved_to_another_field_or_row_does_not_open(
    keys: CallerKeys, here: tuple[str, str], there: tuple[str, str]
) -> None:
    sealed = keys.seal("acc_1", *here, b"x")
    if here == there:
        there = (there[0] + "x", there[1])
    with pytest.raises(SealBroken):
        keys.unseal("acc_1", *there, sealed)


@given(text=st.text("ab1", min_size=2, max_size=8), first=st.integers(0, 8), second=st.integers(0, 8))
def test_shifting_a_letter_from_field_to_row_does_not_open(
    keys: CallerKeys, text: str, first: int, second: int
) -> None:
    first, second = min(first, len(text)), min(second, len(text))
    if first == second:
        return
    sealed = keys.seal("acc_1", text[:first], text[first:], b"x")
    with pytest.raises(SealBroken):
        keys.unseal("acc_1", text[:second], text[second:], sealed)


def test_a_value_moved_to_another_subject_does_not_open(keys: CallerKeys) -> None:
    sealed = keys.seal("acc_1", "f", "1r", b"x")
    for subject in ("acc_2", "acc_11"):
        with pytest.raises(SealBroken):
            keys.unseal(subject, "f", "1r", sealed)
        with pytest.raises(SealBroken):
            keys.unseal(subject, "f", "r", sealed)


def test_equal_values_look_different_every_time(keys: CallerKeys) -> None:
    assert len({keys.seal("acc_1", "f", "r", b"same")[5:17] for _ in range(2000)}) == 2000


def test_a_subject_must_have_been_made(keys: CallerKeys) -> None:
    with pytest.raises(NoSuchKey):
        keys.seal("acc_unknown", "f", "r", b"x")
    for name in ("", "a b", "ä", "x" * 201, "a\n", "\ud800"):
        with pytest.raises(KeyUnavailable):
            keys.ensure_subject(name)


def test_satisfies_what_the_kernel_asks_of_keys(house: House) -> None:
    ring: KeysFor = house.ring()
    keys: Keys = ring.for_caller("identity")
    keys.ensure_subject("acc_1")
    assert keys.unseal("acc_1", "f", "r", keys.seal("acc_1", "f", "r", b"x")) == b"x"


def test_blind_indexes_differ_by_name_and_last(house: House) -> None:
    email = house.keys().blind_index("identity.account.email", "ada@example.org")
    assert len(email) == 33 and email[0] == 1
    assert email == house.keys().blind_index("identity.account.email", "ada@example.org")
    assert email[1:] != house.keys().blind_index("identity.team.email", "ada@example.org")[1:]
    house.close()
    assert email == house.keys().blind_index("identity.account.email", "ada@example.org")


def test_codes_verify_only_for_their_purpose_and_message(house: House) -> None:
    keys = house.keys()
    tag = keys.mac("identity.verify", b"message")
    keys.verify_mac("identity.verify", b"message", tag)
    for purpose, message, other in (
        ("identity.reset", b"message", tag),
        ("identity.verify", b"massage", tag),
        ("identity.verify", b"message", tag[:-1]),
        ("identity.verify", b"message", b"\x02" + tag[1:]),
        ("identity.verify", b"message", b"\x00" + tag[1:]),
        ("identity.verify", b"message", b""),
    ):
        with pytest.raises(MacMismatch):
            keys.verify_mac(purpose, message, other)


def test_one_name_gives_unrelated_keys_to_unrelated_uses(house: House) -> None:
    keys = house.keys()
    index, tag = keys.blind_index("identity.x", "m"), keys.mac("identity.x", b"m")
    assert index != tag
    assert keys.secret("identity.x") not in (index[1:], tag[1:])


def test_secrets_last_and_keep_their_length(house: House) -> None:
    pepper = house.keys().secret("identity.pepper", 48)
    assert len(pepper) == 48 and len(set(pepper)) > 16
    house.close()
    assert house.keys().secret("identity.pepper", 48) == pepper
    with pytest.raises(KeyConflict):
        house.keys().secret("identity.pepper", 32)
    with pytest.raises(KeyConflict):
        house.keys().secret("identity.other", 8)


def test_accounting_is_a_subject_of_its_own(house: House) -> None:
    billing = house.keys("billing")
    billing.ensure_subject(ACCOUNTING, ACCOUNTING)
    sealed = billing.seal(ACCOUNTING, "billing.invoice.name", "inv_1", b"Ada")
    assert billing.unseal(ACCOUNTING, "billing.invoice.name", "inv_1", sealed) == b"Ada"
    with pytest.raises(KeyPolicyRefused):
        house.keys("identity").unseal(ACCOUNTING, "billing.invoice.name", "inv_1", sealed)
    for subject, purpose in ((ACCOUNTING, "subject"), ("acc_1", ACCOUNTING)):
        with pytest.raises(KeyConflict):
            billing.ensure_subject(subject, purpose)


def test_a_subject_keeps_its_purpose(house: House) -> None:
    house.keys("ledger").ensure_subject("origin:2026-03", "origin")
    with pytest.raises(KeyConflict):
        house.keys("ledger").ensure_subject("origin:2026-03", "subject")


@settings(max_examples=5)
@given(block=st.integers(1, 5))
def test_uses_are_counted_before_they_happen(block: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        house = House(Path(directory) / "keys")
        house.settings = type(house.settings)(reserve_block=block)
        keys = house.keys()
        keys.ensure_subject("acc_1")
        for number in range(1, 40):
            keys.seal("acc_1", "f", "r", b"x")
            with house.direct() as store:
                assert store.execute("SELECT uses FROM data_key WHERE name = 'acc_1'").fetchone()[0] >= number
        house.close()


def test_a_used_up_key_is_followed_by_another_and_stays_readable(house: House) -> None:
    keys = house.keys()
    keys.ensure_subject("acc_1")
    old = keys.seal("acc_1", "f", "r", b"old")
    with house.direct() as store:
        store.execute("UPDATE data_key SET uses = 4294967296 - 100 WHERE name = 'acc_1'")
    house.close()
    keys = house.keys()
    new = keys.seal("acc_1", "f", "r", b"new")
    assert (old[1:5], new[1:5]) == (b"\0\0\0\x01", b"\0\0\0\x02")
    assert (keys.unseal("acc_1", "f", "r", old), keys.unseal("acc_1", "f", "r", new)) == (b"old", b"new")

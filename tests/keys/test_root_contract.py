"""One contract for every holder of a root key: file, real SoftHSM2, moto's AWS KMS, recorded answers of Transit."""

from __future__ import annotations

import os

import pytest

from subscription_services.keys import KeyTampered, RootKeyUnsafe

from .root_fixtures import KINDS
from .root_holders import Holder

pytestmark = pytest.mark.parametrize("holder", KINDS, indirect=True)
KEY = os.urandom(32)


def test_a_wrapped_key_opens_again_also_after_reopening(holder: Holder) -> None:
    address = holder.new()
    root = holder.open(address)
    wrapped = root.wrap(KEY, b"subject 1")
    assert root.unwrap(wrapped, b"subject 1") == KEY
    assert holder.open(address).unwrap(wrapped, b"subject 1") == KEY
    assert KEY not in wrapped and KEY.hex().encode() not in wrapped


@pytest.mark.parametrize("context", [b"", b"subject 2", b"subject 1 ", b"Subject 1", bytes(5000)])
def test_another_context_is_refused(holder: Holder, context: bytes) -> None:
    root = holder.open(holder.new())
    wrapped = root.wrap(KEY, b"subject 1")
    with pytest.raises(KeyTampered):
        root.unwrap(wrapped, context)
    assert root.unwrap(root.wrap(KEY, b""), b"") == KEY


def test_a_changed_byte_anywhere_is_refused(holder: Holder) -> None:
    root = holder.open(holder.new())
    wrapped = root.wrap(KEY, b"subject 1")
    for position in [*range(0, len(wrapped), 7), len(wrapped) - 1]:
        changed = bytearray(wrapped)
        changed[position] ^= 1
        with pytest.raises(KeyTampered):
            root.unwrap(bytes(changed), b"subject 1")


@pytest.mark.parametrize("cut", [0, 1, 5, 12, 13, 28, -1, -16])
def test_what_was_cut_short_or_drawn_out_is_refused(holder: Holder, cut: int) -> None:
    root = holder.open(holder.new())
    wrapped = root.wrap(KEY, b"subject 1")
    for changed in (wrapped[:cut], wrapped + wrapped[:8]):
        with pytest.raises(KeyTampered):
            root.unwrap(changed, b"subject 1")


def test_another_root_is_refused_and_has_another_fingerprint(holder: Holder) -> None:
    one, other = holder.open(holder.new()), holder.open(holder.new())
    with pytest.raises(KeyTampered):
        other.unwrap(one.wrap(KEY, b"subject 1"), b"subject 1")
    assert one.fingerprint != other.fingerprint


def test_the_fingerprint_is_stable_and_says_nothing(holder: Holder) -> None:
    address = holder.new()
    root = holder.open(address)
    assert root.fingerprint == holder.open(address).fingerprint
    assert len(root.fingerprint) == 32
    int(root.fingerprint, 16)
    assert repr(root).endswith(f"({root.fingerprint})")


def test_a_root_is_made_once(holder: Holder) -> None:
    # AWS names a new key itself, so that asking twice means asking for one alias twice.
    address = f"aws-kms:alias/twice{holder.tail}" if holder.kind == "aws-kms" else holder.new()
    if holder.kind == "aws-kms":
        assert holder.open(holder.create(address)).fingerprint == holder.open(address).fingerprint
    fingerprint = holder.open(address).fingerprint
    with pytest.raises(RootKeyUnsafe, match="already"):
        holder.create(address)
    assert holder.open(address).fingerprint == fingerprint

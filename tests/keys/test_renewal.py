"""Versions of data keys in the key service: made, closed and discarded once, however often they are asked for."""

from __future__ import annotations

import pytest

from subscription_services.keys import KeyInUse, KeyPolicyRefused, NoSuchKey, SubjectErased

from .conftest import House


def test_each_step_happens_once_however_often_it_is_asked_for(house: House) -> None:
    keys, operator = house.keys(), house.keys("keys")
    keys.ensure_subject("acc_1")
    old = keys.seal("acc_1", "f", "r", b"x")
    assert [operator.renew("r1", ["acc_1", "acc_none"]) for _ in range(3)] == [1, 0, 0]
    new = keys.seal("acc_1", "f", "r", b"y")
    assert (old[4], new[4], keys.sealing_version("acc_1")) == (1, 2, 2)
    assert keys.unseal("acc_1", "f", "r", old) == b"x"
    with pytest.raises(KeyInUse):
        operator.discard("acc_1", 1)
    assert [operator.close_versions("r1", ["acc_1"]) for _ in range(2)] == [1, 0]
    with pytest.raises(KeyPolicyRefused):
        keys.unseal("acc_1", "f", "r", old)
    assert house.keys("ledger").unseal("acc_1", "f", "r", old) == b"x"
    (found,) = operator.data_keys("subject")
    assert (found.name, found.version, found.older, found.closed) == ("acc_1", 2, 1, 1)
    for _ in range(2):
        operator.discard("acc_1", 1)
    with pytest.raises(SubjectErased):
        house.keys("ledger").unseal("acc_1", "f", "r", old)
    with pytest.raises(NoSuchKey):
        operator.discard("acc_1", 7)
    with pytest.raises(KeyInUse):
        operator.discard("acc_1", 2)
    assert keys.unseal("acc_1", "f", "r", new) == b"y"


def test_another_process_seals_under_the_new_version_within_the_notice(house: House) -> None:
    house.keys().ensure_subject("acc_1")
    other = house.ring().for_caller("identity")
    assert other.seal("acc_1", "f", "r", b"x")[4] == 1
    house.keys("keys").renew("r1", ["acc_1"])
    house.pass_time(0.25)
    assert other.seal("acc_1", "f", "r", b"x")[4] == 2


def test_pages_of_subjects_leave_nobody_out(house: House) -> None:
    for number in range(25):
        house.keys().ensure_subject(f"acc_{number}")
    house.keys("ledger").ensure_subject("period_1", "origin")
    found: list[str] = []
    while page := house.keys("keys").data_keys("subject", found[-1] if found else "", 7):
        found += [key.name for key in page]
    assert found == sorted(f"acc_{number}" for number in range(25))

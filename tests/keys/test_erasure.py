"""Once a subject is destroyed nothing opens again: not here, not from a cache, not from an old copy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from subscription_services.keys import (
    ACCOUNTING,
    KeyPolicyRefused,
    KeySettings,
    KeyStoreDamaged,
    KeyUnavailable,
    SubjectErased,
    Tombstone,
)
from subscription_services.keys.roots.file import read_root

from .conftest import House


def sealed_for(house: House, subject: str) -> bytes:
    house.keys().ensure_subject(subject)
    return house.keys().seal(subject, "f", "r", subject.encode())


def check_erased(house: House, subject: str, sealed: bytes, caller: str = "identity") -> None:
    keys = house.keys(caller)
    with pytest.raises(SubjectErased):
        keys.unseal(subject, "f", "r", sealed)
    with pytest.raises(SubjectErased):
        keys.seal(subject, "f", "r", b"again")
    with pytest.raises(SubjectErased):
        keys.ensure_subject(subject)


def decrypted_pages(house: House) -> bytes:
    """Every byte of keys.db, free space included, decrypted by hand: SQLCipher 4 pages, AES-256-CBC."""
    key = read_root(house.directory / "root.key").store_key()
    content = (house.directory / "keys.db").read_bytes()
    plain = b""
    for start in range(0, len(content), 4096):
        page = content[start : start + 4096]
        decryptor = Cipher(AES(key), CBC(page[-80:-64])).decryptor()
        plain += decryptor.update(page[16 if start == 0 else 0 : -80])
    return plain


def test_every_view_in_the_process_loses_it_at_once(house: House) -> None:
    erased, kept = sealed_for(house, "acc_1"), sealed_for(house, "acc_2")
    for caller in ("identity", "billing", "ledger"):
        assert house.keys(caller).unseal("acc_1", "f", "r", erased) == b"acc_1"
    house.keys("privacy").destroy_subject("acc_1", "asked for it")
    for caller in ("identity", "billing", "ledger"):
        check_erased(house, "acc_1", erased, caller)
    assert house.keys().unseal("acc_2", "f", "r", kept) == b"acc_2"
    house.close()
    check_erased(house, "acc_1", erased)


def test_another_ring_loses_it_within_the_notice(house: House) -> None:
    house.settings = KeySettings(erasure_notice=0.5)
    sealed = sealed_for(house, "acc_1")
    other = house.ring().for_caller("billing")
    assert other.unseal("acc_1", "f", "r", sealed) == b"acc_1"
    house.keys("privacy").destroy_subject("acc_1", "r")
    house.pass_time(0.5)
    with pytest.raises(SubjectErased):
        other.unseal("acc_1", "f", "r", sealed)
    with pytest.raises(SubjectErased):
        other.seal("acc_1", "f", "r", b"")
    with pytest.raises(SubjectErased):
        other.ensure_subject("acc_1")


def test_a_notice_of_zero_looks_every_time(house: House) -> None:
    house.settings = KeySettings(erasure_notice=0)
    sealed = sealed_for(house, "acc_1")
    other = house.ring().for_caller("billing")
    other.unseal("acc_1", "f", "r", sealed)
    house.keys("privacy").destroy_subject("acc_1", "r")
    with pytest.raises(SubjectErased):
        other.unseal("acc_1", "f", "r", sealed)


def test_nothing_of_the_key_is_left_in_the_store(house: House) -> None:
    sealed_for(house, "acc_1")
    with house.direct() as store:
        wrapped = store.execute("SELECT wrapped FROM data_key WHERE name = 'acc_1'").fetchone()[0]
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert wrapped in decrypted_pages(house)
    house.keys("privacy").destroy_subject("acc_1", "r")
    assert (house.directory / "keys.db-wal").stat().st_size == 0
    plain = decrypted_pages(house)
    assert b"CREATE TABLE data_key" in plain
    assert wrapped not in plain


def test_repeating_an_erasure_changes_nothing(house: House) -> None:
    sealed_for(house, "acc_1")
    for reason in ("first", "second"):
        house.keys("privacy").destroy_subject("acc_1", reason)
        house.pass_time(60)
    (tombstone,) = house.keys("backups").tombstones()
    assert (tombstone.subject, tombstone.purpose, tombstone.reason) == ("acc_1", "subject", "first")


def test_accounting_cannot_be_destroyed(house: House) -> None:
    billing = house.keys("billing")
    billing.ensure_subject(ACCOUNTING, ACCOUNTING)
    sealed = billing.seal(ACCOUNTING, "f", "r", b"x")
    with pytest.raises(KeyPolicyRefused):
        house.keys("privacy").destroy_subject(ACCOUNTING, "r")
    with pytest.raises(KeyPolicyRefused):
        house.keys("backups").replay_tombstones([Tombstone(ACCOUNTING, ACCOUNTING, "r", house.now, 1)])
    assert billing.unseal(ACCOUNTING, "f", "r", sealed) == b"x"


def test_an_old_copy_of_the_store_erases_again_by_itself(house: House, tmp_path: Path) -> None:
    erased, kept = sealed_for(house, "acc_1"), sealed_for(house, "acc_2")
    house.close()
    shutil.copy(house.directory / "keys.db", tmp_path / "yesterday.db")
    house.keys("privacy").destroy_subject("acc_1", "r")
    house.close()
    shutil.copy(tmp_path / "yesterday.db", house.directory / "keys.db")
    check_erased(house, "acc_1", erased)
    assert house.keys().unseal("acc_2", "f", "r", kept) == b"acc_2"
    entries = [e for b in house.keys("ledger").drain_journal(1000) for e in b.entries]
    assert ("keys", "destroy", "acc_1") in [(e.caller, e.verb, e.name) for e in entries]


def test_an_old_copy_of_the_whole_directory_erases_again_when_told(house: House, tmp_path: Path) -> None:
    sealed = sealed_for(house, "acc_1")
    house.close()
    shutil.copytree(house.directory, tmp_path / "yesterday")
    house.keys("privacy").destroy_subject("acc_1", "r")
    known = house.keys("backups").tombstones()
    old = House(tmp_path / "yesterday")
    assert old.keys().unseal("acc_1", "f", "r", sealed) == b"acc_1"
    assert old.keys("backups").replay_tombstones(known) == 1
    assert old.keys("backups").replay_tombstones(known) == 0
    check_erased(old, "acc_1", sealed)
    old.close()


def test_a_row_put_back_beside_its_tombstone_does_not_open(house: House) -> None:
    sealed = sealed_for(house, "acc_1")
    with house.direct() as store:
        row = store.execute("SELECT * FROM data_key WHERE name = 'acc_1'").fetchone()
    house.keys("privacy").destroy_subject("acc_1", "r")
    house.close()
    marks = ", ".join("?" * len(row))
    with house.direct() as store:
        with pytest.raises(Exception, match="erased"):
            store.execute(f"INSERT INTO data_key VALUES ({marks})", row)
        with pytest.raises(Exception, match="stays"):
            store.execute("DELETE FROM tombstone")
        with pytest.raises(Exception, match="final"):
            store.execute("UPDATE tombstone SET subject = 'acc_x'")
        trigger = store.execute("SELECT sql FROM sqlite_schema WHERE name = 'erased_stays_erased'").fetchone()[0]
        store.execute("DROP TRIGGER erased_stays_erased")
        store.execute(f"INSERT INTO data_key VALUES ({marks})", row)
    with pytest.raises(KeyStoreDamaged, match="erased_stays_erased"):
        house.ring()
    with house.direct() as store:
        store.execute(trigger)
    check_erased(house, "acc_1", sealed)


def test_a_tombstone_removed_by_hand_comes_back_and_takes_the_key(house: House) -> None:
    sealed = sealed_for(house, "acc_1")
    with house.direct() as store:
        row = store.execute("SELECT * FROM data_key WHERE name = 'acc_1'").fetchone()
    house.keys("privacy").destroy_subject("acc_1", "r")
    house.close()
    with house.direct() as store:
        trigger = store.execute("SELECT sql FROM sqlite_schema WHERE name = 'tombstone_stays'").fetchone()[0]
        store.execute("DROP TRIGGER tombstone_stays")
        store.execute("DELETE FROM tombstone")
        store.execute(trigger)
        store.execute(f"INSERT INTO data_key VALUES ({', '.join('?' * len(row))})", row)
    check_erased(house, "acc_1", sealed)


def test_a_lost_list_of_erasures_is_written_again(house: House) -> None:
    for subject in ("acc_1", "acc_2"):
        house.keys("privacy").destroy_subject(subject, "r")
    house.close()
    log = house.directory / "erasures.log"
    before = log.read_bytes()
    log.unlink()
    house.ring()
    assert log.read_bytes() == before


def test_the_rest_of_an_unfinished_line_is_cut_off(house: House) -> None:
    house.keys("privacy").destroy_subject("acc_1", "r")
    house.close()
    log = house.directory / "erasures.log"
    before = log.read_bytes()
    log.write_bytes(before + before[:20])
    house.ring()
    assert log.read_bytes() == before
    house.close()
    log.write_bytes(before + before[:20])
    house.keys("privacy").destroy_subject("acc_2", "r")
    lines = [json.loads(line)[0] for line in log.read_bytes().splitlines()]
    assert lines == ["acc_1", "acc_2"] and log.read_bytes().startswith(before)


def test_a_forged_line_destroys_nothing(house: House) -> None:
    sealed = sealed_for(house, "acc_1")
    house.keys("privacy").destroy_subject("acc_2", "r")
    house.close()
    log = house.directory / "erasures.log"
    honest = log.read_bytes()
    for forged in (
        honest.replace(b"acc_2", b"acc_1"),
        honest + b'["acc_1", "subject", "r", "2026-03-01T12:00:00+00:00", "00"]\n',
        honest + b"{}\n",
        honest + b"\n",
        honest + b"[1, 2, 3, 4, 5]\n",
        honest + b"\xff\n",
    ):
        log.write_bytes(forged)
        with pytest.raises(KeyStoreDamaged, match="changed from outside"):
            house.ring()
        assert log.read_bytes() == forged
    log.write_bytes(honest)
    assert house.keys().unseal("acc_1", "f", "r", sealed) == b"acc_1"


def test_an_erasure_whose_list_cannot_be_written_says_so_and_is_repeated(house: House) -> None:
    sealed = sealed_for(house, "acc_1")
    log = house.directory / "erasures.log"
    log.unlink()
    log.mkdir()
    with pytest.raises(KeyUnavailable, match="Repeat the erasure"):
        house.keys("privacy").destroy_subject("acc_1", "r")
    check_erased(house, "acc_1", sealed)
    log.rmdir()
    house.keys("privacy").destroy_subject("acc_1", "r")
    assert [json.loads(line)[0] for line in log.read_bytes().splitlines()] == ["acc_1"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.sampled_from(["seal", "erase", "restart", "restore", "wait"]), st.integers(0, 3))))
def test_whatever_happens_the_erased_stay_erased(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    house = House(tmp_path_factory.mktemp("erasure") / "keys")
    house.ring()
    other = house.ring()
    values: dict[str, list[bytes]] = {}
    erased: set[str] = set()
    copy = house.directory.parent / "copy.db"
    for step, number in steps:
        subject = f"acc_{number}"
        if step == "seal" and subject not in erased:
            values.setdefault(subject, []).append(sealed_for(house, subject))
        elif step == "erase":
            house.keys("privacy").destroy_subject(subject, "r")
            erased.add(subject)
        elif step == "restart" or (step == "restore" and not copy.exists()):
            house.close()
            shutil.copy(house.directory / "keys.db", copy)
            house.ring()
            other = house.ring()
        elif step == "restore":
            house.close()
            values = {s: v for s, v in values.items() if s in erased}
            shutil.copy(copy, house.directory / "keys.db")
            house.ring()
            other = house.ring()
        else:
            house.pass_time(1)
    house.pass_time(1)
    for subject, sealed in values.items():
        for keys in (house.keys(), other.for_caller("billing")):
            for value in sealed:
                if subject in erased:
                    with pytest.raises(SubjectErased):
                        keys.unseal(subject, "f", "r", value)
                else:
                    assert keys.unseal(subject, "f", "r", value) == subject.encode()
    house.close()

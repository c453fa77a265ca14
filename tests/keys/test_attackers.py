"""Someone with the root key's store open and full write access moves wrapped keys around: nothing opens wrongly."""

from __future__ import annotations

import pytest

from subscription_services.keys import KeyTampered, KeyUnavailable, NoSuchKey

from .conftest import House


def two_subjects(house: House) -> tuple[bytes, bytes]:
    keys = house.keys()
    for subject in ("acc_1", "acc_2"):
        keys.ensure_subject(subject)
    sealed = keys.seal("acc_1", "f", "r", b"one"), keys.seal("acc_2", "f", "r", b"two")
    house.close()
    return sealed


def test_swapped_wrapped_keys_are_found(house: House) -> None:
    one, two = two_subjects(house)
    with house.direct() as store:
        rows = dict(store.execute("SELECT name, wrapped FROM data_key WHERE kind = 'subject'").fetchall())
        store.execute("UPDATE data_key SET wrapped = ? WHERE name = 'acc_1'", (rows["acc_2"],))
        store.execute("UPDATE data_key SET wrapped = ? WHERE name = 'acc_2'", (rows["acc_1"],))
    for subject, sealed in (("acc_1", one), ("acc_2", two), ("acc_1", two), ("acc_2", one)):
        with pytest.raises(KeyTampered):
            house.keys().unseal(subject, "f", "r", sealed)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE data_key SET name = 'acc_3' WHERE name = 'acc_1'",
        "UPDATE data_key SET version = 2 WHERE name = 'acc_1'",
        "UPDATE data_key SET kek_version = 2 WHERE name = 'acc_1'",
        "UPDATE data_key SET purpose = 'origin' WHERE name = 'acc_1'",
        "UPDATE data_key SET kind = 'mac' WHERE name = 'acc_1'",
        "UPDATE data_key SET wrapped = x'00' WHERE name = 'acc_1'",
        "DELETE FROM data_key WHERE name = 'acc_1'",
        "UPDATE kek SET wrapped = (SELECT wrapped FROM kek WHERE purpose = 'origin') WHERE purpose = 'subject'",
        "UPDATE kek SET wrapped = (SELECT wrapped FROM kek WHERE purpose = 'subject' AND version = 2)"
        " WHERE purpose = 'subject' AND version = 1",
        "UPDATE meta SET value = zeroblob(16) WHERE name = 'store-id'",
        "DELETE FROM kek WHERE purpose = 'subject' AND version = 1",
    ],
)
def test_a_row_that_was_moved_or_changed_opens_nothing(house: House, change: str) -> None:
    house.keys("ledger").ensure_subject("origin:1", "origin")
    house.close()
    one, _ = two_subjects(house)
    house.keys("keys").rotate("subject")
    house.close()
    with house.direct() as store:
        store.execute(change)
    for subject in ("acc_1", "acc_3"):
        with pytest.raises(KeyUnavailable):
            house.keys("ledger").unseal(subject, "f", "r", one)


def test_nothing_new_is_wrapped_under_another_purposes_key(house: House) -> None:
    house.keys("ledger").ensure_subject("origin:1", "origin")
    house.keys("ledger").ensure_subject("acc_1")
    house.close()
    with house.direct() as store:
        origin = store.execute("SELECT wrapped FROM kek WHERE purpose = 'origin'").fetchone()[0]
        store.execute("UPDATE kek SET wrapped = ? WHERE purpose = 'subject'", (origin,))
    with pytest.raises(KeyTampered):
        house.keys("ledger").ensure_subject("acc_2")


def test_a_version_row_that_was_rolled_back_opens_nothing_new(house: House) -> None:
    """An old copy of the row is put back after the key-encryption key moved on and the old version was removed."""
    one, _ = two_subjects(house)
    with house.direct() as store:
        row = store.execute("SELECT kek_version, wrapped FROM data_key WHERE name = 'acc_1'").fetchone()
    house.keys("keys").rotate("subject")
    house.keys("keys").rewrap("subject")
    house.close()
    with house.direct() as store:
        store.execute("UPDATE data_key SET wrapped = ? WHERE name = 'acc_1'", (row[1],))
    with pytest.raises(KeyTampered):
        house.keys().unseal("acc_1", "f", "r", one)
    house.close()
    with house.direct() as store:
        store.execute("UPDATE data_key SET kek_version = ? WHERE name = 'acc_1'", (row[0],))
        store.execute("DELETE FROM kek WHERE purpose = 'subject' AND version = 1")
    with pytest.raises(KeyUnavailable):
        house.keys().unseal("acc_1", "f", "r", one)


def test_an_older_data_key_cannot_stand_in_for_a_newer(house: House) -> None:
    house.keys().ensure_subject("acc_1")
    with house.direct() as store:
        store.execute("UPDATE data_key SET uses = 4294967296 WHERE name = 'acc_1'")
    newer = house.keys().seal("acc_1", "f", "r", b"x")
    assert newer[4] == 2
    house.close()
    with house.direct() as store:
        old = store.execute("SELECT wrapped FROM data_key WHERE name = 'acc_1' AND version = 1").fetchone()[0]
        store.execute("UPDATE data_key SET wrapped = ? WHERE name = 'acc_1' AND version = 2", (old,))
    with pytest.raises(KeyTampered):
        house.keys().unseal("acc_1", "f", "r", newer)


def test_a_sealed_value_that_names_another_version_does_not_open(house: House) -> None:
    one, _ = two_subjects(house)
    for version in (0, 2, 2**31 - 1, 2**32 - 1):
        with pytest.raises(KeyUnavailable):
            house.keys().unseal("acc_1", "f", "r", one[:1] + version.to_bytes(4, "big") + one[5:])
    with pytest.raises(NoSuchKey):
        house.keys().unseal("acc_1", "f", "r", one[:1] + b"\0\0\0\x02" + one[5:])


def test_keys_of_another_installation_open_nothing(house: House, tmp_path_factory: pytest.TempPathFactory) -> None:
    one, _ = two_subjects(house)
    other = House(tmp_path_factory.mktemp("other") / "keys")
    two_subjects(other)
    with other.direct() as theirs, house.direct() as ours:
        for table in ("kek", "data_key"):
            for row in theirs.execute(f"SELECT * FROM {table}").fetchall():
                ours.execute(f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(row))})", row)
    with pytest.raises(KeyTampered):
        house.keys().unseal("acc_1", "f", "r", one)

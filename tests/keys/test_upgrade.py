"""A key store that an older program wrote is brought to this program's format when it is opened."""

from __future__ import annotations

import pytest

from subscription_services.keys.errors import KeyStoreDamaged
from subscription_services.keys.schema import SCHEMA_VERSION

from .conftest import House
from .test_rotation import check_readable, people, state

ADDED = {
    "kek": ("destroyed_at", "reason", "data_keys", "foreign_keys", "moved", "finished_at"),
    "data_key": ("renewal", "closed_at"),
}


def as_format_1(house: House) -> None:
    house.close()
    with house.direct() as store:
        for kind, name in store.execute(
            "SELECT type, name FROM sqlite_schema WHERE name LIKE 'data_key_%' AND type = 'trigger'"
            " OR name IN ('needed_kek_stays', 'erasure_is_noticed', 'kek_in_use', 'notice', 'caller_use', 'denial')"
            " ORDER BY type = 'table'"
        ).fetchall():
            store.execute(f"DROP {kind} {name}")
        for table, columns in ADDED.items():
            for column in columns:
                store.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        store.execute("PRAGMA user_version = 1")


def test_a_store_of_format_1_is_upgraded_with_all_it_holds(house: House) -> None:
    sealed = people(house, 6)
    house.keys("keys").rotate("subject")
    sealed |= people(house, 2, "new")
    house.keys("privacy").destroy_subject("acc_3", "r")
    house.keys("backups").wrap("backups.daily", b"c", bytes(32))
    generation = house.rings[0].service.generation()
    del sealed["acc_3"]
    as_format_1(house)
    check_readable(house, sealed)
    assert [(v.version, v.data_keys, v.reason.value) for v in state(house).versions] == [
        (2, 2, "demand"), (1, 5, "first"),
    ]  # fmt: skip
    assert state(house, "backups.daily").versions[0].foreign_keys == 1
    assert house.rings[0].service.generation() == generation
    assert house.rings[0].service.erased_since(0).subjects == ("acc_3",)
    while house.keys("keys").rewrap("subject", 2):
        pass
    assert [v.data_keys for v in state(house).versions] == [7, 0]
    with house.direct() as store:
        assert store.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        fresh = House(house.directory.with_name("fresh"))
        fresh.ring()
        with fresh.direct() as other:
            names = "SELECT type, name FROM sqlite_schema ORDER BY 1, 2"
            assert store.execute(names).fetchall() == other.execute(names).fetchall()
            for table in ("kek", "data_key", "notice", "caller_use", "denial"):
                columns = f"SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_info('{table}')"
                assert set(store.execute(columns)) == set(other.execute(columns))
        fresh.close()


def test_a_store_that_lost_a_guard_is_not_opened(house: House) -> None:
    house.ring()
    house.close()
    with house.direct() as store:
        store.execute("DROP TRIGGER needed_kek_stays")
    with pytest.raises(KeyStoreDamaged, match="needed_kek_stays"):
        house.ring()

"""Versions of key-encryption keys: by schedule, on demand, near the bound; data keys follow, old versions go."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from subscription_services.kernel.errors import TooLarge
from subscription_services.keys import (
    DEFAULT_POLICY,
    CallerKeys,
    Grant,
    KeyInUse,
    KeyPolicyRefused,
    KeySettings,
    KeyTampered,
    KeyUnavailable,
    Kind,
    NoSuchKey,
    Policy,
    PurposeState,
    Reason,
    Verb,
    VersionState,
)
from subscription_services.keys.hierarchy import ROTATE_AT

from .conftest import House


def state(house: House, purpose: str = "subject") -> PurposeState:
    return next(found for found in house.keys("keys").states().purposes if found.purpose == purpose)


def people(house: House, count: int, prefix: str = "acc") -> dict[str, bytes]:
    keys, sealed = house.keys(), {}
    for number in range(count):
        name = f"{prefix}_{number}"
        keys.ensure_subject(name)
        sealed[name] = keys.seal(name, "f", "r", name.encode())
    return sealed


def check_readable(house: House, sealed: dict[str, bytes]) -> None:
    """As a process that has nothing in its cache."""
    keys = house.ring().for_caller("identity")
    for name, value in sealed.items():
        assert keys.unseal(name, "f", "r", value) == name.encode()


def test_states_tell_versions_ages_uses_and_progress(house: House) -> None:
    people(house, 5)
    start = house.now
    house.pass_time(3600)
    house.keys("keys").rotate("subject")
    house.keys("keys").rewrap("subject", 2)
    found = state(house)
    new, old = found.versions
    assert (new.version, new.state, new.reason, new.data_keys, new.uses) == (2, "active", Reason.DEMAND, 2, 2)
    assert (old.version, old.state, old.reason, old.data_keys, old.uses) == (1, "decrypt-only", Reason.FIRST, 3, 5)
    assert (new.created_at, old.created_at, new.bound) == (start + timedelta(hours=1), start, 2**32)
    assert found.rotation_due == new.created_at + timedelta(days=90)
    assert old.retire_at == new.created_at + timedelta(days=30)
    assert found.rewrapping is not None
    assert (found.rewrapping.moved, found.rewrapping.left, found.rewrapping.finished_at) == (2, 3, None)
    house.pass_time(60)
    assert house.keys("keys").rewrap("subject") == 0
    found = state(house)
    assert found.rewrapping is not None
    assert (found.rewrapping.moved, found.rewrapping.left, found.rewrapping.finished_at) == (5, 0, house.now)


def test_states_tell_who_used_what_and_hold_no_key(house: House) -> None:
    people(house, 3)
    house.keys("ledger").sign("ledger.checkpoint", b"x")
    house.pass_time(100)
    house.keys("ledger").sign("ledger.checkpoint", b"x")
    with pytest.raises(KeyPolicyRefused):
        house.keys("mail").ensure_subject("acc_x")
    with pytest.raises(KeyPolicyRefused):
        house.keys("a stranger").ensure_subject("acc_x")
    found = house.keys("keys").states()
    uses = {(use.caller, use.verb.value, use.purpose): use for use in found.callers}
    assert uses["identity", "create", "subject"].count == 3
    assert uses["identity", "unwrap", "subject"].count == 3
    assert (uses["ledger", "sign", "ledger.checkpoint"].count, uses["ledger", "sign", "ledger.checkpoint"].last_at) == (
        2, house.now,
    )  # fmt: skip
    assert (uses["mail", "create", ""].count, uses["mail", "create", ""].refused) == (0, 1)
    assert not any(use.caller == "a stranger" for use in found.callers)
    with house.direct() as store:
        secrets = [row[0] for row in store.execute("SELECT wrapped FROM kek UNION ALL SELECT wrapped FROM data_key")]
    said = repr(found)
    assert secrets
    assert not any(secret.hex() in said or repr(secret)[2:-1] in said for secret in secrets)


def test_the_count_of_keys_under_each_version_is_exact(house: House) -> None:
    people(house, 20)
    house.keys("keys").rotate("subject")
    people(house, 5, "new")
    house.keys("keys").rewrap("subject", 7)
    for number in (0, 3, 19):
        house.keys("privacy").destroy_subject(f"acc_{number}", "r")
    house.keys("privacy").destroy_subject("new_2", "r")
    with house.direct() as store:
        real = dict(store.execute("SELECT kek_version, count(*) FROM data_key WHERE purpose = 'subject' GROUP BY 1"))
    assert {version.version: version.data_keys for version in state(house).versions} == real
    assert sum(real.values()) == 21


def test_rotation_after_a_version_happens_once_whoever_asks(house: House) -> None:
    people(house, 1)
    first, second = house.ring().for_caller("keys"), house.ring().for_caller("keys")
    assert [keys.rotate("subject", 1) for keys in (first, second, first)] == [2, 2, 2]
    assert len(state(house).versions) == 2


def test_near_the_bound_the_next_version_wraps_by_itself(house: House) -> None:
    sealed = people(house, 2)
    with house.direct() as store:
        store.execute("UPDATE kek SET uses = ? WHERE purpose = 'subject'", (ROTATE_AT - 1,))
    sealed |= people(house, 3, "late")
    new, old = state(house).versions
    assert (old.uses, old.data_keys) == (ROTATE_AT, 3)
    assert (new.version, new.reason, new.uses, new.data_keys) == (2, Reason.BOUND, 2, 2)
    check_readable(house, sealed)
    entries = [e for b in house.keys("ledger").drain_journal(10_000) for e in b.entries]
    assert [(e.caller, e.purpose, e.name) for e in entries if e.verb is Verb.ROTATE] == [("keys", "subject", "bound")]


def test_no_key_seals_beyond_its_bound(house: House) -> None:
    keys = house.keys()
    keys.ensure_subject("acc_1")
    with house.direct() as store:
        store.execute("UPDATE data_key SET uses = ? WHERE name = 'acc_1'", (2**32 - 100,))
        store.execute("UPDATE kek SET uses = 4294967296 WHERE purpose = 'subject'")
    first = keys.seal("acc_1", "f", "r", b"acc_1")
    with house.direct() as store:
        rows = store.execute("SELECT version, uses, kek_version FROM data_key WHERE name = 'acc_1'").fetchall()
    assert rows == [(1, 2**32 - 100, 1), (2, 256, 2)]
    check_readable(house, {"acc_1": first})


def test_an_old_version_is_destroyed_only_when_its_time_has_come_and_nothing_needs_it(house: House) -> None:
    sealed = people(house, 4)
    keys = house.keys("keys")
    keys.rotate("subject")
    house.pass_time(31 * 86400)
    assert keys.retire("subject") == ()
    keys.rewrap("subject", 3)
    assert keys.retire("subject") == ()
    keys.rewrap("subject")
    house.now -= timedelta(days=2)
    assert keys.retire("subject") == ()
    house.now += timedelta(days=2)
    assert keys.retire("subject") == (1,)
    assert keys.retire("subject") == ()
    with house.direct() as store:
        assert store.execute("SELECT wrapped FROM kek WHERE purpose = 'subject' AND version = 1").fetchone() == (b"",)
    old = state(house).versions[1]
    assert (old.state, old.destroyed_at) == (VersionState.DESTROYED, house.now)
    check_readable(house, sealed)


def test_a_version_is_destroyed_on_demand_only_when_nothing_needs_it(house: House) -> None:
    people(house, 2)
    keys = house.keys("keys")
    with pytest.raises(KeyInUse):
        keys.retire("subject", 1)
    keys.rotate("subject")
    with pytest.raises(KeyInUse):
        keys.retire("subject", 1)
    keys.rewrap("subject")
    with pytest.raises(NoSuchKey):
        keys.retire("subject", 7)
    with pytest.raises(NoSuchKey):
        keys.retire("nothing", 1)
    assert keys.retire("subject", 1) == (1,)
    assert keys.retire("subject", 1) == ()


def test_the_database_itself_keeps_a_version_that_is_needed(house: House) -> None:
    people(house, 1)
    with house.direct() as store, pytest.raises(Exception, match="data keys depend on it"):
        store.execute("UPDATE kek SET wrapped = x'', destroyed_at = 'now' WHERE purpose = 'subject'")


def test_keys_kept_elsewhere_hold_their_version_until_somebody_decides(house: House) -> None:
    backups, keys = house.keys("backups"), house.keys("keys")
    pairs = [(f"copy {number}".encode(), bytes([number]) * 32) for number in range(5)]
    wrapped = backups.wrap_many("backups.daily", pairs)
    keys.rotate("backups.daily")
    house.pass_time(400 * 86400)
    assert keys.retire("backups.daily") == ()
    contexts = [context for context, _ in pairs]
    anew = backups.rewrap_many("backups.daily", zip(contexts, wrapped, strict=True))
    assert keys.retire("backups.daily", 1) == (1,)
    opened = backups.unwrap_many("backups.daily", zip(contexts, anew, strict=True))
    assert list(zip(contexts, opened, strict=True)) == pairs
    with pytest.raises(KeyUnavailable, match="destroyed"):
        backups.unwrap("backups.daily", contexts[0], wrapped[0])
    with pytest.raises(KeyTampered):
        backups.unwrap_many("backups.daily", [(contexts[0], anew[0]), (contexts[0], anew[1])])


def test_many_are_opened_at_once_and_each_says_what_it_is(house: House) -> None:
    people(house, 2)
    house.keys("privacy").destroy_subject("acc_1", "r")
    found = house.rings[0].service.open_many("identity", Kind.SUBJECT, ["acc_0", "acc_1", "acc_2"])
    assert [(f.name, f.key is not None, f.erased) for f in found] == [
        ("acc_0", True, False), ("acc_1", False, True), ("acc_2", False, False),
    ]  # fmt: skip
    with pytest.raises(TooLarge):
        house.rings[0].service.open_many("identity", Kind.SUBJECT, [f"acc_{n}" for n in range(1001)])


@pytest.mark.parametrize("days", [-400, -3, 0, 400])
def test_a_clock_that_was_wrong_delays_no_rotation(house: House, days: int) -> None:
    """The key was made under a clock that was `days` off; the next one is due within the period all the same."""
    right = house.now
    house.now += timedelta(days=days)
    people(house, 1)
    house.now = right
    due = state(house).rotation_due
    assert due is not None
    assert due <= right + timedelta(days=90)
    if days > 0:
        house.keys("keys").rotate("subject")
        assert state(house).rotation_due == right + timedelta(days=90)
        assert state(house).versions[1].retire_at == right + timedelta(days=30)


def test_a_version_made_under_a_clock_that_ran_ahead_keeps_no_older_one(house: House) -> None:
    people(house, 1)
    right = house.now
    house.now += timedelta(days=400)
    house.keys("keys").rotate("subject")
    house.now = right
    house.keys("keys").rotate("subject")
    assert [version.retire_at for version in state(house).versions[1:]] == [right + timedelta(days=30)] * 2


def test_without_a_schedule_nothing_is_ever_due(house: House) -> None:
    house.settings = KeySettings(rotate_days=0)
    people(house, 1)
    house.pass_time(4000 * 86400)
    assert state(house).rotation_due is None


def test_a_damaged_data_key_holds_up_no_other_and_is_not_hidden(house: House) -> None:
    sealed = people(house, 5)
    with house.direct() as store:
        store.execute("UPDATE data_key SET wrapped = zeroblob(60) WHERE name = 'acc_2'")
    keys = house.keys("keys")
    keys.rotate("subject")
    assert keys.rewrap("subject") == 1
    with pytest.raises(KeyTampered):
        keys.rewrap("subject")
    del sealed["acc_2"]
    check_readable(house, sealed)


def test_work_does_not_grow_with_the_number_of_versions(house: House) -> None:
    """Statements and pages read are counted, not time."""

    def work() -> tuple[int, int]:
        connection: Any = house.rings[0].service._store._connection  # type: ignore[attr-defined]
        statements: list[str] = []
        connection.set_trace_callback(statements.append)
        steps = 0

        def step() -> int:
            nonlocal steps
            steps += 1
            return 0

        connection.set_progress_handler(step, 10)
        for number in range(20):
            house.rings[0].service.open("identity", Kind.SUBJECT, f"acc_{number}", reserve=1)
        connection.set_progress_handler(None, 1)
        connection.set_trace_callback(None)
        return len(statements), steps

    people(house, 20)
    house.rings[0].service.open("identity", Kind.SUBJECT, "acc_0")
    before = work()
    for _ in range(100):
        house.keys("keys").rotate("subject")
        house.keys("keys").rewrap("subject", 1)
    work()
    after = work()
    assert after[0] == before[0]
    assert after[1] <= before[1] * 1.15, (before, after)


def test_what_no_grant_of_its_own_allows_is_refused(house: House) -> None:
    people(house, 1)
    attempts: list[Callable[[CallerKeys], object]] = [
        lambda k: k.retire("subject"), lambda k: k.states(), lambda k: k.data_keys("subject"),
        lambda k: k.renew("r1", ["acc_0"]), lambda k: k.close_versions("r1", ["acc_0"]),
        lambda k: k.discard("acc_0", 1), lambda k: k.restrictions(), lambda k: k.restrict([]),
    ]  # fmt: skip
    for caller in DEFAULT_POLICY.callers.keys() - {"keys"} | {"", "nobody"}:
        for attempt in attempts:
            with pytest.raises(KeyPolicyRefused):
                attempt(house.keys(caller))


def test_the_key_management_may_open_nobodys_data(house: House) -> None:
    people(house, 1)
    with pytest.raises(KeyPolicyRefused):
        house.keys("keys").seal("acc_0", "f", "r", b"x")
    grants = DEFAULT_POLICY.callers["keys"]
    assert {grant.purpose for grant in grants if grant.kind is not None} == {"keys.probe"}


def test_a_policy_without_the_room_gives_nothing(house: House) -> None:
    house.policy = Policy({"identity": (Grant(Kind.SUBJECT, "subject", frozenset({Verb.CREATE, Verb.UNWRAP})),)})
    people(house, 1)
    with pytest.raises(KeyPolicyRefused):
        house.keys("keys").rotate("subject")

"""Policy, journal, rotation, and what happens when the store cannot write."""

from __future__ import annotations

import itertools

import pytest

from subscription_services.kernel.errors import Unavailable
from subscription_services.keys import (
    DEFAULT_POLICY,
    Grant,
    JournalBatch,
    JournalEntry,
    KeyConflict,
    KeyPolicyRefused,
    KeyTampered,
    KeyUnavailable,
    Kind,
    NoSuchKey,
    Policy,
    Verb,
)
from subscription_services.keys.errors import KeyStoreDamaged

from .conftest import House


def journal(house: House) -> list[JournalEntry]:
    """Take everything there is, and acknowledge it."""
    batches = house.keys("ledger").drain_journal(10_000)
    for batch in batches:
        house.keys("ledger").acknowledge(batch.id)
    return [entry for batch in batches for entry in batch.entries]


def seen(house: House) -> list[tuple[str, str, str, str, int]]:
    return [(e.caller, e.verb.value, e.name, e.outcome.value, e.count) for e in journal(house)]


def test_each_access_is_journaled_with_who_what_and_how_often(house: House) -> None:
    house.ring()
    journal(house)
    identity, ledger, backups = house.keys("identity"), house.keys("ledger"), house.keys("backups")
    identity.ensure_subject("acc_1")
    identity.ensure_subject("acc_1")
    sealed = identity.seal("acc_1", "f", "r", b"x")
    identity.unseal("acc_1", "f", "r", sealed)
    identity.secret("identity.pepper")
    for _ in range(3):
        ledger.sign("ledger.checkpoint", b"x")
    ledger.public_key("ledger.checkpoint")
    backups.unwrap("backups.daily", b"1", backups.wrap("backups.daily", b"1", bytes(32)))
    house.keys("privacy").destroy_subject("acc_1", "asked for it")
    with pytest.raises(KeyPolicyRefused):
        house.keys("mail").ensure_subject("acc_2")
    assert seen(house) == [
        ("identity", "create", "acc_1", "allowed", 1),
        ("identity", "unwrap", "acc_1", "allowed", 1),
        ("identity", "create", "identity.pepper", "allowed", 1),
        ("identity", "export", "identity.pepper", "allowed", 1),
        ("ledger", "create", "ledger.checkpoint", "allowed", 1),
        ("ledger", "sign", "ledger.checkpoint", "allowed", 3),
        ("ledger", "publish", "ledger.checkpoint", "allowed", 1),
        ("backups", "wrap", "", "allowed", 1),
        ("backups", "unwrap", "", "allowed", 1),
        ("privacy", "destroy", "acc_1", "allowed", 1),
        ("mail", "create", "acc_2", "refused", 1),
    ]


def test_the_purpose_of_a_subject_stands_in_the_journal(house: House) -> None:
    house.keys().ensure_subject("acc_1")
    house.keys().seal("acc_1", "f", "r", b"x")
    house.keys("privacy").destroy_subject("acc_1", "r")
    entries = [e for e in journal(house) if e.name == "acc_1"]
    assert {(e.verb, e.purpose) for e in entries} == {
        (verb, "subject") for verb in (Verb.CREATE, Verb.UNWRAP, Verb.DESTROY)
    }


def test_equal_accesses_are_counted_by_window_with_first_and_last_time(house: House) -> None:
    ledger = house.keys("ledger")
    ledger.sign("ledger.checkpoint", b"x")
    journal(house)
    start = house.now
    for _ in range(6):
        ledger.sign("ledger.checkpoint", b"x")
        house.pass_time(20)
    entries = [e for e in journal(house) if e.verb is Verb.SIGN]
    assert [e.count for e in entries] == [3, 3]
    assert [(e.first_at - start).total_seconds() for e in entries] == [0, 60]
    assert [(e.last_at - start).total_seconds() for e in entries] == [40, 100]


def test_a_batch_comes_again_until_it_is_acknowledged_and_never_changes(house: House) -> None:
    ledger = house.keys("ledger")
    ledger.sign("ledger.checkpoint", b"x")
    (first,) = ledger.drain_journal(10_000)
    ledger.sign("ledger.checkpoint", b"x")
    house.close()
    again = house.keys("ledger").drain_journal(10_000)
    assert again[0] == first
    assert [(e.verb, e.count) for e in again[1].entries] == [(Verb.SIGN, 1)]
    house.keys("ledger").acknowledge(first.id)
    house.keys("ledger").acknowledge(first.id)
    assert house.keys("ledger").drain_journal(10_000) == again[1:]
    house.keys("ledger").acknowledge(again[1].id)
    assert house.keys("ledger").drain_journal(10_000) == ()


def test_a_drain_takes_no_more_than_its_limit_and_loses_nothing(house: House) -> None:
    for number in range(25):
        house.keys().ensure_subject(f"acc_{number}")
    names: list[str] = []
    for _ in range(10):
        batches: tuple[JournalBatch, ...] = house.keys("ledger").drain_journal(10)
        for batch in batches:
            assert len(batch.entries) <= 10
            names += [entry.name for entry in batch.entries]
            house.keys("ledger").acknowledge(batch.id)
    assert sorted(n for n in names if n.startswith("acc")) == sorted(f"acc_{n}" for n in range(25))


def test_only_the_ledger_takes_the_journal(house: House) -> None:
    for caller in ("identity", "privacy", "", "nobody"):
        with pytest.raises(KeyPolicyRefused):
            house.keys(caller).drain_journal(1)
        with pytest.raises(KeyPolicyRefused):
            house.keys(caller).acknowledge("x")
    assert ("identity", "journal", "", "refused", 2) in seen(house)


@pytest.mark.parametrize(
    ("caller", "attempt"),
    [
        ("nobody", lambda k: k.ensure_subject("acc_2")),
        ("nobody", lambda k: k.seal("acc_1", "f", "r", b"")),
        ("storage", lambda k: k.unseal("acc_1", "f", "r", b"\x01\0\0\0\x01" + bytes(28))),
        ("identity", lambda k: k.destroy_subject("acc_1", "r")),
        ("ledger", lambda k: k.destroy_subject("acc_1", "r")),
        ("identity", lambda k: k.secret("storage.store")),
        ("identity", lambda k: k.mac("identity", b"")),
        ("identity", lambda k: k.mac("identityx.link", b"")),
        ("storage", lambda k: k.blind_index("identity.account.email", "x")),
        ("identity", lambda k: k.sign("ledger.checkpoint", b"")),
        ("trust", lambda k: k.sign("ledger.checkpoint", b"")),
        ("ledger", lambda k: k.wrap("backups.daily", b"", bytes(32))),
        ("identity", lambda k: k.rotate("subject")),
        ("identity", lambda k: k.rewrap("subject")),
        ("identity", lambda k: k.tombstones()),
        ("privacy", lambda k: k.replay_tombstones([])),
    ],
)
def test_what_the_policy_does_not_list_is_refused_and_journaled(house: House, caller: str, attempt: object) -> None:
    house.keys("identity").ensure_subject("acc_1")
    house.keys("identity").secret("identity.pepper")
    house.keys("ledger").sign("ledger.checkpoint", b"")
    journal(house)
    assert callable(attempt)
    with pytest.raises(KeyPolicyRefused):
        attempt(house.keys(caller))
    (entry,) = journal(house)
    assert (entry.caller, entry.outcome, entry.count) == (caller, "refused", 1)


def test_a_key_that_one_caller_has_open_is_closed_to_the_next(house: House) -> None:
    house.keys("storage").secret("storage.store")
    house.keys("identity").ensure_subject("acc_1")
    sealed = house.keys("identity").seal("acc_1", "f", "r", b"x")
    with pytest.raises(KeyPolicyRefused):
        house.keys("storage").unseal("acc_1", "f", "r", sealed)


def test_no_policy_hands_out_a_signing_key(house: House) -> None:
    verbs = frozenset(Verb)
    house.policy = Policy({"all": tuple(Grant(kind, "all.*", verbs) for kind in Kind)})
    house.keys("all").sign("all.key", b"")
    with pytest.raises(KeyPolicyRefused):
        house.rings[0].service.open("all", Kind.SIGN, "all.key")


def test_destroying_is_given_to_nobody_but_privacy_and_the_log() -> None:
    may = {
        caller
        for caller, grants in DEFAULT_POLICY.callers.items()
        for grant in grants
        if grant.kind is Kind.SUBJECT and Verb.DESTROY in grant.verbs
    }
    assert may == {"privacy", "ledger"}
    assert DEFAULT_POLICY.allows("ledger", Verb.DESTROY, Kind.SUBJECT, "origin")


def test_a_reader_may_publish_what_it_may_not_create(house: House) -> None:
    with pytest.raises(NoSuchKey):
        house.keys("trust").public_key("ledger.checkpoint")
    house.keys("ledger").sign("ledger.checkpoint", b"")
    assert house.keys("trust").public_key("ledger.checkpoint") == house.keys("ledger").public_key("ledger.checkpoint")


def test_rotation_leaves_old_data_readable_and_moves_every_key(house: House) -> None:
    keys, operator = house.keys(), house.keys("keys")
    sealed = {}
    for number in range(25):
        keys.ensure_subject(f"acc_{number}")
        sealed[f"acc_{number}"] = keys.seal(f"acc_{number}", "f", "r", b"x")
    assert operator.rotate("subject") == 2
    keys.ensure_subject("acc_new")
    left = [operator.rewrap("subject", 10) for _ in range(3)]
    assert left == [15, 5, 0]
    with house.direct() as store:
        rows = store.execute("SELECT DISTINCT kek_version FROM data_key WHERE purpose = 'subject'").fetchall()
        assert rows == [(2,)]
        store.execute("DELETE FROM kek WHERE purpose = 'subject' AND version = 1")
    house.close()
    assert all(house.keys().unseal(subject, "f", "r", value) == b"x" for subject, value in sealed.items())
    entries = journal(house)
    assert sum(e.count for e in entries if e.verb is Verb.WRAP) == 25
    assert sum(e.count for e in entries if e.verb is Verb.ROTATE) == 4


def test_a_used_up_key_encryption_key_is_followed_by_another(house: House) -> None:
    house.keys().ensure_subject("acc_1")
    with house.direct() as store:
        store.execute("UPDATE kek SET uses = 4294967296 WHERE purpose = 'subject'")
    house.keys().ensure_subject("acc_2")
    with house.direct() as store:
        rows = store.execute("SELECT name, kek_version FROM data_key WHERE kind = 'subject'").fetchall()
    assert sorted(rows) == [("acc_1", 1), ("acc_2", 2)]


def test_keys_kept_elsewhere_open_only_with_their_context(house: House) -> None:
    keys = house.keys("backups")
    wrapped = keys.wrap("backups.daily", b"snapshot 1", b"k" * 32)
    house.keys("keys").rotate("backups.daily")
    assert keys.unwrap("backups.daily", b"snapshot 1", wrapped) == b"k" * 32
    for purpose, context, changed in itertools.chain(
        [("backups.daily", b"snapshot 2", wrapped), ("backups.other", b"snapshot 1", wrapped)],
        [("backups.daily", b"snapshot 1", bytes([b ^ (i == at) for i, b in enumerate(wrapped)])) for at in range(65)],
        [("backups.daily", b"snapshot 1", wrapped[:cut]) for cut in (0, 4, 5, 20)],
    ):
        with pytest.raises(KeyUnavailable):
            keys.unwrap(purpose, context, changed)


def test_a_full_disk_hands_out_nothing_and_is_survived(house: House) -> None:
    keys = house.keys()
    keys.ensure_subject("acc_1")
    sealed = keys.seal("acc_1", "f", "r", b"x")
    house.close()
    keys = house.keys()
    connection = house.rings[0].service._store._connection  # type: ignore[attr-defined]
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(Unavailable, match="full"):
        for number in range(10_000):
            keys.ensure_subject(f"acc_full_{number}")
    connection.execute("PRAGMA max_page_count = 1000000")
    assert keys.unseal("acc_1", "f", "r", sealed) == b"x"
    keys.ensure_subject("acc_after")
    assert keys.unseal("acc_after", "f", "r", keys.seal("acc_after", "f", "r", b"y")) == b"y"


def test_without_its_journal_no_key_is_handed_out(house: House) -> None:
    keys = house.keys()
    keys.ensure_subject("acc_1")
    sealed = keys.seal("acc_1", "f", "r", b"x")
    house.close()
    keys = house.keys()
    with house.direct() as store:
        store.execute("ALTER TABLE journal RENAME TO elsewhere")
    for attempt in (
        lambda: keys.unseal("acc_1", "f", "r", sealed),
        lambda: keys.ensure_subject("acc_2"),
        lambda: house.keys("privacy").destroy_subject("acc_1", "r"),
        lambda: house.keys("mail").ensure_subject("acc_3"),
    ):
        with pytest.raises(KeyUnavailable):
            attempt()
    house.close()
    with pytest.raises(KeyStoreDamaged, match="journal"):
        house.ring()
    with house.direct() as store:
        store.execute("ALTER TABLE elsewhere RENAME TO journal")
        assert store.execute("SELECT count(*) FROM data_key WHERE kind = 'subject'").fetchone() == (1,)
    assert house.keys().unseal("acc_1", "f", "r", sealed) == b"x"


def test_a_key_made_in_a_transaction_that_failed_leaves_nothing_behind(house: House) -> None:
    """The key-encryption key of an undone creation must not wrap later keys from memory."""
    house.ring()
    with house.direct() as store:
        store.execute(
            "CREATE TRIGGER broken BEFORE INSERT ON data_key BEGIN SELECT RAISE(ABORT, 'no'); END",
        )
    with pytest.raises(KeyUnavailable):
        house.keys().ensure_subject("acc_1")
    with house.direct() as store:
        assert store.execute("SELECT count(*) FROM kek WHERE purpose = 'subject'").fetchone() == (0,)
        store.execute("DROP TRIGGER broken")
    house.keys().ensure_subject("acc_1")
    sealed = house.keys().seal("acc_1", "f", "r", b"x")
    house.close()
    assert house.keys().unseal("acc_1", "f", "r", sealed) == b"x"


def test_a_closed_ring_gives_nothing(house: House) -> None:
    keys = house.keys()
    keys.ensure_subject("acc_1")
    sealed = keys.seal("acc_1", "f", "r", b"x")
    house.close()
    with pytest.raises(KeyUnavailable):
        keys.unseal("acc_1", "f", "r", sealed)


def test_a_newer_store_is_left_alone(house: House) -> None:
    house.ring()
    house.close()
    with house.direct() as store:
        store.execute("PRAGMA user_version = 99")
    with pytest.raises(KeyStoreDamaged, match="99"):
        house.ring()


def test_a_tampered_key_is_journaled_as_failed(house: House) -> None:
    house.keys().ensure_subject("acc_1")
    with house.direct() as store:
        store.execute("UPDATE data_key SET wrapped = zeroblob(60) WHERE name = 'acc_1'")
    with pytest.raises(KeyTampered):
        house.keys().seal("acc_1", "f", "r", b"x")
    assert ("identity", "unwrap", "acc_1", "failed", 1) in seen(house)


def test_one_name_cannot_have_two_purposes_in_the_service(house: House) -> None:
    house.keys("ledger").ensure_subject("acc_1")
    with pytest.raises(KeyConflict):
        house.keys("ledger").ensure_subject("acc_1", "origin")
    assert ("ledger", "create", "acc_1", "failed", 1) in seen(house)

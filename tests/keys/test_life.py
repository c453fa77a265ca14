"""Whatever is done to the keys in whatever order: what was not erased opens, and what was erased never does."""

from __future__ import annotations

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from subscription_services.keys import CallerKeys, KeyConflict, KeyPolicyRefused, SubjectErased, VersionState
from subscription_services.keys.hierarchy import ROTATE_AT

from .conftest import House


class Life(RuleBasedStateMachine):
    """Two rings stand for two processes; one is replaced by a fresh one now and then."""

    subjects = Bundle("subjects")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.house = House(self.folder / "keys")
        self.house.ring()
        self.house.ring()
        self.sealed: list[tuple[str, bytes, bytes]] = []
        self.erased: set[str] = set()
        self.renewals = 0
        self.made = 0
        self.closed: dict[str, int] = {}

    def keys(self, caller: str, which: int = 0) -> CallerKeys:
        return self.house.rings[which].for_caller(caller)

    @rule(target=subjects)
    def create(self) -> str:
        self.made += 1
        name = f"acc_{self.made}"
        self.keys("identity", self.made % 2).ensure_subject(name)
        return name

    @rule(subject=subjects, which=st.integers(0, 1), text=st.binary(max_size=20))
    def seal(self, subject: str, which: int, text: bytes) -> None:
        self.house.pass_time(1)
        if subject in self.erased:
            with pytest.raises(SubjectErased):
                self.keys("identity", which).seal(subject, "f", "r", text)
        else:
            self.sealed.append((subject, text, self.keys("identity", which).seal(subject, "f", "r", text)))

    @rule(which=st.integers(0, 1))
    def rotate(self, which: int) -> None:
        if self.made:
            self.keys("keys", which).rotate("subject")

    @rule(which=st.integers(0, 1), limit=st.integers(1, 5))
    def rewrap(self, which: int, limit: int) -> None:
        self.keys("keys", which).rewrap("subject", limit)

    @rule(days=st.sampled_from([-50, -1, 1, 31, 100]))
    def retire_as_the_clock_jumps(self, days: int) -> None:
        self.house.now += timedelta(days=days)
        if self.made:
            self.keys("keys").retire("subject")

    @rule(subject=subjects, which=st.integers(0, 1))
    def renew(self, subject: str, which: int) -> None:
        self.renewals += 1
        self.keys("keys", which).renew(f"r{self.renewals}", [subject])

    @rule(subject=subjects)
    def renew_and_close(self, subject: str) -> None:
        self.renewals += 1
        version = self.keys("identity").sealing_version(subject) if subject not in self.erased else 0
        self.keys("keys").renew(f"r{self.renewals}", [subject])
        self.keys("keys").close_versions(f"r{self.renewals}", [subject])
        self.closed[subject] = version

    @rule(subject=consumes(subjects), which=st.integers(0, 1))
    def erase(self, subject: str, which: int) -> None:
        self.keys("privacy", which).destroy_subject(subject, "asked for it")
        self.erased.add(subject)

    @rule()
    def near_the_bound(self) -> None:
        with self.house.direct() as store:
            store.execute("UPDATE kek SET uses = max(uses, ?) WHERE destroyed_at IS NULL", (ROTATE_AT,))

    @rule()
    def restart(self) -> None:
        self.house.rings.pop(0).close()
        self.house.ring()

    @invariant()
    def what_was_not_erased_opens_and_what_was_never_does(self) -> None:
        self.house.pass_time(1)
        for subject, text, value in self.sealed[-12:]:
            version = int.from_bytes(value[1:5], "big")
            for which in (0, 1):
                if subject in self.erased:
                    with pytest.raises(SubjectErased):
                        self.keys("identity", which).unseal(subject, "f", "r", value)
                elif version <= self.closed.get(subject, 0):
                    with pytest.raises(KeyPolicyRefused):
                        self.keys("identity", which).unseal(subject, "f", "r", value)
                    assert self.keys("ledger", which).unseal(subject, "f", "r", value) == text
                else:
                    assert self.keys("identity", which).unseal(subject, "f", "r", value) == text

    @invariant()
    def the_books_are_right(self) -> None:
        with self.house.direct() as store:
            wrong = store.execute(
                "SELECT purpose, version FROM kek WHERE data_keys <> (SELECT count(*) FROM data_key AS d"
                " WHERE d.purpose = kek.purpose AND d.kek_version = kek.version)"
                " OR (destroyed_at IS NOT NULL) <> (length(wrapped) = 0)"
                " OR (destroyed_at IS NOT NULL AND data_keys > 0)"
            ).fetchall()
        assert wrong == []
        for found in self.keys("keys").states().purposes:
            assert [v.state for v in found.versions].count(VersionState.ACTIVE) == 1
            assert found.versions[0].state is VersionState.ACTIVE

    def teardown(self) -> None:
        self.house.close()
        shutil.rmtree(self.folder)


Life.TestCase.settings = settings(
    max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLife = Life.TestCase


def test_the_same_name_never_changes_its_purpose_by_renewal(house: House) -> None:
    house.keys("ledger").ensure_subject("period_1", "origin")
    house.keys("keys").renew("r1", ["period_1"])
    with pytest.raises(KeyConflict):
        house.keys("ledger").ensure_subject("period_1", "subject")

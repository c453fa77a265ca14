"""Few unwrapped keys in memory, and none that was destroyed."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscription_services.keys import KeySettings
from subscription_services.keys.cache import KeyCache

from .conftest import House


@given(size=st.integers(1, 5), used=st.lists(st.integers(0, 8)))
def test_keeps_the_most_recently_used(size: int, used: list[int]) -> None:
    cache: KeyCache[int, str] = KeyCache(size)
    for key in used:
        if cache.get(key) is None:
            cache.put(key, str(key), cache.epoch)
        assert len(cache) <= size
    recent = list(dict.fromkeys(reversed(used)))[:size]
    assert [key for key in range(9) if cache.get(key)] == sorted(recent)


def test_what_was_fetched_before_an_eviction_is_not_kept() -> None:
    cache: KeyCache[str, str] = KeyCache(10)
    before = cache.epoch
    cache.evict(lambda key: key == "a")
    cache.put("a", "destroyed meanwhile", before)
    assert cache.get("a") is None


def test_a_cache_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError):
        KeyCache(0)


def test_threads_do_not_break_it() -> None:
    cache: KeyCache[int, int] = KeyCache(20)
    failures: list[Exception] = []

    def work(start: int) -> None:
        try:
            for number in range(start, start + 5000):
                key = number % 40
                if (found := cache.get(key)) is not None and found != key:
                    raise AssertionError(f"{key} gave {found}")
                cache.put(key, key, cache.epoch)
                if number % 97 == 0:
                    cache.evict(lambda gone, key=key: gone == key)  # type: ignore[misc]
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and len(cache) <= 20


def test_the_ring_keeps_no_more_than_the_setting_says(house: House) -> None:
    house.settings = KeySettings(cache_size=8)
    keys = house.keys()
    sealed = {}
    for number in range(30):
        keys.ensure_subject(f"acc_{number}")
        sealed[number] = keys.seal(f"acc_{number}", "f", "r", b"%d" % number)
        assert len(house.rings[0].cache) <= 8
    assert all(keys.unseal(f"acc_{n}", "f", "r", value) == b"%d" % n for n, value in sealed.items())


def test_a_cached_key_is_no_access_and_a_forgotten_one_is(house: House) -> None:
    house.settings = KeySettings(cache_size=2)
    keys = house.keys()

    def unwraps() -> int:
        batches = house.keys("ledger").drain_journal(1000)
        return sum(e.count for b in batches for e in b.entries if e.verb == "unwrap" and e.name == "acc_1")

    keys.ensure_subject("acc_1")
    for _ in range(100):
        keys.seal("acc_1", "f", "r", b"x")
    assert unwraps() == 1
    keys.ensure_subject("acc_2")
    keys.seal("acc_2", "f", "r", b"x")
    keys.seal("acc_1", "f", "r", b"x")
    assert unwraps() == 2

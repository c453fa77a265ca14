"""A bounded cache of unwrapped keys, least recently used out first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class KeyCache(Generic[K, V]):
    """Safe for threads. A value fetched before an eviction is never kept after it."""

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError("a cache of keys holds at least one")
        self._size = size
        self._values: OrderedDict[K, V] = OrderedDict()
        self.kept: Mapping[K, V] = self._values
        """To look up in when every step counts; `use` notes a use first, and raises KeyError for what is not kept."""
        self.use = self._values.move_to_end
        self._lock = threading.Lock()
        self._epoch = 0

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V | None:
        """The value, noting its use. Each of the two steps is whole by itself, so it needs no lock."""
        try:
            self.use(key)
            return self._values[key]
        except KeyError:
            return None

    @property
    def epoch(self) -> int:
        """Read it before fetching a value, and give it to `put`."""
        return self._epoch

    def put(self, key: K, value: V, epoch: int) -> None:
        """Keep the value unless something was evicted since `epoch`: it might be what was destroyed."""
        with self._lock:
            if epoch != self._epoch:
                return
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self._size:
                self._values.popitem(last=False)

    def evict(self, gone: Callable[[K], bool]) -> None:
        """Drop every entry whose key is `gone`."""
        with self._lock:
            self._epoch += 1
            for key in [key for key in self._values if gone(key)]:
                del self._values[key]

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from subscription_services.testing import World

from .sample import OPERATIONS, sample


@pytest.fixture
def house(place: tuple[Path, str]) -> Iterator[World]:
    """A world with the sample table and its operations."""
    data, database = place
    with World.open(data, database, more=OPERATIONS) as world:
        sample.metadata.create_all(world.house.store.write_engine)
        yield world

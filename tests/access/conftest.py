"""A house with operations that take others, for tests of approvals and tasks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from subscription_services.testing import World

from .granting import OPERATIONS, furnish


@pytest.fixture
def house(place: tuple[Path, str]) -> Iterator[World]:
    with World.open(*place, more=OPERATIONS) as world:
        furnish(world)
        yield world

"""The processor as its own process, once; a shop on each engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from subscription_services.billing.jobs import Till
from subscription_services.billing.processor import StripeProcessor
from subscription_services.billing.settings import BillingSettings
from subscription_services.testing import World
from tests.billing.shop import Shop, settings_for
from tests.sandbox.processes import Processor, processor_process


@pytest.fixture(scope="session")
def processor_server() -> Iterator[Processor]:
    with processor_process() as found:
        yield found


@pytest.fixture
def processor(processor_server: Processor) -> Processor:
    """The processor on a good day."""
    processor_server.behave()
    return processor_server


@pytest.fixture
def shop(place: tuple[Path, str], processor: Processor) -> Iterator[Shop]:
    """A house whose processor is the real process."""
    data, database = place
    with World.open(data, database, **settings_for(processor)) as world:
        settings = world.house.settings.of(BillingSettings)
        yield Shop(world, processor, Till(StripeProcessor(settings)))

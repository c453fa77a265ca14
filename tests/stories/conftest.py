"""One running service per engine for all stories."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from subscription_services.testing import PostgresServer
from tests.stories.running import Service, start


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service on the embedded store."""
    running = start(tmp_path_factory.mktemp("service"))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def service_on_postgres(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[Service]:
    """The service on PostgreSQL."""
    running = start(tmp_path_factory.mktemp("service-pg"), SUBS_DATABASE=postgres.create("stories"))
    yield running
    running.stop()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def either(request: pytest.FixtureRequest) -> Service:
    """The service on each engine in turn."""
    name = "service" if request.param == "sqlite" else "service_on_postgres"
    found = request.getfixturevalue(name)
    assert isinstance(found, Service)
    return found


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """The system's Chromium. Not for the session: while it is open, its loop keeps others from running theirs."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        yield running
        running.close()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go, for people who want to look."""
    return tmp_path_factory.mktemp("pictures")

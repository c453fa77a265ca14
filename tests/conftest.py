"""Fixtures for every room: a house on each engine, from a template made once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from subscription_services.testing import (
    PostgresServer,
    ValkeyServer,
    World,
    find_postgres,
    find_valkey,
    prepared_template,
)

CI = os.environ.get("CI") == "true"
# on CI the same examples each time, so that a red run is about the change; here new ones each time, to find more
settings.register_profile("house", deadline=None, derandomize=CI)
settings.load_profile("house")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def missing(what: str) -> None:
    """Leave a test out because a real component is not here; on CI that is a failure."""
    if CI:
        pytest.fail(f"{what} is not installed, and CI runs every test", pytrace=False)
    pytest.skip(f"{what} is not installed")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of this session's own."""
    if find_postgres() is None:
        missing("PostgreSQL")
    server = PostgresServer.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[ValkeyServer]:
    """A Valkey or Redis server of this session's own."""
    if find_valkey() is None:
        missing("Valkey or Redis")
    server = ValkeyServer.start()
    yield server
    server.stop()


@pytest.fixture
def valkey(valkey_server: ValkeyServer) -> ValkeyServer:
    """The same, answering and empty."""
    valkey_server.ensure()
    return valkey_server


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the system's Chromium."""
    if CHROMIUM is None:
        missing("Chromium")
    assert CHROMIUM is not None
    return CHROMIUM


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_template(tmp_path_factory.mktemp("template-sqlite"))


@pytest.fixture(scope="session")
def postgres_template(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_template(tmp_path_factory.mktemp("template-postgres"), postgres.create("template_house"))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def engine(request: pytest.FixtureRequest) -> str:
    """The name of each engine in turn."""
    return str(request.param)


@pytest.fixture
def place(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Path, str]]:
    """A data directory and database URL with the schema in place, fresh for each test."""
    data = tmp_path / "data"
    if engine in ("sqlite", "valkey"):
        shutil.copytree(request.getfixturevalue("sqlite_template"), data)
        yield data, ""
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    shutil.copytree(request.getfixturevalue("postgres_template"), data)
    name = f"house_{os.urandom(6).hex()}"
    yield data, server.create(name, "template_house")
    server.drop(name)


@pytest.fixture
def world(place: tuple[Path, str], engine: str, request: pytest.FixtureRequest) -> Iterator[World]:
    """A whole house on each engine; a module whose `engine` names "valkey" too has its limits counted there."""
    data, database = place
    if engine != "valkey":
        with World.open(data, database) as opened:
            yield opened
        return
    server: ValkeyServer = request.getfixturevalue("valkey")
    with World.open(data, SUBS_LIMITS_URL=server.url) as opened:
        opened.clock.followers.append(server.pass_time)
        yield opened

"""From the one registry: every operation is allowed, denied and audited; every route names its operation."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from subscription_services import app
from subscription_services.kernel.errors import DomainError
from subscription_services.kernel.events import Outcome
from subscription_services.testing import Case, World

TESTS = Path(__file__).parents[1]
CASES: dict[str, Case] = {}
for path in sorted(TESTS.glob("*/cases.py")):
    for case in importlib.import_module(f"tests.{path.parent.name}.cases").CASES:
        CASES[case.operation] = case
NAMES = sorted(item.name for item in app.OPERATIONS)


def test_every_operation_has_a_case_and_every_case_an_operation() -> None:
    assert sorted(CASES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_allowed_and_audited(world: World, name: str) -> None:
    operation = world.house.kernel.registry.get(name)
    assert operation is not None
    actor, request = CASES[name].allow(world)
    before = {event.id for event in world.events(name)}
    world.do(operation, actor, request)
    found = [event for event in world.events(name) if event.id not in before]
    if operation.audited:
        assert [event.outcome for event in found] == [Outcome.SUCCESS]
        assert found[0].actor == actor.id or actor.kind == "anonymous"
    else:
        assert operation.public
        assert found == []


@pytest.mark.parametrize("engine", ["sqlite"])  # a refusal is decided by the same code on both
@pytest.mark.parametrize("name", NAMES)
def test_denied_and_recorded(world: World, name: str) -> None:
    operation = world.house.kernel.registry.get(name)
    assert operation is not None
    case = CASES[name].deny
    if case is None:
        assert operation.public, f"{name} is not public and needs somebody who is refused"
        return
    actor, request = case(world)
    before = {event.id for event in world.events(name)}
    with pytest.raises(DomainError):
        world.do(operation, actor, request)
    found = [event for event in world.events(name) if event.id not in before]
    assert len(found) == 1
    assert found[0].outcome in (Outcome.REFUSED, Outcome.FAILED)
    assert found[0].actor == actor.id or actor.kind == "anonymous"
    assert found[0].reason


def test_every_change_over_http_names_exactly_one_operation(world: World) -> None:
    registry = world.house.kernel.registry
    for route in world.house.routes:
        if route.method != "GET":
            assert route.operation is not None, route.path
            assert route.operation in registry
            assert route.operation.changes or route.reason
            assert not route.operation.internal or route.machine, route.path


def test_the_documents_match_the_registry() -> None:
    # in a process of its own: the tests declare texts too, and whoever ran here before left theirs
    command = [sys.executable, "-m", "subscription_services.cli", "document", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"run: make documents\n{done.stdout}{done.stderr}"


def test_every_operation_that_is_not_internal_is_in_the_api(world: World) -> None:
    paths = {route.path for route in world.house.routes}
    assert {f"/api/{item.name}" for item in app.OPERATIONS if not item.internal} <= paths
    assert not {f"/api/{item.name}" for item in app.OPERATIONS if item.internal} & paths


def test_the_schema_of_the_migrations_is_what_the_rooms_declare(world: World) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from subscription_services.kernel.model import metadata

    with world.house.store.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        differences = [item for item in compare_metadata(context, metadata) if "sample" not in str(item)]
    assert differences == []


def test_summaries_are_for_people_and_say_nothing_of_errors() -> None:
    """They stand on pages; what is raised follows in a paragraph of its own."""
    assert [item.name for item in app.OPERATIONS if "Raises" in item.summary] == []

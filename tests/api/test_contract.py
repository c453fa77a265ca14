"""The API against its own OpenAPI document, as a stranger, a subscriber and an administrator: never a server error."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import checks

from subscription_services.front import application
from subscription_services.identity.operations.sign_in import SignIn
from subscription_services.kernel.actors import Anonymous, Role
from subscription_services.testing import World
from subscription_services.testing.people import PASSWORD

HOST = {"host": "localhost"}


@pytest.fixture(scope="module")
def house(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    data = tmp_path_factory.mktemp("api") / "data"
    shutil.copytree(sqlite_template, data)
    with World.open(data) as world:
        yield world


@pytest.fixture(scope="module")
def tokens(house: World) -> dict[str, str]:
    """A session token for each kind of person."""
    house.subscriber("ada@example.org")
    member = house.team(Role.ADMINISTRATOR, Role.SUPPORT, Role.BILLING, Role.OPERATIONS, Role.AUDITOR, Role.SECURITY)
    signed = house.do("identity.sign_in", Anonymous(), SignIn("ada@example.org", PASSWORD))
    return {"anonymous": "", "subscriber": signed.token, "team": _renew(house, member.session)}


def _renew(house: World, session: str) -> str:
    """A known token for the session that testing made."""
    from subscription_services.identity import model
    from subscription_services.identity.tokens import digest

    token = "t" * 43
    change = model.session.update().where(model.session.c.id == session).values(digest=digest(token))
    house.write(lambda connection: connection.execute(change))
    return token


def test_no_request_makes_a_server_error(house: World, tokens: dict[str, str]) -> None:
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", application(house.house), headers=HOST)
    tried = 0
    for result in schema.get_all_operations():
        operation: Any = result.ok()  # type: ignore[union-attr]  # an invalid operation has none and fails here
        seen: list[int] = []
        _try(operation, tokens, seen)
        assert seen, operation.label
        tried += 1
    assert tried == sum(1 for route in house.house.routes if route.path.startswith("/api/") and route.operation)


def _try(operation: Any, tokens: dict[str, str], seen: list[int]) -> None:
    @settings(max_examples=8, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy())
    def call(case: Any) -> None:
        for token in tokens.values():
            headers = HOST | ({"authorization": f"Bearer {token}"} if token else {})
            response = case.call(headers=headers)
            case.validate_response(response, checks=[checks.not_a_server_error])
            seen.append(response.status_code)
            if response.status_code >= 400:
                assert response.headers["content-type"][0].startswith("application/problem+json"), operation.label
                assert response.json()["status"] == response.status_code

    call()

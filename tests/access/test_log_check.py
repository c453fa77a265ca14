"""The live check of log.all against the whole service: kept when every kind arrives, broken when one does not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from subscription_services import app, monitoring
from subscription_services.access.kinds_arrive import every_kind_arrives
from subscription_services.kernel.checks import Finding, Verdict
from subscription_services.kernel.events import Event
from subscription_services.kernel.settings import HouseSettings
from subscription_services.ledger.append import DatabaseEventLog
from subscription_services.storage import head
from subscription_services.testing import World
from tests.identity.test_pages_checks import listening


def started(world: World) -> None:
    data = world.house.settings.of(HouseSettings).data_path
    present = monitoring.Present("0.1", head(), world.house.settings, app.SLICES)
    world.run(monitoring.started(world.house.kernel, data, present))


def finding(world: World, folder: Path) -> Finding:
    async def work() -> Finding:
        async with listening(world, folder) as doors:
            return await every_kind_arrives(doors)

    found: Finding = world.run(work())
    return found


def losing(monkeypatch: pytest.MonkeyPatch, action: str, outcome: str, **instead: Any) -> None:
    """Events of this kind do not arrive, or arrive with something else in them."""
    append = DatabaseEventLog.append

    def lossy(self: DatabaseEventLog, connection: Connection, events: Sequence[Event]) -> None:
        kept = []
        for event in events:
            if (event.action, event.outcome.value) != (action, outcome):
                kept.append(event)
            elif instead:
                values = {name: getattr(event, name) for name in event.__struct_fields__}
                kept.append(Event(**{**values, **instead}))
        append(self, connection, kept)

    monkeypatch.setattr(DatabaseEventLog, "append", lossy)


def test_kept_when_every_kind_arrives(world: World, tmp_path: Path) -> None:
    started(world)
    found = finding(world, tmp_path)
    assert found.verdict is Verdict.KEPT, found
    assert found.evidence["missing"] == 0


@pytest.mark.parametrize(
    ("action", "outcome", "says"),
    [
        ("identity.sign_in", "success", "a sign-in"),
        ("identity.sign_in", "refused", "a refused sign-in"),
        ("identity.profile", "success", "a look at data"),
        ("access.people", "refused", "a refused call"),
        ("access.audit_log", "refused", "a stranger's call"),
    ],
)
def test_broken_when_a_kind_is_missing_or_lacks_a_field(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str, outcome: str, says: str
) -> None:
    started(world)
    monkeypatch.setattr("subscription_services.access.kinds_arrive.SOON", 0.3)
    losing(monkeypatch, action, outcome)
    found = finding(world, tmp_path)
    assert found.verdict is Verdict.BROKEN
    assert says in found.says


def test_broken_when_an_event_has_no_origin(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started(world)
    monkeypatch.setattr("subscription_services.access.kinds_arrive.SOON", 0.3)
    losing(monkeypatch, "identity.profile", "success", origin_index="")
    assert "a look at data" in finding(world, tmp_path).says


def test_broken_when_the_start_is_not_in_the_log(world: World, tmp_path: Path) -> None:
    found = finding(world, tmp_path)
    assert found.verdict is Verdict.BROKEN
    assert "this start of the service, the settings it runs with" in found.says

"""`subs ledger adopt` and `export`, once somebody is signed in."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from subscription_services.commands import log as log_commands
from subscription_services.kernel.actors import Role
from subscription_services.kernel.errors import Invalid, Refusal
from subscription_services.ledger.errors import MemoryMissing
from subscription_services.testing import World
from subscription_services.testing.world import FAST
from tests.ledger.served import client, grow, sign


@pytest.fixture
def house(sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A house whose security person is signed in at the command line."""
    shutil.copytree(sqlite_template, tmp_path / "data")
    with World.open(tmp_path / "data") as world:
        person = world.team(Role.SECURITY)

        @contextmanager
        def signed_in(environment: Any, email: str) -> Iterator[Any]:
            def act(name: str, given: dict[str, str]) -> Any:
                operation = world.house.kernel.registry.get(name)
                assert operation is not None
                return world.do(operation, person, msgspec.convert(given, operation.request, strict=False))

            yield act

        @contextmanager
        def signed_in_client(environment: Any, email: str) -> Iterator[Any]:
            yield client(world, person)

        monkeypatch.setattr(log_commands, "signed_in", signed_in)
        monkeypatch.setattr(log_commands, "signed_in_client", signed_in_client)
        grow(world, 20)
        yield world


def environment(tmp_path: Path) -> dict[str, str]:
    return {**FAST, "SUBS_DATA": str(tmp_path / "data")}


def test_a_lost_memory_is_adopted_after_a_look_and_a_record(house: World, tmp_path: Path) -> None:
    (tmp_path / "data" / "ledger.json").unlink()
    with pytest.raises(MemoryMissing):
        sign(house)
    shown: list[str] = []

    def answer(well: bool) -> Any:
        return lambda text: shown.append(text) or well  # type: ignore[func-returns-value]

    with pytest.raises(Refusal, match="Nothing was adopted"):
        log_commands.adopt_log(environment(tmp_path), "s@example.org", "New disk.", answer(False))
    with pytest.raises(MemoryMissing):
        sign(house)
    said = log_commands.adopt_log(environment(tmp_path), "s@example.org", "New disk.", answer(True))
    assert said.startswith("Adopted: ")
    assert "unwitnessed" in shown[-1]
    (event,) = house.events("ledger.adopt")
    assert f"{event.details['size']} entries under {event.details['root']}" in said
    sign(house)


def test_the_export_tells_how_far_it_is(house: World, tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    done = log_commands.export_log(
        environment(tmp_path), "s@example.org", tmp_path / "new" / "copy", lambda now, total: steps.append((now, total))
    )
    assert steps[-1] == (done.checkpoint.size, done.checkpoint.size)
    assert (tmp_path / "new" / "copy" / "checkpoint").exists()


@pytest.mark.parametrize("form", ["proofs", "ocsf"])
def test_a_stretch_of_the_log_is_saved_whole(house: World, tmp_path: Path, form: str) -> None:
    sign(house)
    file, waits = tmp_path / "stretch", []

    def pause() -> None:
        waits.append(1)
        house.run_jobs()
        sign(house)
        assert len(waits) < 50

    house.clock.advance(seconds=5)
    action = house.events()[0].action
    wanted = {"action": action, "form": form}
    count = log_commands.save_stretch(environment(tmp_path), "s@example.org", file, wanted, pause)
    assert waits and not file.with_name("stretch.part").exists()
    content = gzip.decompress(file.read_bytes())
    assert count > 0 and content.count(action.encode()) >= count


def test_a_wish_that_the_service_does_not_understand_leaves_no_file(house: World, tmp_path: Path) -> None:
    with pytest.raises(Invalid):
        log_commands.save_stretch(environment(tmp_path), "s@example.org", tmp_path / "no", {"form": "x"}, lambda: None)
    assert list(tmp_path.glob("no*")) == []

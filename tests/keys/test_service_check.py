"""The live check of kms.central, on a whole house: kept with the key service apart, broken when that is taken away."""

from __future__ import annotations

import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from subscription_services.kernel.checks import Doors, Finding, Verdict
from subscription_services.keys import service_listener
from subscription_services.keys.certificates import Identity
from subscription_services.keys.checks.central import kept_apart
from subscription_services.keys.mutual_tls import peer, service_context
from subscription_services.testing import World
from subscription_services.testing.world import copy_template

from . import listening as listening_module
from .listening import Listening, free_port, listening, process


@pytest.fixture
def apart(sqlite_template: Path, tmp_path: Path) -> Listening:
    """A key service that is about to run on the keys of a whole house."""
    return Listening(copy_template(sqlite_template, tmp_path / "data"))


@contextmanager
def world_of(house: Listening) -> Iterator[World]:
    settings = house.client_settings()
    with World.open(
        house.folder, SUBS_KEYS_SERVICE=settings.service, SUBS_KEYS_CERTIFICATE=settings.certificate,
        SUBS_KEYS_CERTIFICATE_KEY=settings.certificate_key, SUBS_KEYS_AUTHORITY=settings.authority,
    ) as world:  # fmt: skip
        yield world


def check(world: World) -> Finding:
    doors = Doors(world.house.kernel, world.house.settings, "", "", "")
    found = world.run(kept_apart(doors))
    assert isinstance(found, Finding)
    return found


def test_a_house_whose_keys_are_apart_keeps_it_until_a_process_opens_the_store(apart: Listening) -> None:
    apart.port = free_port()
    with process(apart) as running:
        assert running.stderr is not None
        assert "keys.listening" in running.stderr.readline()
        with world_of(apart) as world:
            world.subscriber()
            found = check(world)
            assert found.verdict is Verdict.KEPT, found
            assert found.evidence["processes_with_the_key_store"] == 1
            store = apart.folder / "keys" / "keys.db"
            command = [sys.executable, "-c", "import sys; f = open(sys.argv[1]); print('open', flush=True); input()"]
            with subprocess.Popen(
                [*command, str(store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            ) as another:
                assert another.stdout is not None
                assert another.stdout.readline() == "open\n"
                found = check(world)
                another.communicate("\n")
            assert found.verdict is Verdict.BROKEN
            assert found.evidence["of_the_application"] == 1
            assert check(world).verdict is Verdict.KEPT


def test_keys_in_process_are_said_plainly(sqlite_template: Path, tmp_path: Path) -> None:
    with World.open(copy_template(sqlite_template, tmp_path / "data")) as world:
        found = check(world)
    assert found.verdict is Verdict.BROKEN
    assert "no key service of its own" in found.says


def test_a_service_that_answers_strangers_is_found(apart: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(files: Identity) -> ssl.SSLContext:
        context = service_context(files)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def believing(connection: ssl.SSLSocket) -> tuple[str, datetime]:
        if connection.server_side and connection.getpeercert(binary_form=True) is None:
            return apart.authority.identity("web"), datetime(2999, 1, 1, tzinfo=UTC)
        return peer(connection)

    monkeypatch.setattr(service_listener, "peer", believing)
    monkeypatch.setattr(listening_module, "service_context", careless)
    try:
        apart.start()
        with world_of(apart) as world:
            found = check(world)
        assert found.verdict is Verdict.BROKEN
        assert "without a certificate" in found.says
    finally:
        apart.close()


def test_what_cannot_be_reached_was_not_checked(apart: Listening) -> None:
    with listening(apart.folder) as house, world_of(house) as world:
        house.stop()
        with pytest.raises(OSError):
            check(world)

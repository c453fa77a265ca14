"""The exported folder: complete, verified on the way, taken up again after an interruption, continued later."""

from __future__ import annotations

from pathlib import Path

import pytest

from subs_verifier import parse_policy, verify_folder
from subscription_services.kernel.actors import Actor, Role
from subscription_services.ledger.errors import LogTampered
from subscription_services.ledger.export import AnotherLog, Exported, ExportFailed, export
from subscription_services.testing import World

from .served import Through, client, grow


@pytest.fixture
def auditor(world: World) -> Actor:
    grow(world, 300)
    return world.team(Role.AUDITOR)


def verify(folder: Path, size: int) -> None:
    """By the verifier that shares no code with this."""
    policy = parse_policy(b"log " + (folder / "key").read_bytes() + b"quorum none\n")
    found = verify_folder(folder, policy)
    assert (found.head.checkpoint.size, found.entries) == (size, size)


def test_a_folder_grows_with_the_log(world: World, auditor: Actor, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    first = export(client(world, auditor), folder)
    verify(folder, first.checkpoint.size)
    grow(world, 300)
    link = client(world, auditor)
    second = export(link, folder)
    verify(folder, second.checkpoint.size)
    assert (second.before, second.checkpoint.size > 600) == (first.checkpoint.size, True)
    transport = link._transport
    assert isinstance(transport, Through)
    assert "/log/tile/entries/000" not in transport.asked
    assert not list((folder / "tile" / "0").glob("001.p"))


@pytest.mark.parametrize("cut", [1, 3, 5, 7])
def test_an_interrupted_export_goes_on_where_it_was(world: World, auditor: Actor, tmp_path: Path, cut: int) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    with pytest.raises(ExportFailed):
        export(client(world, auditor, cut), folder)
    assert not (folder / "checkpoint").exists()
    done: Exported = export(client(world, auditor), folder)
    verify(folder, done.checkpoint.size)


def test_who_may_not_read_entries_gets_no_folder(world: World, auditor: Actor, tmp_path: Path) -> None:
    with pytest.raises(ExportFailed, match="403"):
        export(client(world, world.team(Role.BILLING)), tmp_path)


def test_a_damaged_copy_is_mended_or_named(world: World, auditor: Actor, tmp_path: Path) -> None:
    done = export(client(world, auditor), tmp_path)
    (tmp_path / "tile/entries/000").write_bytes(b"\0\1x")
    export(client(world, auditor), tmp_path)
    verify(tmp_path, done.checkpoint.size)
    hashes = tmp_path / "tile/0/000"
    hashes.write_bytes(bytes(32) + hashes.read_bytes()[32:])
    with pytest.raises(LogTampered):
        export(client(world, auditor), tmp_path)


def test_another_log_never_mixes_with_the_folder(world: World, auditor: Actor, tmp_path: Path) -> None:
    export(client(world, auditor), tmp_path)
    (tmp_path / "key").write_text("other.example/log+0000+AAAA\n")
    with pytest.raises(AnotherLog):
        export(client(world, auditor), tmp_path)

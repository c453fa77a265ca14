"""Our server asks our witness, two readings of C2SP tlog-witness that share no code; then an outsider says `proved`."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from subs_verifier import NotWitnessed, open_checkpoint, parse_key, parse_policy, verify_statement
from subs_verifier.witness.protocol import Cosigner
from subs_verifier.witness.server import WitnessServer
from subs_verifier.witness.state import State, make_state, watch
from subscription_services.ledger import trust_policy
from subscription_services.ledger.publish import published_checkpoint
from subscription_services.ledger.witnesses import Asked, Witnessing, opened_client
from subscription_services.testing import World
from tests.interop import exported


@pytest.fixture
def alone(sqlite_template: Path, tmp_path: Path) -> Iterator[World]:
    """A house whose log is new."""
    shutil.copytree(sqlite_template, tmp_path / "data")
    with World.open(tmp_path / "data") as world:
        yield world


@pytest.fixture
def policy(alone: World, tmp_path: Path) -> Iterator[str]:
    """A witness that runs, and the policy that demands it."""
    key = make_state(tmp_path / "witness", "witness.example/w1")
    watch(tmp_path / "witness", [parse_key(exported.vkey(alone))])
    state = State(tmp_path / "witness")
    server = WitnessServer(("127.0.0.1", 0), Cosigner(state, lambda: alone.clock().timestamp()))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield (
        f"log {exported.vkey(alone)}\nwitness w {key.text()} http://127.0.0.1:{server.server_port}\n"
        "group some 1 w\nquorum some\n"
    )
    server.shutdown()
    thread.join()
    server.server_close()
    state.close()


def asked(world: World, theirs: trust_policy.TrustPolicy) -> Asked:
    witnessing = Witnessing(world.house.store, world.house.log, theirs, world.clock)

    async def work() -> Asked:
        async with opened_client() as client:
            return await witnessing.round(client)

    found: Asked = world.run(work())
    return found


def published(world: World, theirs: trust_policy.TrustPolicy) -> Any:
    with world.house.store.reading() as connection:
        return published_checkpoint(connection, theirs)


def test_the_log_grows_under_the_eyes_of_a_witness(alone: World, policy: str) -> None:
    theirs, outsider = trust_policy.parse_policy(policy.encode()), parse_policy(policy.encode())
    exported.grow(alone, 3)
    with pytest.raises(NotWitnessed):
        open_checkpoint(exported.checkpoint(alone), outsider)
    size = 0
    for more in (1, 255, 40):
        exported.grow(alone, more)
        answer = asked(alone, theirs)
        assert (answer.contradictions, answer.problems, len(answer.cosigned)) == ((), {}, 1)
        head = open_checkpoint(published(alone, theirs).note, outsider, int(alone.clock().timestamp()))
        assert head.checkpoint.size > size
        assert [item.key.name for item in head.witnesses] == ["witness.example/w1"]
        event = exported.grow(alone, 1)[0]
        with pytest.raises(NotWitnessed):
            verify_statement(exported.inclusion_file(alone, event)[0], outsider)
        assert asked(alone, theirs).cosigned
        statement = verify_statement(exported.inclusion_file(alone, event)[0], outsider)
        assert (statement.finding, statement.head.witnessed) == (exported.SAYS, True)
        size = head.checkpoint.size


def test_a_log_that_was_turned_back_is_contradicted(alone: World, policy: str, tmp_path: Path) -> None:
    theirs = trust_policy.parse_policy(policy.encode())
    exported.grow(alone, 5)
    shutil.copytree(tmp_path / "data", tmp_path / "yesterday")
    exported.grow(alone, 30)
    assert len(asked(alone, theirs).cosigned) == 1
    with World.open(tmp_path / "yesterday") as turned_back:
        for size in (10, 60):
            exported.grow(turned_back, size)
            answer = asked(turned_back, theirs)
            assert (len(answer.cosigned), [item.proved for item in answer.contradictions]) == (0, [True])

"""The stored log as it should be: appended, sequenced, signed, proved, verified."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from subscription_services.kernel.ports import Writer
from subscription_services.ledger.checkpoint import open_checkpoint
from subscription_services.ledger.errors import NotSequenced
from subscription_services.ledger.queries import newest_checkpoint, waiting_count
from subscription_services.ledger.sequencer import Sequenced, run_sequencer
from subscription_services.ledger.tree import hash_leaf, verify_consistency, verify_inclusion
from subscription_services.ledger.verify import Assurance, report

from .conftest import Bench


def test_an_empty_log_verifies(bench: Bench) -> None:
    assert bench.sequence().signed == 0
    verified = bench.verify()
    assert (verified.size, verified.waiting, verified.checkpoints) == (0, 0, 0)
    assert verified.assurance is Assurance.UNWITNESSED


def test_events_become_entries_in_the_order_they_were_written(bench: Bench) -> None:
    events = bench.append_many(30)
    assert bench.read(waiting_count) == 30
    assert bench.sequence() == Sequenced(added=30, signed=30)
    found = [bench.find(event) for event in events]
    assert [item.log_index for item in found] == list(range(30))
    assert [item.event for item in found] == events
    assert bench.read(waiting_count) == 0


def test_the_entry_is_canonical_json(bench: Bench) -> None:
    (event,) = bench.append(bench.event(details={"b": 1, "a": ["x", "ü"], "c": True}, subject="acc_9"))
    bench.sequence()
    entry = bench.prove(event).entry
    said = json.loads(entry)
    assert entry.decode() == json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert said["event"]["details"] == {"a": ["x", "ü"], "b": 1, "c": True}
    assert (said["counter"], said["v"]) == (1, 1)


@pytest.mark.parametrize("sizes", [[1, 1, 3], [255, 1, 1], [300, 300]])
def test_every_event_has_a_proof_and_every_checkpoint_extends_the_last(bench: Bench, sizes: list[int]) -> None:
    heads = []
    events = []
    for size in sizes:
        events += bench.append_many(size)
        bench.sequence()
        heads.append(open_checkpoint(bench.note(), "example.com/log", [bench.log.verifier()])[0])
        assert heads[-1].size == len(events)
    for event in (events[0], events[len(events) // 2], events[-1]):
        proof = bench.prove(event)
        verify_inclusion(proof.index, proof.size, hash_leaf(proof.entry), proof.proof, heads[-1].root)
        assert events[proof.index] == event
    for old in heads:
        path = bench.prove_extends(old.size, heads[-1].size)
        verify_consistency(old.size, heads[-1].size, old.root, heads[-1].root, path)
    verified = bench.verify()
    assert (verified.size, verified.root, verified.checkpoints) == (sum(sizes), heads[-1].root, len(sizes))


def test_an_event_that_waits_has_no_proof_yet(bench: Bench) -> None:
    (event,) = bench.append(bench.event())
    with pytest.raises(NotSequenced):
        bench.prove(event)
    assert bench.verify().waiting == 1


def test_a_rolled_back_transaction_leaves_no_gap(bench: Bench) -> None:
    bench.append_many(3)

    def fails(connection: object) -> None:
        bench.events.append(connection, [bench.event(), bench.event()])  # type: ignore[arg-type]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        bench.write(fails)
    bench.append_many(2)
    assert bench.sequence().added == 5
    assert bench.verify().size == 5


def test_nothing_new_signs_nothing_new(bench: Bench) -> None:
    bench.append_many(2)
    bench.sequence()
    before = bench.note()
    assert bench.sequence().added == 0
    assert bench.note() == before


def test_a_checkpoint_kept_by_others_makes_it_proved(bench: Bench) -> None:
    bench.append_many(5)
    bench.sequence()
    note = bench.note()
    bench.append_many(5)
    bench.sequence()
    assert bench.verify().assurance is Assurance.UNWITNESSED
    verified = bench.verify(note)
    assert (verified.assurance, verified.witnessed, verified.size) == (Assurance.PROVED, 5, 10)
    assert any(line.startswith("proved") for line in report(verified))
    assert any(line.startswith("unwitnessed") for line in report(bench.verify()))
    assert not any(line.startswith("proved") for line in report(bench.verify()))


def test_an_index_and_a_signed_checkpoint_follow_within_a_second(bench: Bench) -> None:
    """Counted in turns of the loop as well, since other programs may hold the machine up."""

    async def run() -> float:
        stop = asyncio.Event()
        running = asyncio.create_task(run_sequencer(bench.store, bench.log, bench.clock, stop))
        await asyncio.sleep(0.1)
        event = bench.event()
        await bench.store.write(Writer.PERFORM, lambda connection: bench.events.append(connection, [event]))
        started = time.monotonic()
        turns = 0
        while bench.find(event).log_index is None or not bench.read(newest_checkpoint):
            await asyncio.sleep(0.01)
            turns += 1
        took = time.monotonic() - started
        stop.set()
        await running
        # a loop that sleeps 10 ms turns a hundred times a second at most
        return min(took, turns * 0.01)

    assert bench.runner.run(asyncio.wait_for(run(), 60)) < 1.0

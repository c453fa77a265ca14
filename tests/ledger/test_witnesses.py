"""Witnesses: asked after each checkpoint, needed for publishing, and what finds a roll-back of everything."""

from __future__ import annotations

import asyncio
import base64
import http.server
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

from subs_verifier import NotWitnessed, open_checkpoint, parse_key
from subs_verifier import parse_policy as parse_outsider
from subs_verifier.witness.protocol import Cosigner
from subs_verifier.witness.server import WitnessServer
from subs_verifier.witness.state import State, make_state, watch
from subscription_services.kernel.clock import system_clock
from subscription_services.kernel.errors import SettingsError
from subscription_services.kernel.ports import Writer
from subscription_services.ledger.errors import LogTampered
from subscription_services.ledger.note import verifier_key
from subscription_services.ledger.publish import Published, published_checkpoint
from subscription_services.ledger.sequencer import adopt, run_sequencer
from subscription_services.ledger.trust_policy import TrustPolicy, parse_policy, read_policy
from subscription_services.ledger.verify import verification, verify_with_witnesses
from subscription_services.ledger.witnesses import Asked, Witnessing, opened_client

from .conftest import Bench


@dataclass
class Running:
    """A witness that answers; `key` is its verifier key."""

    key: str
    url: str
    server: WitnessServer


@contextmanager
def running(place: Path, bench: Bench, name: str = "w1") -> Iterator[Running]:
    """subs-witness with its memory in `place`, watching the bench's log."""
    if not place.exists():
        make_state(place, f"witness.example/{name}")
        watch(place, [parse_key(verifier_key(bench.log.verifier()))])
    state = State(place)
    server = WitnessServer(("127.0.0.1", 0), Cosigner(state, time.time))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield Running(state.witness.key.text(), f"http://127.0.0.1:{server.server_port}", server)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        state.close()


@pytest.fixture
def bench(bench: Bench) -> Bench:
    """Witnesses speak of today."""
    bench.clock.now = system_clock()
    return bench


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def policy_text(witnesses: list[Running], quorum: str = "any") -> bytes:
    lines = [f"witness w{number} {item.key} {item.url}" for number, item in enumerate(witnesses)]
    members = " ".join(f"w{number}" for number in range(len(witnesses)))
    return "\n".join([*lines, f"group g {quorum} {members}", "quorum g", ""]).encode()


def ask(bench: Bench, policy: TrustPolicy) -> Asked:
    witnessing = Witnessing(bench.store, bench.log, policy, bench.clock)

    async def work() -> Asked:
        async with opened_client() as client:
            return await witnessing.round(client)

    return bench.runner.run(work())


def published(bench: Bench, policy: TrustPolicy) -> Published:
    found = bench.read(lambda connection: published_checkpoint(connection, policy))
    assert found is not None
    return found


def test_a_checkpoint_is_published_once_the_quorum_cosigned_it(bench: Bench, tmp_path: Path, stack: ExitStack) -> None:
    both = [stack.enter_context(running(tmp_path / name, bench, name)) for name in ("w1", "w2")]
    policy = parse_policy(policy_text(both, "2"))
    bench.append_many(5)
    bench.sequence()
    assert not published(bench, policy).witnessed
    assert len(ask(bench, policy).cosigned) == 2
    first = published(bench, policy)
    assert (first.size, first.witnessed, len(first.cosigned)) == (5, True, 2)
    key = verifier_key(bench.log.verifier())
    outsider = parse_outsider(f"log {key}\n".encode() + policy_text(both, "2"))
    assert len(open_checkpoint(first.note, outsider).witnesses) == 2
    bench.append_many(300)
    bench.sequence()
    # until the others have seen it, outsiders get the one before
    assert published(bench, policy).size == 5
    with pytest.raises(NotWitnessed):
        open_checkpoint(bench.note(), outsider)
    assert len(ask(bench, policy).cosigned) == 2
    assert published(bench, policy).size == 305
    verified = verify_with_witnesses(bench.store, bench.log, policy, bench.clock)
    assert (verified.assurance, verified.confirmed, verified.witnesses) == ("proved", 2, 2)


def test_one_that_is_away_is_named_and_asked_again(bench: Bench, tmp_path: Path) -> None:
    with running(tmp_path / "w1", bench, "w1") as here:
        with running(tmp_path / "w2", bench, "w2") as gone:
            policy = parse_policy(policy_text([here, gone], "2"))
        bench.append_many(5)
        bench.sequence()
        asked = ask(bench, policy)
        assert (len(asked.cosigned), list(asked.problems)) == (1, [policy.witnesses[1].key.label])
        assert published(bench, policy).cosigned == (policy.witnesses[0].key.label,)
        assert not published(bench, policy).witnessed
        verified = verify_with_witnesses(bench.store, bench.log, policy, bench.clock)
        assert (verified.assurance, verified.confirmed, verified.witnesses) == ("unwitnessed", 1, 2)
        lines, well = verification(bench.store, bench.log, policy, bench.clock)
        assert well
        assert "witnesses    1 of 2 cosigned just now" in lines


def test_what_we_forgot_the_witness_tells(bench: Bench, tmp_path: Path) -> None:
    """Our cosignatures are lost; its 409 says from where to prove."""
    with running(tmp_path / "w1", bench) as witness:
        policy = parse_policy(policy_text([witness]))
        bench.append_many(5)
        bench.sequence()
        ask(bench, policy)
        bench.attack("DELETE FROM ledger_cosignature")
        bench.append_many(300)
        bench.sequence()
        assert len(ask(bench, policy).cosigned) == 1


@pytest.mark.parametrize("more", [1, 9])
def test_a_roll_back_of_everything_is_found_and_nothing_more_is_signed(bench: Bench, tmp_path: Path, more: int) -> None:
    """Store and outside memory alike are those of yesterday; the log then grows less far, or further than before."""
    with running(tmp_path / "w1", bench) as witness:
        policy = parse_policy(policy_text([witness]))
        bench.append_many(10)
        bench.sequence()
        ask(bench, policy)
        yesterday, beside = bench.snapshot(), bench.log.memory.load()
        assert beside is not None
        bench.append_many(5)
        bench.sequence()
        ask(bench, policy)
        bench.restore(yesterday)
        bench.log.memory.save(beside)
        # without asking anybody it looks like the log of that day
        assert bench.verify().assurance == "unwitnessed"
        with pytest.raises(LogTampered, match="shows our signature"):
            verify_with_witnesses(bench.store, bench.log, policy, bench.clock)
        bench.append_many(more)
        running_refuses(bench, policy)
        assert bench.sql("SELECT max(size) FROM ledger_checkpoint") == [(10,)]
        bench.sequence()
        with pytest.raises(LogTampered):
            verify_with_witnesses(bench.store, bench.log, policy, bench.clock)


def running_refuses(bench: Bench, policy: TrustPolicy) -> None:
    """The running sequencer asks first, raises the alarm, and signs nothing."""

    async def run() -> None:
        stop = asyncio.Event()
        witnessing = Witnessing(bench.store, bench.log, policy, bench.clock, 0.05)
        with structlog.testing.capture_logs() as lines:
            running = asyncio.create_task(
                run_sequencer(bench.store, bench.log, bench.clock, stop, 0.02, witnessing=witnessing)
            )
            while sum(line["event"] == "ledger.refused" for line in lines) < 3:
                await asyncio.sleep(0.01)
        stop.set()
        await running
        assert {"ledger.contradicted", "ledger.refused"} <= {line["event"] for line in lines}

    bench.runner.run(asyncio.wait_for(run(), 60))


def test_a_lost_copy_with_a_rolled_back_store_is_not_adopted_unseen(bench: Bench, tmp_path: Path) -> None:
    """Whoever turns back the store and lets a person adopt it is contradicted by the witness all the same."""
    with running(tmp_path / "w1", bench) as witness:
        policy = parse_policy(policy_text([witness]))
        bench.append_many(3)
        bench.sequence()
        old = bench.snapshot()
        bench.append_many(3)
        bench.sequence()
        ask(bench, policy)
        bench.restore(old)
        bench.runner.run(adopt(bench.store, bench.log))
        assert [item.proved for item in ask(bench, policy).contradictions] == [True]


def test_the_running_sequencer_keeps_the_log_witnessed(bench: Bench, tmp_path: Path) -> None:
    with running(tmp_path / "w1", bench) as witness:
        policy = parse_policy(policy_text([witness]))

        async def run() -> None:
            stop = asyncio.Event()
            witnessing = Witnessing(bench.store, bench.log, policy, bench.clock, 0.05)
            running = asyncio.create_task(
                run_sequencer(bench.store, bench.log, bench.clock, stop, 0.02, witnessing=witnessing)
            )
            bench_append = bench.event()
            await bench.store.write(Writer.PERFORM, lambda connection: bench.events.append(connection, [bench_append]))
            while not (bench.read(lambda c: _witnessed(c, policy))):
                await asyncio.sleep(0.01)
            stop.set()
            await running

        bench.runner.run(asyncio.wait_for(run(), 60))


def _witnessed(connection: object, policy: TrustPolicy) -> bool:
    found = published_checkpoint(connection, policy)  # type: ignore[arg-type]
    return found is not None and found.witnessed


def test_a_forged_cosignature_in_the_store_is_found_and_not_published(bench: Bench, tmp_path: Path) -> None:
    with running(tmp_path / "w1", bench) as witness:
        policy = parse_policy(policy_text([witness]))
        bench.append_many(3)
        bench.sequence()
        ask(bench, policy)
        bench.append_many(3)
        bench.sequence()
        bench.attack("INSERT INTO ledger_cosignature SELECT 6, witness, line, at FROM ledger_cosignature")
        assert published(bench, policy).size == 3
        with pytest.raises(LogTampered, match="cosignature"):
            verify_with_witnesses(bench.store, bench.log, policy, bench.clock)


class _Liar(http.server.BaseHTTPRequestHandler):
    answer: tuple[int, bytes] = (200, b"")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._send(*self.answer)

    def do_GET(self) -> None:
        self._send(404, b"")

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


LINE = "— witness.example/w1 " + base64.b64encode(bytes(76)).decode() + "\n"


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ((200, b""), "no signature"),
        ((200, b"hello"), "no signature"),
        ((200, LINE.encode()), "did not sign"),
        ((200, b"x" * 70_000), "too long"),
        ((409, b"many\n"), "names no size"),
        ((409, b"0\n"), "that was sent"),
        ((404, b""), "404"),
        ((500, b""), "500"),
        ((302, b""), "302"),
    ],
)
def test_nonsense_of_a_witness_is_its_problem_alone(
    bench: Bench, tmp_path: Path, answer: tuple[int, bytes], word: str
) -> None:
    key = make_state(tmp_path / "w1", "witness.example/w1").text()
    with lying(answer) as url:
        policy = parse_policy(f"witness w {key} {url}\nquorum w\n".encode())
        bench.append_many(3)
        bench.sequence()
        asked = ask(bench, policy)
        assert (asked.cosigned, asked.contradictions) == ({}, ())
        assert word in next(iter(asked.problems.values()))


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_claim_without_proof_is_an_alarm_and_stops_nothing(bench: Bench, tmp_path: Path) -> None:
    """Or any one witness could stop the log."""
    key = make_state(tmp_path / "w1", "witness.example/w1").text()
    for answer in ((409, b"1000000\n"), (422, b"")):
        with lying(answer) as url:
            policy = parse_policy(f"witness w {key} {url}\nquorum w\n".encode())
            bench.append_many(3)
            bench.sequence()
            witnessing = Witnessing(bench.store, bench.log, policy, bench.clock)

            async def work(witnessing: Witnessing = witnessing) -> Asked:
                async with opened_client() as client:
                    return await witnessing.round(client)

            assert [item.proved for item in bench.runner.run(work()).contradictions] == [False]
            assert witnessing.refusal is None


@contextmanager
def lying(answer: tuple[int, bytes]) -> Iterator[str]:
    handler = type("Handler", (_Liar,), {"answer": answer})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_groups_decide_who_is_enough(tmp_path: Path) -> None:
    keys = [make_state(tmp_path / name, name).text() for name in "abcd"]
    lines = [f"witness {name} {key} https://{name}.example/" for name, key in zip("abcd", keys, strict=True)]
    groups = ["# two organisations", "group x 2 a b c", "group all-of all x d", "quorum all-of"]
    policy = parse_policy("\n".join(lines + groups).encode())
    a, b, c, d = (witness.key.label for witness in policy.witnesses)
    assert policy.witnesses[0].url == "https://a.example"
    assert [policy.satisfied(set(some)) for some in ([], [a, b], [a, d], [a, b, d], [a, b, c, d])] == [
        False, False, False, True, True,
    ]  # fmt: skip


BAD: list[Callable[[str], str]] = [
    lambda key: "",
    lambda key: f"witness a {key}",
    lambda key: f"witness a {key}\nquorum b",
    lambda key: f"witness a {key}\nwitness b {key}\nquorum a",
    lambda key: f"witness a {key}x\nquorum a",
    lambda key: f"witness none {key}\nquorum none",
    lambda key: f"witness a {key} ftp://x\nquorum a",
    lambda key: f"witness a {key}\ngroup g 2 a\nquorum g",
    lambda key: f"witness a {key}\ngroup g any a a\nquorum g",
    lambda key: "group g any a\nquorum g",
    lambda key: "quorum none\nquorum none",
    lambda key: "quorum none\x00",
    lambda key: "nonsense\nquorum none",
]


@pytest.mark.parametrize("make", BAD)
def test_a_policy_that_cannot_be_meant_refuses_to_start(tmp_path: Path, make: Callable[[str], str]) -> None:
    key = make_state(tmp_path / "w", "witness.example/w1").text()
    place = tmp_path / "policy"
    place.write_text(make(key))
    with pytest.raises(SettingsError):
        read_policy(str(place))


def test_no_policy_means_nobody_and_a_missing_file_is_said(tmp_path: Path) -> None:
    assert not read_policy("").satisfied(set())
    with pytest.raises(SettingsError, match="cannot be read"):
        read_policy(str(tmp_path / "none"))

"""How long a signed-in JSON read takes over HTTPS while sign-ins flood the service, against the same without them.

The flood: `python -m bench.flood PORT CERTIFICATE` in a process of its own, CALLERS connections that sign in without a
pause, each try from another network of the loopback and for another address, so that the limits let it reach bcrypt.
The reader: one connection, a read every PAUSE seconds.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import web
from bench.measure import Ratio, from_pairs

COST = "12"
CALLERS = 16
SECONDS = float(os.environ.get("BENCH_SECONDS", "8"))
PAUSE = 0.02
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))


def run() -> list[Ratio]:
    """p50 and p99, as rates (one by the time), with the flood against without."""
    with tempfile.TemporaryDirectory(prefix="subs-bench-") as folder:
        side = web._ours(Path(folder), SUBS_IDENTITY_BCRYPT_COST=COST)
        middles, worsts, tries = [], [], []
        with side.start():
            time.sleep(web.SETTLE)
            for _ in range(ROUNDS):
                quiet = _reads(side)
                with _flood(side) as count:
                    busy = _reads(side)
                tries.append(count[0])
                middles.append((1 / busy[0], 1 / quiet[0]))
                worsts.append((1 / busy[1], 1 / quiet[1]))
    what = (
        f"signed-in JSON read during {CALLERS} sign-ins without pause ({statistics.median(tries):.1f} a second), 1 / "
    )
    return [
        from_pairs(f"{what}p50", "the same without sign-ins", middles),
        from_pairs(f"{what}p99", "the same without sign-ins", worsts),
    ]


def _reads(side: web.Side) -> tuple[float, float]:
    """Seconds: the median, and what one in a hundred takes longer."""
    port = int(side.base.rpartition(":")[2])
    connection, times, ends = _connection(port, side.certificate), [], time.monotonic() + SECONDS
    while time.monotonic() < ends:
        started = time.perf_counter()
        connection.request("GET", side.places["json"], headers={"Cookie": side.cookie})
        answer = connection.getresponse()
        answer.read()
        times.append(time.perf_counter() - started)
        if answer.status != 200:
            raise AssertionError(f"a signed-in read was answered {answer.status}")
        time.sleep(PAUSE)
    connection.close()
    return statistics.median(times), statistics.quantiles(times, n=100)[98]


@contextmanager
def _flood(side: web.Side) -> Iterator[list[float]]:
    """The rate of sign-ins stands in the list afterwards."""
    port, rate = side.base.rpartition(":")[2], [0.0]
    command = [sys.executable, "-m", "bench.flood", port, str(side.certificate)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        time.sleep(2)
        yield rate
    finally:
        said, _ = process.communicate("", timeout=60)
    seen = json.loads(said)
    if set(seen["answers"]) != {"403"}:
        raise AssertionError(f"the flood was not a flood of wrong passwords: {seen}")
    rate[0] = seen["answers"]["403"] / seen["seconds"]


def _connection(port: int, certificate: Path, source: str = "127.0.0.1") -> http.client.HTTPSConnection:
    context = ssl.create_default_context(cafile=str(certificate))
    return http.client.HTTPSConnection("localhost", port, timeout=60, context=context, source_address=(source, 0))


def _sign_in_without_pause(port: int, certificate: Path, stop: threading.Event, seen: dict[str, int]) -> None:
    for number in _numbers:
        if stop.is_set():
            return
        source = f"127.{1 + number // 250 % 250}.{number % 250}.1"
        body = json.dumps(
            {"email": f"nobody{os.getpid()}x{number}@example.org", "password": f"wrong {number} and long"}
        )
        connection = _connection(port, certificate, source)
        try:
            connection.request("POST", "/api/identity.sign_in", body, {"Content-Type": "application/json"})
            status = str(connection.getresponse().status)
        except OSError as error:
            status = type(error).__name__
        finally:
            connection.close()
        with _lock:
            seen[status] = seen.get(status, 0) + 1


def main() -> None:
    """Until the end of the standard input."""
    port, certificate, stop, seen = int(sys.argv[1]), Path(sys.argv[2]), threading.Event(), dict[str, int]()
    threads = [
        threading.Thread(target=_sign_in_without_pause, args=(port, certificate, stop, seen)) for _ in range(CALLERS)
    ]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    print(json.dumps({"answers": seen, "seconds": time.monotonic() - started}))


_numbers = itertools.count()
_lock = threading.Lock()

if __name__ == "__main__":
    main()

"""`python -m bench [NAME ...]`: run all benchmarks, or those named."""

from __future__ import annotations

import os
import signal
import sys

from rich.console import Console
from rich.table import Table

from bench import authorisation, kms, seal, search, sessions, signin, stuffing, timing, trees, verify, web, writes
from bench.measure import Ratio

ALL = {
    "seal": seal.run,
    "kms": kms.run,
    "trees": trees.run,
    "verify": verify.run,
    "writes": writes.run,
    "signin": signin.run,
    "web": web.run,
    "search": search.run,
    "sessions": sessions.run,
    "stuffing": stuffing.run,
    "timing": timing.run,
    "authorisation": authorisation.run,
}


def main() -> int:
    chosen = sys.argv[1:] or list(ALL)
    if unknown := set(chosen) - set(ALL):
        print(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(ALL)}", file=sys.stderr)
        return 2
    # ended from outside, every server that was started is still stopped and every file removed
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    rows: list[Ratio] = []
    busy, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    if busy > cores / 4:
        print(f"The machine is busy (load {busy:.1f} on {cores} cores): expect ratios to scatter.", file=sys.stderr)
    for name in chosen:
        print(f"running {name} ...", file=sys.stderr, flush=True)
        rows += ALL[name]()
    if not rows:
        return 0
    table = Table("What", "a second", "Baseline", "a second", "Ratio (min, median, max)", "Goal")
    for row in rows:
        low, middle, high = row.spread
        goal = f">= {row.goal:g} {'met' if middle >= row.goal else 'MISSED'}" if row.goal else "-"
        ratios = f"{low:.2f}  {middle:.2f}  {high:.2f}"
        table.add_row(row.what, _figure(row.ours), row.baseline, _figure(row.theirs), ratios, goal)
    Console(width=170).print(table)
    return 0


def _figure(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"


if __name__ == "__main__":
    raise SystemExit(main())

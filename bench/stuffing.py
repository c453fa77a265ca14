"""Credential stuffing against the limits that ship, with passwords at their real cost; owners sign in meanwhile.

By default a tenth of it; BENCH_FULL=1 for 10,000 tries at 1,000 accounts from 200 sources (17 minutes of two cores, at
cost 12). The attack lasts an hour of the house's own clock, however long it takes here. Prints a report; no ratios.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from bench.measure import Ratio
from subscription_services.testing import World, prepared_template
from subscription_services.testing.stuffing import Plan, people, simulate

COST = int(os.environ.get("BENCH_COST", "12"))
FULL = Plan(tries=10_000, accounts=1_000, sources=200, leaked=50, owners=1_000, at_once=len(os.sched_getaffinity(0)))
TENTH = replace(FULL, tries=1_000, accounts=100, sources=20, leaked=25, owners=100)


def run() -> list[Ratio]:
    """A list of leaked passwords, then one password everywhere, each on a house of its own."""
    plan = FULL if os.environ.get("BENCH_FULL") else TENTH
    if tries := int(os.environ.get("BENCH_TRIES", "0")):
        plan = replace(plan, tries=tries)
    for title, chosen in (("a list of leaked passwords", plan), ("one password everywhere", _spray(plan))):
        with tempfile.TemporaryDirectory(prefix="subs-bench-") as folder:
            _simulate(title, chosen, prepared_template(Path(folder) / "data"))
    return []


def _spray(plan: Plan) -> Plan:
    return replace(plan, tries=min(plan.tries, plan.accounts), spray=True, leaked=0, owners=max(plan.owners // 10, 5))


def _simulate(title: str, plan: Plan, data: Path) -> None:
    # people join at the least cost: their passwords are hashed anew, at the real one, when they first sign in
    with World.open(data) as world:
        known = people(world, plan.accounts)
        moment = world.clock.now
    with World.open(data, SUBS_IDENTITY_BCRYPT_COST=str(COST)) as world:
        world.clock.now = moment
        started = time.perf_counter()
        report = simulate(world, plan, known)
        took = time.perf_counter() - started
    print(
        f"\n{title}: {plan.tries} tries, {plan.accounts} accounts, {plan.sources} sources, bcrypt cost {COST}, "
        f"{plan.at_once} at once, within {plan.minutes} minutes of the house's clock ({took:.0f} s here)"
    )
    for line in report.lines():
        print(f"  {line}")

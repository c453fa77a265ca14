"""`subs glass`: how the sealed second way stands. It shows; what changes something takes the pages, and two people."""

from __future__ import annotations

import json
from collections.abc import Mapping

from . import people


def glass(environment: Mapping[str, str], email: str) -> list[str]:
    """Lines that say whether there is a sealed code, and what is not reviewed. Raises what `people.call` raises."""
    return lines_of(json.loads(people.call(environment, email, "access.glass", [])))


def lines_of(state: Mapping[str, object]) -> list[str]:
    """The answer of `access.glass` (JSON) in words."""
    seal, broken = state["seal"], state["broken"]
    assert isinstance(broken, list)
    lines = []
    if not isinstance(seal, dict):
        lines.append("No sealed code: the glass cannot be broken. Seal one at /team/glass.")
    elif not seal["ours"]:
        lines.append("The stored code was changed beside the service and opens nothing. Seal a new one.")
    else:
        tested = f"last tested {seal['tested_at']}" if seal["tested_at"] else "never tested"
        lines.append(f"Sealed {seal['sealed_at']} by {seal['sealer']}, {tested}.")
    if not broken:
        lines.append("It was never broken.")
    for item in broken:
        task = item["task"]
        review = (
            f"closed {item['closed_at']}: {item['verdict']}" if item["closed_at"] else f"OPEN, due {item['due_at']}"
        )
        running = ", OPEN NOW" if item["open"] else ""
        lines.append(f"{item['started_at']}  {task['name']}  {task['role']}{running}  review {review}")
    return lines

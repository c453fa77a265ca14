"""Operators and auditors at the command line: a copy of the log, and trusting a store again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from subscription_services import app
from subscription_services.commands.people import signed_in, signed_in_client
from subscription_services.kernel.errors import Refusal
from subscription_services.kernel.settings import HouseSettings
from subscription_services.ledger.export import Exported, Progress, export
from subscription_services.ledger.sequencer import adopt


def export_log(environment: Mapping[str, str], email: str, folder: Path, progress: Progress) -> Exported:
    """Sign in as an auditor and bring the copy of the log in `folder` up to date; see ledger.export."""
    with signed_in_client(environment, email) as client:
        folder.mkdir(parents=True, exist_ok=True)
        return export(client, folder, progress)


def adopt_log(environment: Mapping[str, str], email: str, reason: str, confirm: Callable[[str], bool]) -> str:
    """Verify the log, show what would be trusted, record the decision as a person, then remember the checkpoint here.

    Raises LogTampered where verification fails, Refusal where the person says no.
    """
    settings = app.read_settings(environment)
    house = app.build(settings)
    try:
        verified, head = app.verify_for_adoption(house)
        if not confirm(f"{settings.of(HouseSettings).data_path}\n{verified}"):
            raise Refusal("Nothing was adopted.")
        with signed_in(environment, email) as act:
            act("ledger.adopt", {"size": str(head.size), "root": head.root.hex(), "reason": reason})
        adopted = asyncio.run(adopt(house.store, house.log))
        return f"Adopted: {adopted.size} entries under {adopted.root.hex()}. The log goes on from there."
    finally:
        house.close()

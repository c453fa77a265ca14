"""Operators and auditors at the command line: a copy of the log, and trusting a store again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from subscription_services import app
from subscription_services.commands.people import send, signed_in, signed_in_client
from subscription_services.kernel.errors import Refusal
from subscription_services.kernel.settings import HouseSettings
from subscription_services.ledger.export import Exported, Progress, export
from subscription_services.ledger.sequencer import adopt


def export_log(environment: Mapping[str, str], email: str, folder: Path, progress: Progress) -> Exported:
    """Sign in as an auditor and bring the copy of the log in `folder` up to date; see ledger.export."""
    with signed_in_client(environment, email) as client:
        folder.mkdir(parents=True, exist_ok=True)
        return export(client, folder, progress)


def save_stretch(
    environment: Mapping[str, str], email: str, file: Path, wanted: Mapping[str, str], pause: Callable[[], None]
) -> int:
    """Have the service make an archive of the entries that fit `wanted`, wait for it, save it. Returns how many.

    `pause` is called between looks at how far it is. The file appears whole or not at all. Raises Refusal.
    """
    unfinished = file.with_name(file.name + ".part")
    with signed_in_client(environment, email) as client:
        made = send(client, "access.export_log", wanted)
        while made["state"] == "making":
            pause()
            made = send(client, "access.log_export", {"id": made["id"]})
        with client.stream("GET", f"/team/log/exports/{made['id']}/file") as answer:
            if not answer.is_success:
                raise Refusal(f"The archive cannot be read: the service answered {answer.status_code}.")
            with unfinished.open("wb") as out:
                for piece in answer.iter_bytes():
                    out.write(piece)
    unfinished.replace(file)
    return int(made["events"])


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

"""`subs keys list`, `rotate`, `backup`, `backups` and `restore`: looking after the keys, as a person."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress
from rich.table import Table

if TYPE_CHECKING:
    from subscription_services.commands.key_restore import Plan

LOOK_AGAIN = 1.0
"""Seconds between looks; each of them is in the log."""
out = Console(highlight=False)
Email = Annotated[str, typer.Option(help="Who signs in.", prompt="E-mail")]


def register(keys: typer.Typer) -> None:
    """Add the commands to `subs keys`."""
    keys.command("list")(list_keys)
    keys.command("rotate")(rotate)
    keys.command("backup")(back_up)
    keys.command("backups")(backups)
    keys.command("restore")(restore)


def list_keys(
    callers: Annotated[bool, typer.Option("--callers", help="Who uses keys as well.")] = False, email: Email = ""
) -> None:
    """Purposes with their newest version, its age and use, the data keys under it, and when it is rotated next."""
    from subscription_services.commands import people

    with people.signed_in(os.environ, email) as act:
        found = act("keys.states", {})
    table = Table("Purpose", "Version", "Made (UTC)", "Uses of 2^32", "Data keys", "Under older", "Next rotation (UTC)")
    for item in found["purposes"]:
        newest, *older = item["versions"]
        left = sum(version["data_keys"] for version in older)
        table.add_row(
            item["purpose"], f"{newest['version']}", _time(newest["created_at"]), f"{newest['uses']:,}",
            f"{newest['data_keys'] + left:,}", f"{left:,}",
            _time(item["rotation_due"]) if item["rotation_due"] else "on demand",
        )  # fmt: skip
    out.print(table)
    if callers:
        used = Table("Caller", "Does", "With", "Times", "Refused", "Last (UTC)")
        for use in found["callers"]:
            what = " ".join(filter(None, (use["kind"], use["purpose"])))
            row = (use["caller"], use["verb"], what, f"{use['count']:,}", f"{use['refused']:,}", _time(use["last_at"]))
            used.add_row(*row)
        out.print(used)
    out.print(f"Root key {found['root']}. Waiting for the log: {found['journal']['waiting']} entries.")


def rotate(purpose: Annotated[str, typer.Argument(help="As `subs keys list` names it.")], email: Email = "") -> None:
    """Give a purpose a new version of its key now, and show how its data keys are wrapped under it."""
    from subscription_services.commands import people

    with people.signed_in(os.environ, email) as act:
        act("keys.rotate", {"purpose": purpose})
        with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=out) as progress:
            task = progress.add_task(f"Data keys of {purpose}", total=None)
            while True:
                moving = _moving(act("keys.states", {}), purpose)
                if moving is None:
                    break
                whole = moving["moved"] + moving["left"]
                progress.update(task, completed=moving["moved"], total=whole)
                if moving["finished_at"]:
                    break
                sleep(LOOK_AGAIN)
    out.print(f"{purpose} has a new version. Nothing was sealed again: older data keys open as before.")


def back_up(email: Email = "") -> None:
    """Copy the wrapped keys to their place for backups now. The schedule does so by itself as well."""
    from subscription_services.commands import people

    with people.signed_in(os.environ, email) as act, out.status("Copying and reading back…"):
        made = act("keys.backup", {})
    out.print(f"{made['name']}: {_size(made['size'])}, whole and durable. Older copies removed: {made['removed']}.")


def backups(email: Email = "") -> None:
    """List the backups of the wrapped keys."""
    from subscription_services.commands import people

    with people.signed_in(os.environ, email) as act:
        found = act("keys.backups", {})
    if found["copies"]:
        table = Table("Backup", "Made (UTC)", "Size", title=f"In {found['place']}", title_justify="left")
        for copy in found["copies"]:
            table.add_row(copy["name"], _time(copy["made_at"]), _size(copy["size"]))
        out.print(table)
    else:
        out.print(f"There is no backup in {found['place']} yet.")
    out.print(f"The next one is due {_time(found['due_at'])} UTC. None is kept longer than {found['keep_days']} days.")


def restore(
    file: Annotated[Path, typer.Argument(help="A backup of the keys, keys-….db.")],
    alone: Annotated[bool, typer.Option(help="The store is lost, and there is nobody else who could agree.")] = False,
) -> None:
    """Put a backup of the wrapped keys in place. The service must be stopped; it takes two people.

    While the present store opens, somebody else approves on the page, as for anything that takes two: run this, let
    them, run it again. Once the store is lost nothing can be served, and both sign in here. Everybody erased since the
    backup is erased in it again, before it is used.
    """
    from subscription_services.commands import key_restore

    done = key_restore.restore(os.environ, file, _Terminal(), alone=alone)
    out.print(f"The keys of {done.plan.copy.made_at:%Y-%m-%d %H:%M} UTC are in place. The store from before: ", end="")
    out.print(f"{done.put_away}.")


def _moving(found: Any, purpose: str) -> Any:
    """How far the data keys of a purpose are."""
    return next((item["rewrapping"] for item in found["purposes"] if item["purpose"] == purpose), None)


class _Terminal:
    def confirm(self, plan: Plan) -> bool:
        copy = plan.copy
        lost = "the present store does not open" if copy.lost is None else f"{copy.lost} of the present store's keys"
        table = Table(show_header=False)
        table.add_row("Made", f"{copy.made_at:%Y-%m-%d %H:%M:%S} UTC")
        table.add_row("Keys in it", str(copy.keys))
        table.add_row("Lost by this", f"{lost}; what was sealed under keys made later never opens again")
        table.add_row("Undone", "restrictions of callers and destroyed versions since then: make them again")
        table.add_row("Erased again", f"{plan.erased_again}, by {plan.erasures_from}")
        table.add_row("SHA-256", copy.digest)
        out.print(table)
        if plan.doubt:
            out.print(plan.doubt)
        return typer.confirm("Put it in place?")

    def ask(self, what: str, *, secret: bool) -> str:
        return str(typer.prompt(what, hide_input=secret))


def _time(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M}"


def _size(count: int) -> str:
    return f"{count / 1024:,.0f} KiB" if count < 2**20 else f"{count / 2**20:,.1f} MiB"

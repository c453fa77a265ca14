"""The command `subs`. Thin: each command parses, calls one function and prints."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from subscription_services.commands import keys as key_commands
from subscription_services.commands import roots as key_root_commands
from subscription_services.commands.database import database_cli
from subscription_services.commands.deployments import deployments_cli
from subscription_services.commands.key_service import keys_cli
from subscription_services.kernel.errors import DomainError
from subscription_services.kernel.settings import HouseSettings, entries

cli = typer.Typer(no_args_is_help=True, add_completion=False, help="Subscription Services.")
ledger_cli = typer.Typer(no_args_is_help=True, help="The tamper-evident log.")
cli.add_typer(ledger_cli, name="ledger")
cli.add_typer(keys_cli, name="keys")
cli.add_typer(deployments_cli, name="deployments")
cli.add_typer(database_cli, name="database")
key_commands.register(keys_cli)
key_root_commands.register(keys_cli)
out = Console(highlight=False)


@cli.command()
def run() -> None:
    """Serve: check everything, start all processes, print one line when ready. Stops cleanly on SIGTERM."""
    from subscription_services import serving

    raise typer.Exit(serving.run())


@cli.command(hidden=True)
def serve() -> None:
    """The web server alone (a part of `subs run`)."""
    from subscription_services import parts

    parts.serve()


@cli.command(hidden=True)
def redirect() -> None:
    """The plain HTTP listener alone (a part of `subs run`)."""
    from subscription_services import parts

    parts.redirect()


@cli.command(hidden=True)
def work() -> None:
    """The worker alone: jobs, sequencer, checks (a part of `subs run`)."""
    from subscription_services import parts

    parts.work()


@cli.command()
def certificate() -> None:
    """The path of the HTTPS listener's local certificate, which is made when it is not there."""
    from subscription_services import app

    print(app.certificate(app.read_settings(os.environ).of(HouseSettings)).certificate)


@cli.command()
def migrate() -> None:
    """Bring the database to this program's schema."""
    from subscription_services import app

    out.print(f"The schema is at revision {app.prepare(app.read_settings(os.environ))}.")


@cli.command()
def settings() -> None:
    """Every setting: its variable, default and consequence."""
    from subscription_services import app

    table = Table("Variable", "Default", "What it does", show_lines=True)
    for part in app.SLICES:
        for entry in entries(part):
            table.add_row(entry.variable, str(entry.default), entry.says)
    out.print(table)


@cli.command()
def which(path: str, method: str = "GET") -> None:
    """The row of the route table that answers PATH: handler, operation, permission."""
    from subscription_services import app

    route = app.route_table(app.read_settings(os.environ)).find(method, path)
    if route is None:
        out.print(f"Nothing answers {method.upper()} {path}.")
        raise typer.Exit(1)
    out.print(f"{route.method} {route.path}")
    out.print(f"  handler     {route.where}")
    out.print(f"  operation   {route.operation.name if route.operation else '-'}")
    out.print(f"  permission  {route.permission}")


@cli.command()
def document(check: Annotated[bool, typer.Option(help="Only say whether the files are current.")] = False) -> None:
    """Write docs/operations.md, roles.md and settings.md, and the texts for translators (locale/messages.pot)."""
    from subscription_services import documents

    stale = documents.stale() if check else documents.write()
    for name in stale:
        out.print(f"{'out of date' if check else 'wrote'}: {name}")
    raise typer.Exit(1 if check and stale else 0)


@cli.command()
def bootstrap(
    email: str, name: str,
    others: Annotated[
        list[str] | None, typer.Option("--and", help="Another one, as 'Name <address>'. May be repeated.")
    ] = None,
) -> None:  # fmt: skip
    """Make the first administrators and print their enrolment links. Works once ever.

    Name two or more people where you can. Giving roles, destroying keys, exports opened, restores and deployments take
    two: whoever does it, and somebody else whom they did not invite or appoint. Somebody alone waits a day for each
    such step, and everybody is told. Everybody named here can approve for the others from the first day.
    """
    from subscription_services.commands import people

    links = people.bootstrap(os.environ, [(email, name), *(people.mailbox(item) for item in others or [])])
    out.print(
        "The first administrators are made. Each opens their link within its hour to set a password and second factor:"
        if others
        else "The first administrator is made. Open this link within its hour to set a password and second factor:"
    )
    if not others:
        out.print("(You named only one: what takes two people will wait a day each time, and everybody is told.)")
    print(*links, sep="\n")


@cli.command()
def call(
    operation: Annotated[str, typer.Argument(help="Name of the operation, such as identity.find_person.")],
    fields: Annotated[list[str] | None, typer.Argument(help="Fields of its request, as name=value.")] = None,
    email: Annotated[str, typer.Option(help="Who signs in.", prompt="E-mail")] = "",
) -> None:
    """Carry out any operation as a person: signs in over the API (password, code), acts, signs out."""
    from subscription_services.commands import people

    out.print_json(people.call(os.environ, email, operation, fields or []))


@cli.command()
def glass(email: Annotated[str, typer.Option(help="Somebody on the team.", prompt="E-mail")] = "") -> None:
    """Whether there is a sealed code for emergencies, and what was done with one and is not reviewed yet."""
    from subscription_services.commands import glass as glass_command

    for line in glass_command.glass(os.environ, email):
        out.print(line)


@ledger_cli.command("verify")
def ledger_verify() -> None:
    """Recompute the whole log from what is stored and say whether anything was changed."""
    from subscription_services import app

    report, well = app.verify_ledger(app.read_settings(os.environ))
    print(report)
    raise typer.Exit(0 if well else 1)


@ledger_cli.command("export")
def ledger_export(
    folder: Path, email: Annotated[str, typer.Option(help="An auditor or the security role.", prompt="E-mail")] = ""
) -> None:
    """Bring a copy of the whole log in FOLDER up to date (C2SP tlog-tiles).

    Each bundle of entries that is read is recorded. Interrupted, it goes on where it was; verify the copy with
    subs-verify.
    """
    from subscription_services.commands import log as log_commands

    with Progress(console=out, transient=True) as bar:
        task = bar.add_task("Entries", total=None)
        done = log_commands.export_log(
            os.environ, email, folder, lambda now, total: bar.update(task, completed=now, total=total)
        )
    out.print(f"{folder}: {done.checkpoint.size} entries, {done.checkpoint.size - done.before} of them new.")
    out.print(f"root {done.checkpoint.root.hex()}")
    if done.minimum:
        out.print(f"Entries below {done.minimum} are past their time; their hashes are there.")


@ledger_cli.command("archive")
def ledger_archive(
    file: Path,
    wanted: Annotated[
        list[str] | None, typer.Argument(help="Filters: since=2026-11-01T00:00:00Z actor=acc_... action=billing.")
    ] = None,
    ocsf: Annotated[bool, typer.Option(help="OCSF JSON lines (.gz) instead of entries with proofs (.tar.gz).")] = False,
    email: Annotated[str, typer.Option(help="An auditor or the security role.", prompt="E-mail")] = "",
) -> None:
    """Save a stretch of the log in FILE: entries with their proofs of inclusion, or as OCSF JSON."""
    from subscription_services.commands import log as log_commands
    from subscription_services.commands.people import pair

    filters = {**dict(pair(text) for text in wanted or []), "form": "ocsf" if ocsf else "proofs"}
    with out.status("The service makes the archive ..."):
        count = log_commands.save_stretch(os.environ, email, file, filters, lambda: time.sleep(0.5))
    out.print(f"{file}: {count} entries.")


@ledger_cli.command("adopt")
def ledger_adopt(
    reason: Annotated[str, typer.Option(help="Why, for the log.", prompt="Reason")] = "",
    email: Annotated[str, typer.Option(help="Somebody with the security role.", prompt="E-mail")] = "",
) -> None:
    """Trust the store's newest checkpoint on this machine: a new machine, or one that lost its ledger.json.

    The sequencer remembers the last checkpoint outside the database and refuses to sign when it does not find it
    there. Adopting says: this database is the right one. Run it on the machine whose worker refuses, once you made
    sure that nobody turned the database back. The whole log is verified first, and the decision is recorded.
    """
    from subscription_services.commands import log as log_commands

    out.print(log_commands.adopt_log(os.environ, email, reason, lambda shown: typer.confirm(f"{shown}\nTrust this?")))


def main() -> None:
    """Entry point. What a person can mend is said in one line; everything else is a defect and shows itself."""
    from subscription_services import app
    from subscription_services.logging import configure

    try:
        configure(app.read_settings(os.environ).of(HouseSettings).log_level)
        cli()
    except DomainError as error:
        print(f"subs: {error.text}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()

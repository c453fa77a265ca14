"""`subs deployments`: which release may run here."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from subscription_services.kernel.errors import Invalid

if TYPE_CHECKING:
    import httpx

deployments_cli = typer.Typer(no_args_is_help=True, help="Releases that may run here.")
Wheel = Annotated[Path | None, typer.Option(help="A built wheel; without it the release that is installed here.")]
PERMIT, ASK = "access.permit_deployment", "access.ask_approval"


@deployments_cli.command()
def digest(wheel: Wheel = None) -> None:
    """Print the digest of a release: SHA-256 over its files, as `sha256sum` lists them."""
    print(_digest(wheel))


@deployments_cli.command()
def permit(
    version: Annotated[str, typer.Option(help="As people know the release.", prompt="Version")] = "",
    reason: Annotated[str, typer.Option(help="For who approves it.", prompt="Reason")] = "",
    wheel: Wheel = None,
    email: Annotated[str, typer.Option(help="Who signs in.", prompt="E-mail")] = "",
) -> None:
    """Permit a release here, at the service that runs now. It takes two: the first run asks, somebody else approves at
    /team/approvals, the second run permits it and prints the signed statement."""
    print(permitted(os.environ, email, _digest(wheel), version, reason))


@deployments_cli.command()
def verify() -> None:
    """Say whether the release that is installed here may run here, and under which permit."""
    from subscription_services import access, app
    from subscription_services.kernel.settings import HouseSettings

    settings = app.read_settings(os.environ)
    house, name = app.build(settings), settings.of(HouseSettings).public_name
    try:
        keys = house.ring.for_caller("access")
        with house.store.reading() as connection:
            found = access.good_permit(connection, keys, name, access.installed_digest())
            key = access.public_key_text(keys, name) if found else ""
    finally:
        house.close()
    if found is None:
        print(f"Nobody permitted these files ({access.installed_digest()}) in {name}.")
        raise typer.Exit(1)
    print(f"{found.note}\nkey {key}")


def permitted(environment: Mapping[str, str], email: str, digest: str, version: str, reason: str) -> str:
    """The signed statement, or what was asked. Raises Refusal."""
    from subscription_services import app
    from subscription_services.commands import people
    from subscription_services.kernel.settings import HouseSettings

    name = app.read_settings(environment).of(HouseSettings).public_name
    request = {"digest": digest, "version": version, "environment": name}
    with people.signed_in_client(environment, email) as client:
        answer = client.post(f"/api/{PERMIT}", json=request)
        if not answer.is_success and answer.json().get("type", "").endswith("approval-needed"):
            asked = _asked(client, request, reason)
            return (f"Asked for approval: {client.base_url}/team/approvals/{asked['id']}\n"
                    "Do this again, with the same words, once somebody else has approved it.")  # fmt: skip
        return str(people.read(answer)["note"])


def _asked(client: httpx.Client, request: dict[str, str], reason: str) -> Any:
    from subscription_services.commands import people

    for item in people.read(client.get("/api/access.approval_requests"))["mine"]:
        if item["ended_at"] is None and msgspec.json.decode(item["arguments"]) == request:
            return item
    arguments = msgspec.json.encode(request).decode()
    return people.read(client.post(f"/api/{ASK}", json={"operation": PERMIT, "arguments": arguments, "reason": reason}))


def _digest(wheel: Path | None) -> str:
    from subscription_services import access

    return access.installed_digest() if wheel is None else wheel_digest(wheel)


def wheel_digest(wheel: Path) -> str:
    """Of what a built wheel would install. Raises Invalid."""
    from subscription_services.access import PACKAGE, digest_of

    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if name.startswith(f"{PACKAGE}/") and not name.endswith("/")]
            found = digest_of((name, archive.read(name)) for name in names)
    except (OSError, zipfile.BadZipFile) as error:
        raise Invalid(f"{wheel} does not open as a wheel: {error}.") from error
    if not names:
        raise Invalid(f"{wheel} holds no {PACKAGE}.")
    return found

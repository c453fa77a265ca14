"""`subs keys ...`: the key service as a process, and certificates for its clients."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from subscription_services.kernel.clock import system_clock
from subscription_services.kernel.errors import Invalid
from subscription_services.kernel.settings import HouseSettings
from subscription_services.keys import KeySettings

keys_cli = typer.Typer(no_args_is_help=True, help="The key management service.")


@keys_cli.command("serve")
def keys_serve() -> None:
    """Be the key service, for clients whose certificate the allow list names. `subs run` can start one by itself."""
    from subscription_services import parts

    parts.keep_keys()


@keys_cli.command("issue-certificate")
def issue_certificate(
    name: Annotated[
        str, typer.Argument(help="The client's name, such as web-2; its identity is spiffe://DOMAIN/NAME.")
    ],
    server: Annotated[bool, typer.Option(help="For a key service on another host (NAME must be keys).")] = False,
    host: Annotated[list[str] | None, typer.Option(help="Host names or addresses to stand in it as well.")] = None,
) -> None:
    """Make or renew a certificate of this installation's authority for a client on another host."""
    from subscription_services import app
    from subscription_services.keys.apart import Apart
    from subscription_services.keys.certificates import SERVER

    settings = app.read_settings(os.environ)
    if server != (name == SERVER):
        raise Invalid(f"The certificate of a key service is named {SERVER} and made with --server; no other is.")
    authority = Apart(settings.of(HouseSettings).data_path, settings.of(KeySettings)).authority
    authority.prepare(system_clock())
    files = authority.issue(name, system_clock(), server=server, hosts=host or [])
    print(f"SUBS_KEYS_CERTIFICATE={files.certificate}")
    print(f"SUBS_KEYS_CERTIFICATE_KEY={files.key}")
    print(f"SUBS_KEYS_AUTHORITY={files.authority}")
    print(f"identity = {authority.identity(name)}")
    if not server:
        print("Move the three files to that host (the key mode 0600), set the variables there, and give the identity")
        print("its callers and methods in the allow list of the key service (SUBS_KEYS_ALLOW).")

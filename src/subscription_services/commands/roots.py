"""`subs keys create-root` and `subs keys move-root`."""

from __future__ import annotations

import os
import shlex
from typing import Annotated

import typer


def register(keys: typer.Typer) -> None:
    keys.command("create-root")(create_root)
    keys.command("move-root")(move_root)


def create_root(
    root: Annotated[str, typer.Option("--root", help="Its address; without it the one in SUBS_KEYS_ROOT.")] = "",
) -> None:
    """Make a root key in a file, token, AWS KMS or Transit. Where keys exist the service is stopped, and two agree."""
    from subscription_services.commands import key_roots

    made = key_roots.create(os.environ, root, _Terminal())
    print("The root key is made. A new installation uses it, and existing keys move to it with `subs keys move-root`:")
    print(f"SUBS_KEYS_ROOT={shlex.quote(made)}")


def move_root(
    to: Annotated[str, typer.Option("--to", help="Address of the root key that takes over; it must be there.")],
) -> None:
    """Move all keys to another root key. The service is stopped, the old root reachable, two people agree."""
    from subscription_services.commands import key_roots
    from subscription_services.keys.roots.address import parse

    moved = key_roots.move(os.environ, to, _Terminal())
    print(f"Moved: {moved.keys} key-encryption keys and the store's key are under root {moved.to}.")
    print(f"Set SUBS_KEYS_ROOT={shlex.quote(str(parse(to)))} before the next start: the old root opens nothing now.")
    if moved.copy:
        print(f"Backup made after: {moved.copy}. Backups from before open with the old root only, so keep that")
        print("until the last of them is gone.")
    else:
        print("No backup could be made: make one with `subs keys backup` once there is room.")


class _Terminal:
    def confirm(self, what: str) -> bool:
        print(what)
        return typer.confirm("Do this?")

    def ask(self, what: str, *, secret: bool) -> str:
        return str(typer.prompt(what, hide_input=secret))

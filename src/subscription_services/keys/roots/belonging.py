"""Which root a key store belongs to.

root.id names it for people and for a start that never reaches the store: its fingerprint, then its address. The store
itself has the last word (`root` in its table meta): moving to another root is committed there. A root that does not
derive the store's key keeps it wrapped in store-FINGERPRINT.key, of which a copy lies with the store's backups.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from subscription_services.kernel.clock import Random
from subscription_services.keys.durable import write_durably
from subscription_services.keys.encoding import bind
from subscription_services.keys.errors import KeyStoreDamaged, KeyTampered, RootKeyMissing, RootKeyWrong
from subscription_services.keys.ports import RootProvider
from subscription_services.keys.store import KeyStore, Tx

from .address import Address, FileAddress
from .choice import file_of, open_root
from .file import FileRoot, create_root
from .providers import HeldRoot, Wrapping, wrap_and_check

STORE_KEY = bind("subs.root.store.v1")
"""The context in which a store's key is wrapped."""
_MARK = "root.id"


@dataclass(frozen=True, slots=True)
class Mark:
    """What root.id says; both empty before the first start is whole."""

    fingerprint: str
    address: str

    @property
    def text(self) -> str:
        return f" It was last opened with SUBS_KEYS_ROOT={self.address}" if self.address else ""


def read_mark(directory: Path) -> Mark:
    path = directory / _MARK
    lines = path.read_text().splitlines() if path.exists() else []
    return Mark(lines[0].strip() if lines else "", lines[1].strip() if len(lines) > 1 else "")


def store_key_file(directory: Path, fingerprint: str) -> Path:
    return directory / f"store-{fingerprint}.key"


def root_for(directory: Path, address: Address, random: Random, store: Path, copies: Path) -> RootProvider:
    """The root at `address` with the key of `store`. A new store gets a new key, and under ``file:`` a new root.

    Raises RootKeyMissing, RootKeyWrong, KeyStoreDamaged, and what opening that root raises.
    """
    mark = read_mark(directory)
    stored = store.exists() and store.stat().st_size > 0
    root = _open(directory, address, random, mark, store if mark.fingerprint or stored else None)
    wrapped = store_key_file(directory, root.fingerprint)
    if not wrapped.exists() and (copies / wrapped.name).exists():
        write_durably(wrapped, (copies / wrapped.name).read_bytes())
    if mark.fingerprint and mark.fingerprint != root.fingerprint and not wrapped.exists():
        what = file_of(address, directory) if isinstance(address, FileAddress) else f"the root at {address}"
        raise RootKeyWrong(
            f"Wrong key: {what} does not belong to the key store {store}. Put the right one back.{mark.text}"
        )
    if mark.fingerprint and not stored:
        raise KeyStoreDamaged(f"The key store {store} is missing or empty. Restore it from its backup.")
    if wrapped.exists():
        return HeldRoot(root, _unwrap(root, wrapped))
    if isinstance(root, FileRoot):
        return root
    if stored:
        raise KeyStoreDamaged(f"The store's wrapped key {wrapped} is missing. Put it back from {copies}.")
    key = random(32)
    write_durably(wrapped, wrap_and_check(root, key, STORE_KEY))
    return HeldRoot(root, key)


def _open(directory: Path, address: Address, random: Random, mark: Mark, used: Path | None) -> Wrapping:
    """A new root only for ``file:`` without a path, and only where there never was a store."""
    if isinstance(address, FileAddress) and not file_of(address, directory).exists():
        path = file_of(address, directory)
        if used:
            raise RootKeyMissing(
                f"The key store {used} needs its root key, and {path} is missing. Put it back.{mark.text}"
            )
        if address.path:
            raise RootKeyMissing(f"There is no root key at {path}. Put it there, or make one: subs keys create-root.")
        return create_root(path, random)
    return open_root(address, directory, random)


def _unwrap(root: Wrapping, wrapped: Path) -> bytes:
    try:
        key = root.unwrap(wrapped.read_bytes(), STORE_KEY)
    except KeyTampered:
        key = b""
    if len(key) != 32:
        raise RootKeyWrong(
            f"Wrong key: the root does not open {wrapped}. It is another root of the same name, or the file was "
            "changed: put the right one back."
        )
    return key


def check_belongs(store: KeyStore, root: RootProvider, directory: Path) -> None:
    """Raises RootKeyWrong unless the store is under this root; a new store says so from now on."""
    mark = read_mark(directory)
    with store.writing() as tx:
        said = stored_root(tx)
        # A store from before there was a choice says nothing: then root.id counts.
        belongs = said or mark.fingerprint
        if belongs and belongs != root.fingerprint:
            raise RootKeyWrong(
                "Wrong key: the key store is under another root than SUBS_KEYS_ROOT says, or a backup from before a "
                f"move was put back. A move that did not finish is repeated with the old root.{mark.text}"
            )
        if not said:
            say_root(tx, root.fingerprint)


def stored_root(tx: Tx) -> str:
    """The fingerprint that the store gives, empty before it has one."""
    row = tx.execute("SELECT value FROM meta WHERE name = 'root'").fetchone()
    return str(row[0]) if row else ""


def say_root(tx: Tx, fingerprint: str) -> None:
    tx.execute(
        "INSERT INTO meta (name, value) VALUES ('root', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (fingerprint,),
    )


def remember(directory: Path, root: RootProvider, address: Address, copies: Path) -> None:
    """Note the root once the store is whole, drop what an earlier one left, and keep a copy of the wrapped key."""
    content = f"{root.fingerprint}\n{address}\n"
    if not (directory / _MARK).exists() or (directory / _MARK).read_text() != content:
        write_durably(directory / _MARK, content.encode())
    own = store_key_file(directory, root.fingerprint)
    for path in directory.glob("store-*.key"):
        if path != own:
            path.unlink(missing_ok=True)
    # Backups may be elsewhere and away for now; the next start tries again.
    with suppress(OSError):
        copy = copies / own.name
        if own.exists() and not (copy.exists() and copy.read_bytes() == own.read_bytes()):
            copies.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_durably(copy, own.read_bytes())

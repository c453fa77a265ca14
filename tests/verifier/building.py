"""A log to verify, written without the verifier and without the server: plain recursion over lists of hashes."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ORIGIN = "log.example/audit"


@dataclass(frozen=True)
class Signer:
    """A named Ed25519 key; `kind` is 1 for a log, 4 for a witness."""

    name: str
    kind: int
    private: Ed25519PrivateKey

    @property
    def public(self) -> bytes:
        return bytes([self.kind]) + self.private.public_key().public_bytes_raw()

    @property
    def key_id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + self.public).digest()[:4]

    @property
    def vkey(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(self.public).decode()}"

    def line(self, text: str, time: int = 1_700_000_000) -> str:
        if self.kind == 1:
            signature = self.private.sign(text.encode())
        else:
            signature = time.to_bytes(8, "big") + self.private.sign(f"cosignature/v1\ntime {time}\n{text}".encode())
        return f"— {self.name} {base64.b64encode(self.key_id + signature).decode()}\n"


def signer(name: str, kind: int = 1, seed: int = 0) -> Signer:
    private = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"{name} {seed}".encode()).digest())
    return Signer(name, kind, private)


LOG = signer(ORIGIN)
WITNESSES = tuple(signer(f"witness.example/w{number}", 4) for number in range(3))


def leaf(entry: bytes) -> bytes:
    return hashlib.sha256(b"\0" + entry).digest()


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def split(count: int) -> int:
    """The largest power of two smaller than count."""
    return 1 << (count - 1).bit_length() - 1


def root(leaves: Sequence[bytes]) -> bytes:
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    middle = split(len(leaves))
    return node(root(leaves[:middle]), root(leaves[middle:]))


def inclusion(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    middle = split(len(leaves))
    if index < middle:
        return [*inclusion(index, leaves[:middle]), root(leaves[middle:])]
    return [*inclusion(index - middle, leaves[middle:]), root(leaves[:middle])]


def consistency(old: int, leaves: Sequence[bytes], whole: bool = True) -> list[bytes]:
    if old == len(leaves):
        return [] if whole else [root(leaves)]
    middle = split(len(leaves))
    if old <= middle:
        return [*consistency(old, leaves[:middle], whole), root(leaves[middle:])]
    return [*consistency(old - middle, leaves[middle:], False), root(leaves[:middle])]


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def checkpoint(
    leaves: Sequence[bytes], log: Signer = LOG, witnesses: Sequence[Signer] = (), *, origin: str = "", time: int = 0
) -> bytes:
    text = f"{origin or log.name}\n{len(leaves)}\n{b64(root(leaves))}\n"
    lines = "".join(item.line(text, time or 1_700_000_000) for item in witnesses)
    return f"{text}\n{log.line(text)}{lines}".encode()


def inclusion_file(index: int, leaves: Sequence[bytes], note: bytes, extra: bytes | None = None) -> bytes:
    head = "c2sp.org/tlog-proof@v1\n" + ("" if extra is None else f"extra {b64(extra)}\n") + f"index {index}\n"
    return (head + "".join(f"{b64(item)}\n" for item in inclusion(index, leaves)) + "\n").encode() + note


def consistency_file(old: int, leaves: Sequence[bytes], note: bytes) -> bytes:
    path = consistency(old, leaves) if old else []
    return (f"old {old}\n" + "".join(f"{b64(item)}\n" for item in path) + "\n").encode() + note


def tile_name(level: int | str, index: int, width: int = 256) -> str:
    thousands: tuple[str, ...] = f"{index // 1_000_000:03}", f"{index // 1000 % 1000:03}", f"{index % 1000:03}"
    while len(thousands) > 1 and thousands[0] == "000":
        thousands = thousands[1:]
    number = "/".join([*(f"x{part}" for part in thousands[:-1]), thousands[-1]])
    return f"tile/{level}/{number}" + ("" if width == 256 else f".p/{width}")


def files(entries: Sequence[bytes]) -> dict[str, bytes]:
    """Every tile and entry bundle of a log."""
    found = {}
    for start in range(0, len(entries), 256):
        part = entries[start : start + 256]
        found[tile_name("entries", start // 256, len(part))] = b"".join(
            len(entry).to_bytes(2, "big") + entry for entry in part
        )
    level, hashes = 0, [leaf(entry) for entry in entries]
    while hashes:
        tiles = [hashes[start : start + 256] for start in range(0, len(hashes), 256)]
        for index, tile in enumerate(tiles):
            found[tile_name(level, index, len(tile))] = b"".join(tile)
        level, hashes = level + 1, [root(tile) for tile in tiles if len(tile) == 256]
    return found


def write_folder(place: Path, entries: Sequence[bytes], note: bytes | None = None) -> Path:
    leaves = [leaf(entry) for entry in entries]
    for name, data in (files(entries) | {"checkpoint": note or checkpoint(leaves)}).items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
    return place


def entries_of(count: int) -> list[bytes]:
    return [b"entry %d " % number * (number % 7) for number in range(count)]

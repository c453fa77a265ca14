"""Whom this log asks for cosignatures and how many it needs: a C2SP tlog-policy file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from subscription_services.kernel.errors import SettingsError

from .cosignature import CosignatureVerifier, parse_witness_key
from .errors import NoteError

LARGEST = 256 * 1024
NONE = "none"


@dataclass(frozen=True, slots=True)
class Witness:
    """`name` is that of the policy file; `url` is the submission prefix, empty where only its key is known."""

    name: str
    key: CosignatureVerifier
    url: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Witnesses when at least `needed` of its members do."""

    needed: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrustPolicy:
    """Without witnesses (the default) nothing is ever called witnessed."""

    witnesses: tuple[Witness, ...] = ()
    groups: Mapping[str, Group] = field(default_factory=dict)
    quorum: str = NONE

    def satisfied(self, cosigned: Collection[str]) -> bool:
        """Whether the witnesses with these labels are enough. Nobody is never enough."""
        met = {witness.name: witness.key.label in cosigned for witness in self.witnesses}
        if not any(met.values()):
            return False
        for name, group in self.groups.items():
            met[name] = sum(met[member] for member in group.members) >= group.needed
        return self.quorum == NONE or met[self.quorum]

    @property
    def keys(self) -> tuple[CosignatureVerifier, ...]:
        """The verifiers of all witnesses."""
        return tuple(witness.key for witness in self.witnesses)


def read_policy(path: str) -> TrustPolicy:
    """The policy in a file; the empty one where `path` is empty. Raises SettingsError with the line to mend."""
    if not path:
        return TrustPolicy()
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise SettingsError(
            f"SUBS_LEDGER_WITNESS_POLICY names {path}, which cannot be read: {error.strerror}."
        ) from error
    return parse_policy(data)


def parse_policy(data: bytes) -> TrustPolicy:
    """Read the text of a policy. Raises SettingsError."""
    if len(data) > LARGEST or any((octet < 0x20 and octet not in b"\t\n") or octet == 0x7F for octet in data):
        raise SettingsError("The witness policy is too large or has control characters.")
    try:
        lines = data.decode().split("\n")
    except UnicodeDecodeError:
        raise SettingsError("The witness policy is not UTF-8.") from None
    reader = _Reader()
    for number, line in enumerate(lines, start=1):
        words = line.replace("\t", " ").split(" ")
        words = [word for word in words if word]
        if not words or words[0].startswith("#"):
            continue
        try:
            reader.read(words)
        except (ValueError, NoteError) as error:
            raise SettingsError(f"Line {number} of the witness policy: {error}.") from error
    if not reader.quorum:
        raise SettingsError("The witness policy has no quorum line.")
    return TrustPolicy(tuple(reader.witnesses.values()), reader.groups, reader.quorum)


class _Reader:
    def __init__(self) -> None:
        self.witnesses: dict[str, Witness] = {}
        self.groups: dict[str, Group] = {}
        self.quorum = ""
        self._members: set[str] = set()

    def read(self, words: list[str]) -> None:
        match words:
            case ["log", _, *url] if len(url) <= 1:
                return  # this log knows itself
            case ["witness", name, vkey, *url] if len(url) <= 1:
                self._witness(name, parse_witness_key(vkey), url[0] if url else "")
            case ["group", name, needed, *members] if members:
                self._group(name, needed, members)
            case ["quorum", name]:
                if self.quorum:
                    raise ValueError("there is a quorum line already")
                if name != NONE:
                    self._defined(name)
                self.quorum = name
            case _:
                raise ValueError("not a line of a policy (C2SP tlog-policy)")

    def _witness(self, name: str, key: CosignatureVerifier, url: str) -> None:
        self._free(name)
        if any(other.key.public_key == key.public_key for other in self.witnesses.values()):
            raise ValueError("the same witness a second time")
        if url and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
            raise ValueError("the address of a witness starts with https:// (or http://)")
        self.witnesses[name] = Witness(name, key, url.rstrip("/"))

    def _group(self, name: str, needed: str, members: list[str]) -> None:
        self._free(name)
        for member in members:
            self._defined(member)
            if member in self._members:
                raise ValueError(f"{member} is a member of a group already")
            self._members.add(member)
        count = {"any": 1, "all": len(members)}.get(needed)
        if count is None:
            count = int(needed) if needed.isascii() and needed.isdigit() and len(needed) < 5 else 0
        if not 1 <= count <= len(members):
            raise ValueError(f"{needed} of {len(members)} members cannot be needed")
        self.groups[name] = Group(count, tuple(members))

    def _free(self, name: str) -> None:
        if name == NONE or name in self.witnesses or name in self.groups:
            raise ValueError(f"the name {name} is taken")

    def _defined(self, name: str) -> None:
        if name not in self.witnesses and name not in self.groups:
            raise ValueError(f"{name} was not defined before")

"""Whom to believe, C2SP tlog-policy: logs, witnesses, and how many of them must have cosigned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from .encoding import shown
from .errors import Malformed, NotWitnessed, TooLarge
from .note import COSIGNATURE, ED25519, Key, parse_key

MAX_POLICY_BYTES = 256 * 1024
MAX_DEFINED = 256
CLOCK_SKEW = 300
"""Seconds that a cosignature may lie in the future where its age matters."""


@dataclass(frozen=True, slots=True)
class Group:
    """Satisfied when at least `needed` of its members are."""

    needed: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """`quorum` names a witness or group, None demands nobody. `max_age` (seconds) bounds how old a cosignature is."""

    logs: tuple[Key, ...]
    witnesses: Mapping[str, Key] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)
    quorum: str | None = None
    max_age: int | None = None

    def is_fresh(self, time: int, now: int | None) -> bool:
        """Whether a cosignature of that time counts at `now`."""
        if self.max_age is None or now is None:
            return True
        return now - self.max_age <= time <= now + CLOCK_SKEW

    def demand(self, cosigned: frozenset[Key]) -> None:
        """Raises NotWitnessed unless the quorum cosigned."""
        if self.quorum is None:
            return
        met = {name: key in cosigned for name, key in self.witnesses.items()}
        # groups name only what was defined before them
        for name, group in self.groups.items():
            met[name] = sum(met[member] for member in group.members) >= group.needed
        if not met[self.quorum]:
            who = ", ".join(sorted(key.name for key in cosigned)) or "nobody"
            raise NotWitnessed(f"the policy demands {shown(self.quorum)} as witness; only {who} cosigned")


def policy_of_key(text: str) -> Policy:
    """Trust one log and demand no witness. Raises Malformed."""
    return Policy((_key(text, ED25519),))


def parse_policy(data: bytes) -> Policy:
    """Read a policy file. Raises Malformed."""
    if len(data) > MAX_POLICY_BYTES:
        raise TooLarge(f"a policy of {len(data)} bytes")
    if any((octet < 0x20 and octet not in b"\t\n") or octet == 0x7F for octet in data):
        raise Malformed("the policy has control characters")
    reader = _Reader()
    # octets are opaque (names need not be UTF-8), so each becomes one character
    for number, line in enumerate(data.decode("latin-1").split("\n"), start=1):
        words = line.replace("\t", " ").split(" ")
        words = [word for word in words if word]
        if words and not words[0].startswith("#"):
            try:
                reader.read(words)
            except Malformed as error:
                raise Malformed(f"line {number} of the policy: {error}") from None
    return reader.policy()


def with_max_age(policy: Policy, seconds: int | None) -> Policy:
    """The policy, counting only cosignatures of the last `seconds`."""
    return replace(policy, max_age=seconds)


class _Reader:
    def __init__(self) -> None:
        self._logs: list[Key] = []
        self._witnesses: dict[str, Key] = {}
        self._groups: dict[str, Group] = {}
        self._grouped: set[str] = set()
        self._quorum: str | None = None

    def read(self, words: list[str]) -> None:
        match words:
            case ["log", key, *url] if len(url) <= 1:
                self._log(_key(key, ED25519))
            case ["witness", name, key, *url] if len(url) <= 1:
                self._witness(name, _key(key, COSIGNATURE))
            case ["group", name, needed, *members] if members:
                self._group(name, needed, members)
            case ["quorum", name]:
                self._set_quorum(name)
            case _:
                raise Malformed(f"not a line of a policy: {shown(' '.join(words))}")

    def policy(self) -> Policy:
        if self._quorum is None:
            raise Malformed("the policy has no quorum line")
        quorum = None if self._quorum == "none" else self._quorum
        return Policy(tuple(self._logs), self._witnesses, self._groups, quorum)

    def _log(self, key: Key) -> None:
        if any(key.public == other.public for other in self._logs):
            raise Malformed("the same log a second time")
        self._logs.append(key)
        _bound(self._logs)

    def _witness(self, name: str, key: Key) -> None:
        self._define(name)
        if any(key.public == other.public for other in self._witnesses.values()):
            raise Malformed("the same witness a second time")
        self._witnesses[name] = key
        _bound(self._witnesses)

    def _group(self, name: str, needed: str, members: list[str]) -> None:
        for member in members:
            if member not in self._witnesses and member not in self._groups:
                raise Malformed(f"{shown(member)} was not defined before")
            if member in self._grouped:
                raise Malformed(f"{shown(member)} is a member of a group already")
            self._grouped.add(member)
        self._define(name)
        self._groups[name] = Group(_needed(needed, len(members)), tuple(members))
        _bound(self._groups)

    def _set_quorum(self, name: str) -> None:
        if self._quorum is not None:
            raise Malformed("a second quorum line")
        if name != "none" and name not in self._witnesses and name not in self._groups:
            raise Malformed(f"{shown(name)} was not defined before")
        self._quorum = name

    def _define(self, name: str) -> None:
        if name == "none" or name in self._witnesses or name in self._groups:
            raise Malformed(f"the name {shown(name)} is taken")


def _needed(word: str, members: int) -> int:
    if word in ("all", "any"):
        return members if word == "all" else 1
    if not (word.isascii() and word.isdigit() and len(word) <= 4) or not 1 <= int(word) <= members:
        raise Malformed(f"{shown(word)} of {members} members cannot be needed")
    return int(word)


def _key(word: str, kind: int) -> Key:
    try:
        text = word.encode("latin-1").decode() if not word.isascii() else word
    except UnicodeError:
        raise Malformed("the name of a key is not UTF-8") from None
    key = parse_key(text)
    if key.kind != kind:
        raise Malformed(f"a key of type 0x{key.kind:02x} where 0x{kind:02x} belongs")
    return key


def _bound(defined: Mapping[str, object] | list[Key]) -> None:
    if len(defined) > MAX_DEFINED:
        raise TooLarge(f"more than {MAX_DEFINED} logs, witnesses or groups")

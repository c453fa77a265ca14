"""`subs-verify`: verify what a log published. Exit codes: 0 proved, 1 refused, 2 wrong use or unreadable file,
3 everything agrees but no witness cosigned."""

from __future__ import annotations

import argparse
import io
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from .checkpoint import Head, open_checkpoint
from .encoding import MAX_SIZE, read_file, to_base64
from .errors import Malformed, Unreadable, VerifierError
from .folder import MAX_ENTRIES, verify_folder
from .note import MAX_NOTE_BYTES
from .policy import MAX_POLICY_BYTES, Policy, parse_policy, policy_of_key, with_max_age
from .proof import MAX_PROOF_BYTES, parse_consistency, parse_inclusion
from .statement import MAX_STATUS_BYTES, compare_with_status, verify_statement

PROVED, REFUSED, UNUSABLE, UNWITNESSED = 0, 1, 2, 3
MAX_ENTRY_BYTES = 0xFFFF


def main(arguments: list[str] | None = None) -> int:
    """Run the command. Returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # a name that the terminal cannot show is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.policy is None and options.key is None:
        parser.error("say whom you trust, with --policy or --key")
    try:
        policy = _policy(options)
    except VerifierError as error:
        print(f"whom you trust cannot be read: {error}", file=sys.stderr)
        return UNUSABLE
    try:
        head, lines = _COMMANDS[options.command](options, policy, int(time.time()))
    except Unreadable as error:
        print(f"cannot read: {error}", file=sys.stderr)
        return UNUSABLE
    except VerifierError as error:
        print(f"refused: {error}", file=sys.stderr)
        return REFUSED
    for line in [*_head_lines(head), *lines]:
        print(line)
    if head.witnessed:
        print("proved")
        return PROVED
    print("unwitnessed: all of this agrees, but no witness that you trust has cosigned; the log could show others")
    print("             another history, or an older one of its own")
    return UNWITNESSED


def _checkpoint(options: argparse.Namespace, policy: Policy, now: int) -> tuple[Head, list[str]]:
    return open_checkpoint(read_file(options.checkpoint, MAX_NOTE_BYTES), policy, now), []


def _inclusion(options: argparse.Namespace, policy: Policy, now: int) -> tuple[Head, list[str]]:
    proof = parse_inclusion(read_file(options.proof, MAX_PROOF_BYTES))
    entry = proof.extra if options.entry is None else read_file(options.entry, MAX_ENTRY_BYTES)
    if entry is None:
        raise Malformed("the proof does not carry its entry; name the file with --entry")
    return proof.verify(entry, policy, now), [f"included: entry {proof.index}, {len(entry)} bytes"]


def _consistency(options: argparse.Namespace, policy: Policy, now: int) -> tuple[Head, list[str]]:
    proof = parse_consistency(read_file(options.proof, MAX_PROOF_BYTES))
    before, after = proof.verify(read_file(options.old, MAX_NOTE_BYTES), policy, now)
    grown = after.checkpoint.size - before.checkpoint.size
    return after, [f"consistent: the first {before.checkpoint.size} entries are unchanged, {grown} were added"]


def _folder(options: argparse.Namespace, policy: Policy, now: int) -> tuple[Head, list[str]]:
    since = None if options.since is None else read_file(options.since, MAX_NOTE_BYTES)
    found = verify_folder(
        options.folder, policy, since=since, all_from=options.all_from, hashes_only=options.hashes_only, now=now,
        max_entries=options.max_entries, progress=_show_progress if sys.stderr.isatty() else None,
    )  # fmt: skip
    lines = [f"folder: {found.entries} entries hashed, {found.tiles} tiles worked out again"]
    if found.minimum_index:
        lines.append(f"pruned: the log keeps entries from {found.minimum_index} on")
    if found.absent:
        lines.append(f"absent: {found.absent} entry bundles; their hashes were verified, what they say was not")
    if found.extends is not None:
        lines.append(f"extends: the older checkpoint of {found.extends.size} entries")
    return found.head, lines


def _statement(options: argparse.Namespace, policy: Policy, now: int) -> tuple[Head, list[str]]:
    found = verify_statement(read_file(options.proof, MAX_PROOF_BYTES), policy, now)
    if options.status is not None:
        compare_with_status(found, read_file(options.status, MAX_STATUS_BYTES))
    lines = [
        f"statement: {_plain(found.promise)} was {found.verdict} on {found.at.isoformat()} (entry {found.index})",
        f"finding: {_plain(found.finding)}",
        *(f"  {_plain(name)}: {_plain(str(value))}" for name, value in sorted(found.figures.items())),
    ]
    if options.status is not None:
        lines.append("status: the page states the same")
    return found.head, lines


_COMMANDS = {
    "checkpoint": _checkpoint, "inclusion": _inclusion, "consistency": _consistency, "folder": _folder,
    "statement": _statement,
}  # fmt: skip


def _policy(options: argparse.Namespace) -> Policy:
    if options.policy is not None:
        policy = parse_policy(read_file(options.policy, MAX_POLICY_BYTES))
        if options.key is not None:
            policy = Policy(policy_of_key(options.key).logs, policy.witnesses, policy.groups, policy.quorum)
    else:
        policy = policy_of_key(options.key)
    return with_max_age(policy, options.max_age)


def _head_lines(head: Head) -> list[str]:
    known = head.checkpoint
    lines = [
        f"log: {_plain(known.origin)}",
        f"size: {known.size}",
        f"root: {to_base64(known.root)}",
        f"signed by: {_plain(head.log.text())}",
    ]
    lines += [f"witnessed by: {_plain(item.key.name)} on {_date(item.time)}" for item in head.witnesses]
    return lines


def _date(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return f"{seconds} seconds after 1970"


def _plain(text: str) -> str:
    """Nothing that a terminal would obey."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _show_progress(done: int, total: int) -> None:
    if done == total or done % (1 << 16) == 0:
        print(f"\r{done} of {total} entries", end="\n" if done == total else "", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    trust = argparse.ArgumentParser(add_help=False)
    trust.add_argument("--policy", type=Path, help="file that says whom you trust (C2SP tlog-policy)")
    trust.add_argument("--key", help="verifier key of the log (name+hash+base64), from somewhere else than the log")
    trust.add_argument("--max-age", type=_count, help="count only cosignatures of the last so many seconds")
    parser = argparse.ArgumentParser(prog="subs-verify", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, says: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, parents=[trust], help=says, description=says)

    one = command("checkpoint", "Verify a checkpoint: who signed and who cosigned it.")
    one.add_argument("checkpoint", type=Path)
    one = command("inclusion", "Verify that the log holds an entry.")
    one.add_argument("proof", type=Path, help=".tlog-proof file")
    one.add_argument("--entry", type=Path, help="the entry; without it, the one that the proof carries")
    one = command("consistency", "Verify that a log only grew since an older checkpoint.")
    one.add_argument("old", type=Path, help="the older checkpoint")
    one.add_argument("proof", type=Path, help="proof with the newer checkpoint")
    one = command("folder", "Verify a whole exported log.")
    one.add_argument("folder", type=Path)
    one.add_argument("--since", type=Path, help="an older checkpoint, which the log must extend")
    which = one.add_mutually_exclusive_group()
    which.add_argument("--all-from", type=_count, help="accept no absent entry from this index on")
    which.add_argument("--hashes-only", action="store_true", help="entries may be absent: verify the tree alone")
    one.add_argument("--max-entries", type=_count, default=MAX_ENTRIES)
    one = command("statement", "Verify what a check of the security page left in the log.")
    one.add_argument("proof", type=Path, help=".tlog-proof file that carries the entry")
    one.add_argument("--status", type=Path, help="a downloaded /security.json, which must state the same")
    return parser


def _count(text: str) -> int:
    number = int(text)
    if not 0 <= number <= MAX_SIZE:
        raise ValueError(text)
    return number


if __name__ == "__main__":
    raise SystemExit(main())

"""Who signed a checkpoint, and how many witnesses a policy needs."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from subs_verifier import BadSignature, Malformed, NotWitnessed, open_checkpoint, parse_policy, policy_of_key
from subs_verifier.policy import with_max_age
from tests.verifier.building import LOG, WITNESSES, Signer, checkpoint, entries_of, leaf, signer

LEAVES = [leaf(entry) for entry in entries_of(5)]
TRUST = f"log {LOG.vkey}\n" + "".join(f"witness W{n} {item.vkey}\n" for n, item in enumerate(WITNESSES))


def opened(rest: str, witnesses: Sequence[Signer]) -> int:
    """How many witnesses count."""
    return len(open_checkpoint(checkpoint(LEAVES, LOG, witnesses), parse_policy((TRUST + rest).encode())).witnesses)


def test_the_log_alone() -> None:
    head = open_checkpoint(checkpoint(LEAVES), policy_of_key(LOG.vkey))
    assert (head.checkpoint.origin, head.checkpoint.size, head.witnessed) == (LOG.name, 5, False)


@pytest.mark.parametrize(
    "rule", ["quorum W1", "group g 2 W0 W1 W2\nquorum g", "group g all W0 W1\n\tgroup h any g W2 \n#x\nquorum h"]
)
def test_a_quorum_that_is_met_and_one_that_is_not(rule: str) -> None:
    assert opened(rule, WITNESSES[:2]) == 2
    with pytest.raises(NotWitnessed):
        opened(rule, WITNESSES[:1])
    with pytest.raises(NotWitnessed):
        opened(rule, ())


def test_a_witness_counts_once() -> None:
    with pytest.raises(NotWitnessed):
        opened("group g 2 W0 W1 W2\nquorum g", [WITNESSES[0], WITNESSES[0]])


def test_strangers_do_not_count() -> None:
    stranger, impostor = signer("stranger.example", 4), signer(WITNESSES[0].name, 4, seed=1)
    assert opened("quorum none", [stranger, impostor]) == 0
    with pytest.raises(NotWitnessed):
        opened("quorum W0", [stranger, impostor])


def test_a_witness_does_not_stand_in_for_the_log() -> None:
    text = checkpoint(LEAVES).decode().partition("\n\n")[0] + "\n"
    note = f"{text}\n{WITNESSES[0].line(text)}".encode()
    with pytest.raises(BadSignature, match="the log itself"):
        open_checkpoint(note, parse_policy((TRUST + "quorum none").encode()))


def test_another_log_is_refused() -> None:
    other = signer("log.example/other")
    for note in (checkpoint(LEAVES, other), checkpoint(LEAVES, other, origin=LOG.name)):
        with pytest.raises(BadSignature):
            open_checkpoint(note, policy_of_key(LOG.vkey))
    with pytest.raises(BadSignature, match="not a log that you trust"):
        open_checkpoint(checkpoint(LEAVES, LOG, origin="log.example/other"), policy_of_key(LOG.vkey))


def test_only_young_cosignatures_count_where_age_matters() -> None:
    policy = with_max_age(parse_policy((TRUST + "quorum W0").encode()), 3600)
    now = 1_700_000_000
    note = checkpoint(LEAVES, LOG, WITNESSES[:1], time=now)
    assert open_checkpoint(note, policy, now + 3600).witnessed
    for moment in (now + 3601, now - 301):
        with pytest.raises(NotWitnessed):
            open_checkpoint(note, policy, moment)


@pytest.mark.parametrize(
    "policy",
    [
        "",
        f"log {LOG.vkey}\n",
        TRUST + "quorum W9",
        TRUST + "quorum none\nquorum none",
        TRUST + "quorum g\ngroup g any W0",
        TRUST + "group g 3 W0 W1\nquorum g",
        TRUST + "group g 0 W0 W1\nquorum g",
        TRUST + "group g any\nquorum none",
        TRUST + "group g any W0 W0\nquorum g",
        TRUST + "group g any W0\ngroup h any W0\nquorum g",
        TRUST + "group g any g\nquorum g",
        TRUST + "group W0 any W1\nquorum W0",
        TRUST + f"witness again {WITNESSES[0].vkey}\nquorum none",
        TRUST + f"witness none {signer('x.example', 4).vkey}\nquorum none",
        TRUST + f"log {LOG.vkey}\nquorum none",
        f"log {WITNESSES[0].vkey}\nquorum none",
        f"witness W {LOG.vkey}\nquorum none",
        "quorum none\r\n",
        "log nonsense\nquorum none",
        "trust everybody\nquorum none",
    ],
)
def test_bad_policies_are_refused(policy: str) -> None:
    with pytest.raises(Malformed):
        parse_policy(policy.encode())


def test_names_in_a_policy_need_not_be_utf8() -> None:
    policy = parse_policy(b"witness \xff " + WITNESSES[0].vkey.encode() + b" https://w.example\nquorum \xff\n")
    assert len(policy.witnesses) == 1


@pytest.mark.parametrize(
    "text",
    [
        "o\n5\nAAAA\n",
        "o\n05\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        "o\n-5\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        "o\n9223372036854775808\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        "o\n5\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=\n",
        "o\n0\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "\n5\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        "o\n5\n",
        "o\n5\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\nx\n",
        "o\n٥\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
    ],
)
def test_bad_checkpoints_are_refused_even_when_signed(text: str) -> None:
    log = signer("o")
    with pytest.raises((Malformed, BadSignature)):
        open_checkpoint(f"{text}\n{log.line(text)}".encode(), policy_of_key(log.vkey))

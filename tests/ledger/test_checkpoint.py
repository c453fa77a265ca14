import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscription_services.ledger.checkpoint import (
    Checkpoint,
    open_checkpoint,
    parse_checkpoint,
    sign_checkpoint,
)
from subscription_services.ledger.errors import InvalidSignature, MalformedCheckpoint, UnverifiedNote
from subscription_services.ledger.note import ed25519_signer, sign_note
from subscription_services.ledger.tree import EMPTY_ROOT, hash_leaf

# The text of the example of C2SP tlog-checkpoint.
EXAMPLE = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
ROOT = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="


def test_the_example_of_the_specification() -> None:
    checkpoint = parse_checkpoint(EXAMPLE)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20_852_163)
    assert checkpoint.text() == EXAMPLE


def test_the_golden_tree_head_of_go() -> None:
    """Figures of golang.org/x/mod sumdb/tlog, note_test.go."""
    head = Checkpoint("go.sum database tree", 123_456_789_012, hash_leaf(b"hello world"))
    assert head.text() == "go.sum database tree\n123456789012\nTszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBb0=\n"


def test_extension_lines_are_kept() -> None:
    assert parse_checkpoint(EXAMPLE + "one\ntwo\n").extensions == ("one", "two")


def test_the_empty_log() -> None:
    text = "log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
    assert parse_checkpoint(text) == Checkpoint("log", 0, EMPTY_ROOT)
    with pytest.raises(MalformedCheckpoint):
        parse_checkpoint(f"log\n0\n{ROOT}\n")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        EXAMPLE[:-1],
        EXAMPLE + "\n",
        EXAMPLE + "one\n\ntwo\n",
        "\n" + EXAMPLE,
        f"\n1\n{ROOT}\n",
        "log\n1\n",
        f"log\n01\n{ROOT}\n",
        f"log\n00\n{ROOT}\n",
        f"log\n-1\n{ROOT}\n",
        f"log\n+1\n{ROOT}\n",
        f"log\n 1\n{ROOT}\n",
        f"log\n1 \n{ROOT}\n",
        f"log\n1_0\n{ROOT}\n",
        f"log\n0x1\n{ROOT}\n",
        f"log\n١\n{ROOT}\n",
        f"log\n\n{ROOT}\n",
        f"log\n9223372036854775808\n{ROOT}\n",
        f"log\n{'9' * 5000}\n{ROOT}\n",
        "log\n1\n\n",
        f"log\n1\n{ROOT[:-1]}\n",
        f"log\n1\n{ROOT} \n",
        f"log\n1\n{ROOT.replace('2I=', '2J=')}\n",
        "log\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxqw==\n",
        "log\n1\nCsUYapGGPo4dkMgIAUqom_Xajj7h2fB2MPA3j2jxq2I=\n",
        f"log\r\n1\n{ROOT}\n",
    ],
)
def test_malformed_checkpoints_are_refused(text: str) -> None:
    with pytest.raises(MalformedCheckpoint):
        parse_checkpoint(text)


@pytest.mark.parametrize(
    "parts",
    [
        ("", 1, bytes(32), ()),
        ("two\nlines", 1, bytes(32), ()),
        ("log", -1, bytes(32), ()),
        ("log", 2**63, bytes(32), ()),
        ("log", 1, bytes(31), ()),
        ("log", 1, bytes(32), ("",)),
        ("log", 1, bytes(32), ("a\nb",)),
    ],
)
def test_what_cannot_be_written_cannot_be_made(parts: tuple[str, int, bytes, tuple[str, ...]]) -> None:
    with pytest.raises(MalformedCheckpoint):
        Checkpoint(*parts)


line = st.text(st.characters(exclude_categories=["Cs"], min_codepoint=32), min_size=1)


@given(line, st.integers(1, 2**63 - 1), st.binary(min_size=32, max_size=32), st.lists(line, max_size=3))
def test_what_was_signed_opens_as_the_same(origin: str, size: int, root: bytes, extensions: list[str]) -> None:
    checkpoint = Checkpoint(origin, size, root, tuple(extensions))
    signer = ed25519_signer("log", bytes(32))
    opened, note = open_checkpoint(sign_checkpoint(checkpoint, [signer]), origin, [signer.verifier])
    assert opened == checkpoint
    assert [signature.name for signature in note.verified] == ["log"]


def test_checkpoints_of_others_are_refused() -> None:
    signer, stranger = ed25519_signer("log", bytes(32)), ed25519_signer("log", bytes(31) + b"\1")
    signed = sign_checkpoint(Checkpoint("log", 1, bytes(32)), [signer])
    with pytest.raises(MalformedCheckpoint):
        open_checkpoint(signed, "other", [signer.verifier])
    with pytest.raises(UnverifiedNote):
        open_checkpoint(signed, "log", [stranger.verifier])
    with pytest.raises(InvalidSignature):
        open_checkpoint(signed.replace(b"log\n1", b"log\n2"), "log", [signer.verifier])
    with pytest.raises(MalformedCheckpoint):
        open_checkpoint(sign_note("not a checkpoint\n", [signer]), "log", [signer.verifier])

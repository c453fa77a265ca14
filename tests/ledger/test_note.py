import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscription_services.ledger.errors import (
    InvalidSignature,
    MalformedNote,
    MalformedVerifierKey,
    UnverifiedNote,
)
from subscription_services.ledger.note import (
    MAX_NOTE_BYTES,
    MAX_SIGNATURES,
    Ed25519Signer,
    NoteSignature,
    ed25519_signer,
    open_note,
    parse_note,
    parse_verifier_key,
    sign_note,
    verifier_key,
)

# The example of C2SP signed-note, "Verifier keys".
EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE_TEXT = "This is an example message.\n"
EXAMPLE_SIGNATURE = (
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
EXAMPLE = (EXAMPLE_TEXT + "\n" + EXAMPLE_SIGNATURE).encode()

# Figures of golang.org/x/mod sumdb/note, note_test.go: a key made public there and what it signs.
PETER_SEED = base64.b64decode("gQoUAtUUbI2E8kQzMPVAgOv5juF9nHT2JS/F1ccoMXM=")
PETER_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER_SIGNATURE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
ENOCH_KEY = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
ENOCH_SIGNATURE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
)


def note_of(*signatures: str, text: str = PETER_TEXT) -> bytes:
    return (text + "\n" + "".join(signatures)).encode()


def test_the_example_of_the_specification_opens() -> None:
    key = parse_verifier_key(EXAMPLE_KEY)
    assert (key.name, key.key_id.hex(), verifier_key(key)) == ("example.com/foo", "530d903a", EXAMPLE_KEY)
    note = open_note(EXAMPLE, [key])
    assert note.text == EXAMPLE_TEXT
    assert [signature.line() for signature in note.verified] == [EXAMPLE_SIGNATURE]
    assert note.unknown == ()


def test_the_published_private_key_makes_the_published_signature() -> None:
    signer = ed25519_signer("PeterNeumann", PETER_SEED)
    assert verifier_key(signer.verifier) == PETER_KEY
    assert sign_note(PETER_TEXT, [signer]) == note_of(PETER_SIGNATURE)


@pytest.mark.parametrize("known", [[PETER_KEY], [ENOCH_KEY], [PETER_KEY, ENOCH_KEY]])
def test_signatures_of_unknown_keys_are_ignored(known: list[str]) -> None:
    note = open_note(note_of(PETER_SIGNATURE, ENOCH_SIGNATURE), [parse_verifier_key(vkey) for vkey in known])
    assert [verifier.name for verifier in note.verified] == [vkey.split("+")[0] for vkey in known]
    assert len(note.unknown) == 2 - len(known)


def test_a_note_without_a_known_key_is_refused() -> None:
    with pytest.raises(UnverifiedNote):
        open_note(note_of(PETER_SIGNATURE), [parse_verifier_key(ENOCH_KEY)])
    with pytest.raises(UnverifiedNote):
        open_note(note_of(PETER_SIGNATURE), [])


def test_a_wrong_signature_of_a_known_key_refuses_the_whole_note() -> None:
    wrong = PETER_SIGNATURE.replace("ZJkuBS", "ZJkuBT")
    known = [parse_verifier_key(PETER_KEY), parse_verifier_key(ENOCH_KEY)]
    for note in (note_of(wrong, ENOCH_SIGNATURE), note_of(PETER_SIGNATURE, wrong)):
        with pytest.raises(InvalidSignature):
            open_note(note, known)
    longer = PETER_SIGNATURE[:60] + "ABCD" + PETER_SIGNATURE[60:]
    with pytest.raises(InvalidSignature):
        open_note(note_of(longer), known)


def test_same_name_or_same_id_alone_is_another_key() -> None:
    """Unknown keys that share a name or an id, not both, with a known one are ignored."""
    known = [parse_verifier_key(PETER_KEY)]
    renamed = PETER_SIGNATURE.replace("PeterNeumann", "CarmenSandiego")
    other_id = PETER_SIGNATURE.replace("x08g", "xxxx")
    assert len(open_note(note_of(PETER_SIGNATURE, renamed, other_id), known).unknown) == 2
    for alone in (renamed, other_id):
        with pytest.raises(UnverifiedNote):
            open_note(note_of(alone), known)


def test_a_repeated_signature_counts_once() -> None:
    note = open_note(note_of(PETER_SIGNATURE, PETER_SIGNATURE), [parse_verifier_key(PETER_KEY)])
    assert len(note.verified) == 1


def test_two_known_keys_with_one_id_are_refused() -> None:
    with pytest.raises(ValueError, match="same name and key id"):
        open_note(EXAMPLE, [parse_verifier_key(PETER_KEY), parse_verifier_key(PETER_KEY)])


@pytest.mark.parametrize(
    "note",
    [
        b"",
        PETER_TEXT.encode(),
        note_of(),
        note_of(PETER_SIGNATURE)[:-1],
        b"\x01" + note_of(PETER_SIGNATURE),
        b"\xff" + note_of(PETER_SIGNATURE),
        note_of(PETER_SIGNATURE).replace(b"\n", b"\r\n"),
        note_of(PETER_SIGNATURE, "Unexpected line.\n"),
        note_of(PETER_SIGNATURE, "\n"),
        note_of(PETER_SIGNATURE.replace("PeterNeumann", "Bad Name")),
        note_of(PETER_SIGNATURE.replace("PeterNeumann", "Peter+Neumann")),
        note_of(PETER_SIGNATURE.replace("PeterNeumann", "Peter\u2003Neumann")),
        note_of(PETER_SIGNATURE.replace("PeterNeumann ", "")),
        note_of(PETER_SIGNATURE.replace("— ", "- ")),
        note_of(PETER_SIGNATURE.replace("— ", "—")),
        note_of(PETER_SIGNATURE, "— x AAAA\n"),
        note_of(PETER_SIGNATURE, "— x AAAAAA==\n"),
        note_of(PETER_SIGNATURE, "— x AAAAAAA\n"),
        note_of(PETER_SIGNATURE, "— x AAAAAAB=\n"),
        note_of(PETER_SIGNATURE, "— x AAA_AAA=\n"),
        note_of(PETER_SIGNATURE, "— x \n"),
        note_of(*[PETER_SIGNATURE] * (MAX_SIGNATURES + 1)),
        note_of(PETER_SIGNATURE, text="x" * MAX_NOTE_BYTES + "\n"),
    ],
)
def test_malformed_notes_are_refused(note: bytes) -> None:
    with pytest.raises(MalformedNote):
        open_note(note, [parse_verifier_key(PETER_KEY)])


def test_sixteen_large_signatures_are_accepted() -> None:
    """The specification's least; post-quantum signatures have up to nearly 5 kB."""
    large = [NoteSignature(f"pq{number}", bytes(4), bytes(5000)).line() for number in range(16)]
    assert len(open_note(note_of(*large, PETER_SIGNATURE), [parse_verifier_key(PETER_KEY)]).unknown) == 16


def test_the_text_ends_at_the_last_empty_line() -> None:
    signer = ed25519_signer("PeterNeumann", PETER_SEED)
    text = f"one\n\n{ENOCH_SIGNATURE}\n\n"
    assert open_note(sign_note(text, [signer]), [signer.verifier]).text == text


@pytest.mark.parametrize("vkey", [PETER_KEY, EXAMPLE_KEY])
def test_no_mangled_verifier_key_is_accepted(vkey: str) -> None:
    mangled = [
        vkey[start:end]
        for start in range(len(vkey))
        for end in range(start + 1, len(vkey) + 1)
        if (start, end) != (0, len(vkey))
    ]
    mangled += [vkey[:at] + chr(ord(vkey[at]) + 1) + vkey[at + 1 :] for at in range(len(vkey))]
    mangled += ["", vkey + "\n", " " + vkey, vkey + "+", vkey.replace("+", "-")]
    mangled.append(vkey.replace(vkey.split("+")[1], vkey.split("+")[1].upper()))
    for bad in mangled:
        with pytest.raises(MalformedVerifierKey):
            parse_verifier_key(bad)


@pytest.mark.parametrize(
    "vkey",
    [
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",  # too long, right id
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",  # unknown algorithm, right id
    ],
)
def test_other_keys_with_a_fitting_id_are_refused(vkey: str) -> None:
    with pytest.raises(MalformedVerifierKey):
        parse_verifier_key(vkey)


def test_an_old_signature_of_the_same_key_is_replaced() -> None:
    signer = ed25519_signer("PeterNeumann", PETER_SEED)
    stale = NoteSignature("PeterNeumann", signer.verifier.key_id, bytes(64))
    _, signatures = parse_note(note_of(ENOCH_SIGNATURE))
    assert sign_note(PETER_TEXT, [signer], [*signatures, stale]) == note_of(ENOCH_SIGNATURE, PETER_SIGNATURE)


@pytest.mark.parametrize("text", ["", "no newline", "bell\a\n", "tab\tbed\n", "\ud800\n", "x" * MAX_NOTE_BYTES + "\n"])
def test_texts_that_no_note_can_hold_are_not_signed(text: str) -> None:
    with pytest.raises(MalformedNote):
        sign_note(text, [ed25519_signer("PeterNeumann", PETER_SEED)])


def test_nothing_malformed_is_ever_written() -> None:
    signer = ed25519_signer("PeterNeumann", PETER_SEED)
    for others in ([NoteSignature("a+b", bytes(4), b"x")], [NoteSignature("a", bytes(3), b"x")]):
        with pytest.raises(MalformedNote):
            sign_note(PETER_TEXT, [signer], others)
    with pytest.raises(MalformedNote):
        sign_note(PETER_TEXT, [Ed25519Signer(signer.verifier, lambda message: b"short")])
    with pytest.raises(MalformedNote):
        sign_note(PETER_TEXT, [])
    for name, seed in (("", PETER_SEED), ("a b", PETER_SEED), ("ok", b"short")):
        with pytest.raises(MalformedVerifierKey):
            ed25519_signer(name, seed)


note_texts = st.text(st.characters(exclude_categories=["Cs"], min_codepoint=32)).map(lambda text: text + "\n")


@given(note_texts, st.binary(min_size=32, max_size=32))
def test_what_was_signed_opens_with_the_same_text(text: str, seed: bytes) -> None:
    signer = ed25519_signer("example.com/log", seed)
    assert open_note(sign_note(text, [signer]), [signer.verifier]).text == text


@given(st.integers(0, len(EXAMPLE) * 8 - 1))
def test_every_flipped_bit_is_found(bit: int) -> None:
    changed = bytearray(EXAMPLE)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises((MalformedNote, InvalidSignature, UnverifiedNote)):
        open_note(bytes(changed), [parse_verifier_key(EXAMPLE_KEY)])


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_parser(garbage: bytes) -> None:
    with pytest.raises(MalformedNote):
        open_note(garbage, [parse_verifier_key(EXAMPLE_KEY)])

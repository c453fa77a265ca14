"""Published figures, good and bad.

Merkle proofs: transparency-dev/merkle, testdata/inclusion and testdata/consistency (happy-path, the altered ones of the
same folders by their names, `additional`, `single-entry`). Keys and notes: C2SP signed-note; golang.org/x/mod
sumdb/note, note_test.go. Cosignature: C2SP tlog-cosignature.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

from subs_verifier import BadProof, BadSignature, Malformed, leaf_hash, parse_key, verify_consistency, verify_inclusion
from subs_verifier.note import open_note, split_note

Hashes = list[bytes]
LEAF0 = "bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0="
ROOT2 = "+sVCA+fMaWzw38tCySodnbr3CtnmIfS9jZhmLwDjwSU="
ROOT3 = "rra8/idLcKFPsGel5VeCZNsPqbUa9eC6FZFY8yngbnc="
ROOT5 = "Tju7H3tHjc/nH7YxYxUZo7yhLJrvyhYSv85ME6hiZNQ="
ROOT6 = "duZ9rbzfHhDht03cYIq9L5jfsW+851J3tSMqEn8gh+8="
ROOT7 = "3bib5AOAnjJXUNPSY814kpwpQreUKjS3fhIslZSnTIw="
ROOT8 = "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg="
LEAF1 = "lqKW0iTyhcZ77pPDD4owkVfw2qNdxbh+QQt4YwoJz8c="
LEAF4 = "vBoGQ7EuTS18d5GPROD095qDi2z57FtcKD4fTYhZnms="
NODE23 = "Xwg/ChozygdqlSeYMlgNs+DvRYS9/x9UyKNg9Q3jAx4="
NODE45 = "DrxdNDf74tsVi58Sah0RjjCBgQMdCpSfje3t68VY72o="
NODE67 = "yoVOoSjtBQtBs1/8G4e46yveRh6eO1WW7Oa51ZdaCuA="
NODE03 = "037kGJdt2VdTwcc4Yrk5j6Kiz5tP8P3+izDNlSCWFLc="
NODE47 = "a0eq8p7jwq+a+Im8H7klTavTEXfxYjLdaqsDXKOb9uQ="
LEAF6 = "sIaT7C5yFZcTBkHoIR5+7cy0wmQTlj7ubB4u0W/7Gl8="
EMPTY = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
SHORT1, SHORT2 = "ZG9uJ3QgY2FyZSAx", "ZG9uJ3QgY2FyZSAy"
SINGLE = "DTrtAjFI/9KiWfvQzcf7PPl1ZYdg03dbgq9vkKrMLfw="

INCLUSION = [
    (0, 1, LEAF0, [], LEAF0),
    (0, 8, LEAF0, [LEAF1, NODE23, NODE47], ROOT8),
    (5, 8, "QnGia+DYqE8L1UyMMC58s6O10fpngKQLzOKHNHfatlg=", [LEAF4, NODE67, NODE03], ROOT8),
    (2, 3, "ApjRIpBtz8EIkstTpzmS/FufST6kybrbJ7eRtBJ6f+c=", [ROOT2], ROOT3),
    (1, 5, LEAF1, [LEAF0, NODE23, LEAF4], ROOT5),
    (0, 1, SINGLE, [], SINGLE),
]
CONSISTENCY = [
    (1, 1, LEAF0, LEAF0, []),
    (1, 8, LEAF0, ROOT8, [LEAF1, NODE23, NODE47]),
    (6, 8, ROOT6, ROOT8, [NODE45, NODE67, NODE03]),
    (2, 5, ROOT2, ROOT5, [NODE23, LEAF4]),
    (6, 7, ROOT6, ROOT7, [NODE45, LEAF6, NODE03]),
]
BAD_INCLUSION = [
    (0, 1, "", [], SINGLE),
    (0, 1, "", [], ""),
    (0, 1, SINGLE, [], ""),
    (0, 0, LEAF0, [], LEAF0),
    (1, 1, LEAF0, [], LEAF0),
    (2**64 - 1, 1, LEAF0, [], LEAF0),
    (0, 2, LEAF0, [], LEAF0),
    (0, 1, LEAF0, [""], LEAF0),
    (0, 1, LEAF0, [LEAF0], LEAF0),
    (0, 1, "V3JvbmdMZWFm", [], LEAF0),
    (0, 1, LEAF0, [], EMPTY),
]
BAD_CONSISTENCY = [
    (0, 1, EMPTY, EMPTY, [EMPTY]),
    (0, 0, EMPTY, SHORT2, []),
    (1, 1, EMPTY, SHORT2, []),
    (2, 1, SHORT1, SHORT2, []),
    (1, 0, SHORT1, SHORT2, []),
    (0, 1, SHORT1, SHORT2, []),
    (0, 1, EMPTY, SHORT2, []),
    (1, 1, SHORT1, SHORT2, []),
    (0, 0, SHORT1, SHORT1, []),
    (0, 0, SHORT1, SHORT2, []),
    (1, 2, SHORT1, SHORT2, []),
    (1, 1, EMPTY, EMPTY, [EMPTY]),
    (0, 0, EMPTY, EMPTY, [EMPTY]),
    # published as good, with roots of twelve bytes; here a root has 32
    (1, 1, SHORT2, SHORT2, []),
]


def octets(text: str) -> bytes:
    return base64.b64decode(text)


def flipped(value: bytes, bit: int) -> bytes:
    return bytes([value[0] ^ 1 << bit]) + value[1:]


def altered(path: Hashes, *roots: bytes) -> Iterator[Hashes]:
    """The published alterations of a proof: garbage or a root before or after, changed, cut, with something put in."""
    for extra in (b"", *roots):
        yield [extra, *path]
        yield [*path, extra]
    yield [bytes(32), *path]
    yield [*path, bytes(32)]
    for number, item in enumerate(path):
        yield [*path[:number], flipped(item, 3), *path[number + 1 :]]
        yield path[:number]
        yield path[number + 1 :]
        yield [*path[:number], bytes(32), *path[number:]]
    if len(path) > 1:
        yield path[::-1]


@pytest.mark.parametrize(("index", "size", "leaf", "path", "root"), INCLUSION)
def test_inclusion(index: int, size: int, leaf: str, path: list[str], root: str) -> None:
    proof, top, bottom = [octets(item) for item in path], octets(root), octets(leaf)
    verify_inclusion(index, size, bottom, proof, top)
    bad = [(index, size, bottom, other, top) for other in altered(proof, top)]
    bad += [(other, size, bottom, proof, top) for other in (index + 1, index - 1, index ^ 2, size, -1)]
    bad += [(index, other, bottom, proof, top) for other in (size * 2, size // 2, 0, -1)]
    bad += [(index, size, octets("V3JvbmdMZWFm"), proof, top), (index, size, flipped(bottom, 0), proof, top)]
    bad += [(index, size, bottom, proof, other) for other in (octets(EMPTY), b"", flipped(top, 7), top + b"x")]
    for case in bad:
        with pytest.raises((BadProof, Malformed)):
            verify_inclusion(*case)


@pytest.mark.parametrize(("old", "new", "old_root", "new_root", "path"), CONSISTENCY)
def test_consistency(old: int, new: int, old_root: str, new_root: str, path: list[str]) -> None:
    proof, before, after = [octets(item) for item in path], octets(old_root), octets(new_root)
    verify_consistency(old, new, before, after, proof)
    bad = [(old, new, before, after, other) for other in altered(proof, before, after)]
    bad += [(other, new, before, after, proof) for other in (0, new + 1, -1)]
    bad += [(old, other, before, after, proof) for other in (0, new * 2 + 1, old - 1)]
    bad += [(old, new, flipped(before, 1), after, proof), (old, new, before, flipped(after, 1), proof)]
    bad += [(old, new, before[:31], after, proof), (old, new, before, b"", proof)]
    if old != new:
        bad += [(old, new, after, before, proof), (old, new, before, after, [])]
    for case in bad:
        with pytest.raises((BadProof, Malformed)):
            verify_consistency(*case)


@pytest.mark.parametrize(("index", "size", "leaf", "path", "root"), BAD_INCLUSION)
def test_bad_inclusion(index: int, size: int, leaf: str, path: list[str], root: str) -> None:
    with pytest.raises((BadProof, Malformed)):
        verify_inclusion(index, size, octets(leaf), [octets(item) for item in path], octets(root))


@pytest.mark.parametrize(("old", "new", "old_root", "new_root", "path"), BAD_CONSISTENCY)
def test_bad_consistency(old: int, new: int, old_root: str, new_root: str, path: list[str]) -> None:
    with pytest.raises((BadProof, Malformed)):
        verify_consistency(old, new, octets(old_root), octets(new_root), [octets(item) for item in path])


def test_leaf_hashes() -> None:
    assert leaf_hash(b"") == octets(LEAF0)
    assert leaf_hash(b"L123456").hex() == "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"


SPEC_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SPEC_NOTE = """This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
""".encode()
PETER_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
ENOCH_KEY = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
ENOCH = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"


def signed(*lines: str, text: str = TEXT) -> bytes:
    return (text + "\n" + "".join(lines)).encode()


def test_the_note_of_the_specification() -> None:
    text, signatures = open_note(SPEC_NOTE, [parse_key(SPEC_KEY)])
    assert text == "This is an example message.\n"
    assert [item.key.text() for item in signatures] == [SPEC_KEY]


def test_notes_of_go() -> None:
    peter, enoch = parse_key(PETER_KEY), parse_key(ENOCH_KEY)
    assert [item.key for item in open_note(signed(PETER, ENOCH), [peter])[1]] == [peter]
    assert [item.key for item in open_note(signed(PETER, ENOCH), [peter, enoch])[1]] == [peter, enoch]
    assert open_note(signed(PETER, PETER, ENOCH, ENOCH[:60] + "ABCD" + ENOCH[60:]), [peter])[0] == TEXT
    with pytest.raises(BadSignature):
        open_note(signed(PETER, ENOCH), [])
    with pytest.raises(BadSignature):
        open_note(signed(PETER[:60] + "ABCD" + PETER[60:]), [peter])
    with pytest.raises(BadSignature):
        open_note(signed(PETER.replace("PeterNeumann", "CarmenSandiego")), [peter])
    with pytest.raises(BadSignature):
        open_note(signed(PETER.replace("x08g", "xxxx")), [peter])
    with pytest.raises(Malformed):
        open_note(signed(ENOCH), [enoch, peter, enoch])


@pytest.mark.parametrize(
    "note",
    [
        TEXT.encode(),
        signed(),
        signed(PETER[:-1]),
        b"\x01" + signed(PETER),
        b"\xff" + signed(PETER),
        signed(
            "— Bad Name x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
        ),
        signed(PETER, "Unexpected line.\n"),
        signed(*[PETER] * 101),
    ],
)
def test_malformed_notes_of_go(note: bytes) -> None:
    with pytest.raises(Malformed):
        open_note(note, [parse_key(PETER_KEY)])


def test_damaged_keys_of_go() -> None:
    bad = {PETER_KEY[start:end] for start in range(len(PETER_KEY)) for end in range(start + 1, len(PETER_KEY) + 1)}
    bad |= {
        PETER_KEY[:place] + chr(ord(PETER_KEY[place]) + 1) + PETER_KEY[place + 1 :] for place in range(len(PETER_KEY))
    }
    bad -= {PETER_KEY}
    bad |= {
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    }
    for key in bad:
        with pytest.raises(Malformed):
            parse_key(key)
    assert parse_key(PETER_KEY).text() == PETER_KEY


def test_the_cosignature_of_the_specification_has_the_stated_time() -> None:
    note = """example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
"""  # noqa: E501
    _, (log, witness) = split_note(note.encode())
    assert len(log.data) == 64
    assert (int.from_bytes(witness.data[:8], "big"), len(witness.data)) == (1679315147, 8 + 64)


@pytest.mark.parametrize("low", [0, 1, 2**255 - 20, 2**255 - 19, 2**255 - 18])
def test_keys_that_would_accept_any_text_are_refused(low: int) -> None:
    from subs_verifier.note import Key

    for public in (low, low | 1 << 255):
        with pytest.raises(Malformed):
            Key("log.example", 1, public.to_bytes(32, "little"))

import hashlib
from collections.abc import Callable, Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from subscription_services.ledger.errors import (
    MalformedHash,
    OutOfRange,
    ProofError,
    RootMismatch,
    TreeUnreadable,
    WrongProofLength,
)
from subscription_services.ledger.tree import (
    EMPTY_ROOT,
    Frontier,
    Node,
    consistency_proof,
    hash_leaf,
    hash_node,
    inclusion_proof,
    read_frontier,
    read_root,
    verify_consistency,
    verify_inclusion,
)
from tests.ledger.reference_tree import (
    CONSISTENCY,
    ENTRIES,
    INCLUSION,
    ROOTS,
    recursive_reader,
    recursive_root,
)

GARBAGE = bytes(32)
entry_lists = st.lists(st.binary(max_size=8), min_size=1, max_size=70)


# Figures of transparency-dev/merkle, rfc6962/rfc6962_test.go.
@pytest.mark.parametrize(
    ("got", "published"),
    [
        (EMPTY_ROOT, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (hash_leaf(b""), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        (hash_leaf(b"L123456"), "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"),
        (hash_node(b"N123", b"N456"), "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb"),
    ],
)
def test_hashes_are_the_published_ones(got: bytes, published: str) -> None:
    assert got.hex() == published


@pytest.mark.parametrize("size", range(1, 9))
def test_reference_roots(size: int) -> None:
    assert Frontier().extended(map(hash_leaf, ENTRIES[:size])).root() == ROOTS[size - 1]
    assert read_root(size, recursive_reader(ENTRIES)) == ROOTS[size - 1]


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert Frontier().root() == hashlib.sha256(b"").digest()
    assert read_root(0, recursive_reader(())) == EMPTY_ROOT


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_reference_inclusion_proofs(index: int, size: int) -> None:
    published = INCLUSION[index, size]
    assert inclusion_proof(index, size, recursive_reader(ENTRIES)) == published
    verify_inclusion(index, size, hash_leaf(ENTRIES[index]), published, ROOTS[size - 1])


@pytest.mark.parametrize(("old", "new"), CONSISTENCY)
def test_reference_consistency_proofs(old: int, new: int) -> None:
    published = CONSISTENCY[old, new]
    assert consistency_proof(old, new, recursive_reader(ENTRIES)) == published
    verify_consistency(old, new, ROOTS[old - 1], ROOTS[new - 1], published)


def test_the_example_of_rfc_6962_section_2_1_3() -> None:
    """The tree of seven leaves whose nodes the RFC names a to l."""
    leaves = [hash_leaf(b"d%d" % number) for number in range(7)]
    a, b, c, d, e, f, j = leaves
    g, h, i = hash_node(a, b), hash_node(c, d), hash_node(e, f)
    k, l_ = hash_node(g, h), hash_node(i, j)
    read = recursive_reader([b"d%d" % number for number in range(7)])
    assert read_root(7, read) == hash_node(k, l_)
    assert inclusion_proof(0, 7, read) == (b, h, l_)
    assert inclusion_proof(3, 7, read) == (c, g, l_)
    assert inclusion_proof(4, 7, read) == (f, j, k)
    assert inclusion_proof(6, 7, read) == (i, k)
    assert consistency_proof(3, 7, read) == (c, d, g, l_)
    assert consistency_proof(4, 7, read) == (l_,)
    assert consistency_proof(6, 7, read) == (i, j, k)


def flipped(value: bytes, bit: int) -> bytes:
    changed = bytearray(value)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def mangled(proof: Sequence[bytes], roots: Sequence[bytes]) -> list[tuple[bytes, ...]]:
    """The kinds of broken proof in transparency-dev/merkle's testdata, made anew."""
    proof = tuple(proof)
    broken = [(GARBAGE, *proof), (*proof, GARBAGE), (b"", *proof), (*proof, b"")]
    broken += [(root, *proof) for root in roots] + [(*proof, root) for root in roots]
    for at in range(len(proof)):
        broken.append((*proof[:at], flipped(proof[at], 4), *proof[at + 1 :]))
        broken.append((*proof[:at], *proof[at + 1 :]))
        broken.append((*proof[:at], GARBAGE, *proof[at:]))
        broken.append((*proof[:at], proof[at][:31], *proof[at + 1 :]))
        broken.append((*proof[:at], proof[at] + b"\0", *proof[at + 1 :]))
    return broken


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_broken_inclusion_proofs_are_refused(index: int, size: int) -> None:
    proof, root, leaf = INCLUSION[index, size], ROOTS[size - 1], hash_leaf(ENTRIES[index])
    for broken in mangled(proof, [root, leaf]):
        with pytest.raises(ProofError):
            verify_inclusion(index, size, leaf, broken, root)
    for other_index in {index - 1, index + 1, index ^ 2, -1, size, 2**64} - {index}:
        with pytest.raises(ProofError):
            verify_inclusion(other_index, size, leaf, proof, root)
    for other_size in (size * 2, size // 2, 0, -1):
        with pytest.raises(ProofError):
            verify_inclusion(index, other_size, leaf, proof, root)
    for other_leaf in (GARBAGE, b"", leaf[:31], leaf + b"\0", flipped(leaf, 0)):
        with pytest.raises(ProofError):
            verify_inclusion(index, size, other_leaf, proof, root)
    for other_root in (GARBAGE, b"", root[:31], root + b"\0", flipped(root, 255), EMPTY_ROOT):
        with pytest.raises(ProofError):
            verify_inclusion(index, size, leaf, proof, other_root)


@pytest.mark.parametrize(("old", "new"), CONSISTENCY)
def test_broken_consistency_proofs_are_refused(old: int, new: int) -> None:
    proof, old_root, new_root = CONSISTENCY[old, new], ROOTS[old - 1], ROOTS[new - 1]
    for broken in mangled(proof, [old_root, new_root]):
        with pytest.raises(ProofError):
            verify_consistency(old, new, old_root, new_root, broken)
    for other_old in {old - 1, old + 1, old ^ 2, -1, new + 1, 0} - {old}:
        with pytest.raises(ProofError):
            verify_consistency(other_old, new, old_root, new_root, proof)
    for other_new in {new * 2, new // 2, old - 1, 0} - {new}:
        with pytest.raises(ProofError):
            verify_consistency(old, other_new, old_root, new_root, proof)
    for wrong in (GARBAGE, b"", EMPTY_ROOT, new_root[:31]):
        with pytest.raises(ProofError):
            verify_consistency(old, new, wrong, new_root, proof)
        with pytest.raises(ProofError):
            verify_consistency(old, new, old_root, wrong, proof)
    if old != new:
        with pytest.raises(ProofError):
            verify_consistency(old, new, new_root, old_root, proof)


@pytest.mark.parametrize(
    ("verify", "error"),
    [
        (lambda: verify_inclusion(0, 0, GARBAGE, (), EMPTY_ROOT), OutOfRange),
        (lambda: verify_inclusion(0, 0, b"", (), b""), OutOfRange),
        (lambda: verify_inclusion(1, 0, GARBAGE, (), GARBAGE), OutOfRange),
        (lambda: verify_inclusion(0, 1, b"", (), b""), MalformedHash),
        (lambda: verify_inclusion(0, 1, GARBAGE, (), EMPTY_ROOT), RootMismatch),
        (lambda: verify_inclusion(0, 2, GARBAGE, (), GARBAGE), WrongProofLength),
        (lambda: verify_consistency(0, 1, EMPTY_ROOT, GARBAGE, ()), OutOfRange),
        (lambda: verify_consistency(0, 0, EMPTY_ROOT, EMPTY_ROOT, (GARBAGE,)), WrongProofLength),
        (lambda: verify_consistency(0, 0, GARBAGE, GARBAGE, ()), RootMismatch),
        (lambda: verify_consistency(1, 1, GARBAGE, EMPTY_ROOT, ()), RootMismatch),
        (lambda: verify_consistency(1, 1, b"same", b"same", ()), MalformedHash),
        (lambda: verify_consistency(1, 2, GARBAGE, EMPTY_ROOT, ()), WrongProofLength),
        (lambda: verify_consistency(2, 1, GARBAGE, EMPTY_ROOT, ()), OutOfRange),
        (lambda: inclusion_proof(8, 8, recursive_reader(ENTRIES)), OutOfRange),
        (lambda: inclusion_proof(-1, 8, recursive_reader(ENTRIES)), OutOfRange),
        (lambda: consistency_proof(0, 8, recursive_reader(ENTRIES)), OutOfRange),
        (lambda: consistency_proof(9, 8, recursive_reader(ENTRIES)), OutOfRange),
        (lambda: Frontier().extended([b"short"]), MalformedHash),
        (lambda: Frontier(3, (GARBAGE,)), WrongProofLength),
        (lambda: read_root(3, lambda nodes: []), TreeUnreadable),
        (lambda: read_root(3, lambda nodes: [b"short" for _ in nodes]), TreeUnreadable),
    ],
)
def test_edges(verify: Callable[[], object], error: type[Exception]) -> None:
    with pytest.raises(error):
        verify()


@pytest.mark.parametrize("proof", [CONSISTENCY[6, 8] + (GARBAGE,), CONSISTENCY[6, 8][:-1], ()])
def test_a_consistency_proof_of_another_length_is_called_so(proof: tuple[bytes, ...]) -> None:
    with pytest.raises(WrongProofLength):
        verify_consistency(6, 8, ROOTS[5], ROOTS[7], proof)


@pytest.mark.parametrize("proof", [INCLUSION[5, 8] + (GARBAGE,), INCLUSION[5, 8][:-1], ()])
def test_an_inclusion_proof_of_another_length_is_called_so(proof: tuple[bytes, ...]) -> None:
    with pytest.raises(WrongProofLength):
        verify_inclusion(5, 8, hash_leaf(ENTRIES[5]), proof, ROOTS[7])


def test_two_equal_trees_are_consistent_without_a_proof() -> None:
    verify_consistency(0, 0, EMPTY_ROOT, EMPTY_ROOT, ())
    verify_consistency(3, 3, ROOTS[2], ROOTS[2], ())


@given(entry_lists)
def test_incremental_root_is_the_recursive_root(entries: list[bytes]) -> None:
    frontier = Frontier()
    for count, entry in enumerate(entries, start=1):
        frontier = frontier.extended([hash_leaf(entry)])
        assert frontier.root() == recursive_root(entries[:count])
    assert frontier == Frontier().extended(map(hash_leaf, entries))
    assert frontier == read_frontier(len(entries), recursive_reader(entries))
    assert len(frontier.hashes) == len(entries).bit_count()


@given(entry_lists, st.data())
def test_every_inclusion_proof_verifies_and_every_flipped_bit_breaks_it(
    entries: list[bytes], data: st.DataObject
) -> None:
    size = data.draw(st.integers(1, len(entries)))
    index = data.draw(st.integers(0, size - 1))
    read = recursive_reader(entries)
    proof, root, leaf = inclusion_proof(index, size, read), read_root(size, read), hash_leaf(entries[index])
    verify_inclusion(index, size, leaf, proof, root)
    parts = [leaf, root, *proof]
    at = data.draw(st.integers(0, len(parts) - 1))
    parts[at] = flipped(parts[at], data.draw(st.integers(0, 255)))
    with pytest.raises(RootMismatch):
        verify_inclusion(index, size, parts[0], parts[2:], parts[1])


@given(entry_lists, st.data())
def test_every_consistency_proof_verifies_and_every_flipped_bit_breaks_it(
    entries: list[bytes], data: st.DataObject
) -> None:
    new = data.draw(st.integers(1, len(entries)))
    old = data.draw(st.integers(1, new))
    read = recursive_reader(entries)
    proof, old_root, new_root = consistency_proof(old, new, read), read_root(old, read), read_root(new, read)
    verify_consistency(old, new, old_root, new_root, proof)
    parts = [old_root, new_root, *proof]
    at = data.draw(st.integers(0, len(parts) - 1))
    parts[at] = flipped(parts[at], data.draw(st.integers(0, 255)))
    with pytest.raises(RootMismatch):
        verify_consistency(old, new, parts[0], parts[1], parts[2:])


@given(entry_lists, entry_lists)
def test_no_consistency_proof_hides_another_history(old: list[bytes], new: list[bytes]) -> None:
    assume(len(old) < len(new) and new[: len(old)] != old)
    proof = consistency_proof(len(old), len(new), recursive_reader(new))
    with pytest.raises(RootMismatch):
        verify_consistency(len(old), len(new), recursive_root(old), recursive_root(new), proof)


@given(st.integers(1, 2**40), st.data())
def test_proofs_of_huge_trees_read_a_logarithm_of_hashes(size: int, data: st.DataObject) -> None:
    asked: list[Node] = []

    def read(nodes: Sequence[Node]) -> list[bytes]:
        asked.extend(nodes)
        return [GARBAGE] * len(nodes)

    inclusion_proof(data.draw(st.integers(0, size - 1)), size, read)
    consistency_proof(data.draw(st.integers(1, size)), size, read)
    assert len(asked) <= 4 * size.bit_length()
    assert all((node.index + 1) << node.level <= size for node in asked)

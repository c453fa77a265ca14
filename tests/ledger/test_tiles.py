import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subscription_services.ledger.errors import MalformedTile, OutOfRange, TreeUnreadable
from subscription_services.ledger.tiles import (
    Tile,
    TileEdge,
    bundle_path,
    decode_bundle,
    encode_bundle,
    grow,
    parse_bundle_path,
    parse_tile_path,
    read_edge,
    tile_of_node,
    tile_path,
    tile_reader,
    tiles_of,
)
from subscription_services.ledger.tree import (
    EMPTY_ROOT,
    Frontier,
    Node,
    consistency_proof,
    hash_leaf,
    inclusion_proof,
    read_root,
    verify_consistency,
    verify_inclusion,
)

LEAVES = [hash_leaf(b"%d" % number) for number in range(70_000)]


# The first two are the examples of C2SP tlog-tiles.
@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 1_234_067), "tile/0/x001/x234/067"),
        (Tile(2, 0, 1), "tile/2/000.p/1"),
        (Tile(63, 0), "tile/63/000"),
        (Tile(1, 999, 255), "tile/1/999.p/255"),
        (Tile(0, 1000), "tile/0/x001/000"),
    ],
)
def test_tile_paths(tile: Tile, path: str) -> None:
    assert tile_path(tile) == path
    assert parse_tile_path(path) == tile


@given(st.integers(0, 63), st.integers(0, 2**63 - 1), st.integers(1, 256))
def test_every_path_names_its_tile(level: int, index: int, width: int) -> None:
    assert parse_tile_path(tile_path(Tile(level, index, width))) == Tile(level, index, width)
    assert parse_bundle_path(bundle_path(index, width)) == (index, width)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/0/1",
        "tile/00/001",
        "tile/64/001",
        "tile/-1/001",
        "tile/0/001.p/0",
        "tile/0/001.p/256",
        "tile/0/001.p/01",
        "tile/0/x000/001",
        "tile/0/123/456",
        "tile/0/x123/456/",
        "tile/0/٠٠١",
        "tile/0/001\n",
        "/tile/0/001",
        "tile/entries/001",
        "tile/0/" + "x001/" * 2000 + "001",
        "tile/0/x009/x223/x372/x036/x854/x775/808",
    ],
)
def test_other_spellings_are_refused(path: str) -> None:
    with pytest.raises(MalformedTile):
        parse_tile_path(path)


@pytest.mark.parametrize("tile", [Tile(64, 0), Tile(-1, 0), Tile(0, -1), Tile(0, 0, 0), Tile(0, 0, 257)])
def test_impossible_tiles_have_no_path(tile: Tile) -> None:
    with pytest.raises(MalformedTile):
        tile_path(tile)


def test_the_tree_of_70000_has_the_tiles_that_the_specification_counts() -> None:
    """C2SP tlog-tiles, 'Partial Tiles'."""
    tiles = tiles_of(70_000)
    assert sum(tile.level == 0 and tile.is_full for tile in tiles) == 273
    assert [tile for tile in tiles if not tile.is_full] == [Tile(0, 273, 112), Tile(1, 1, 17), Tile(2, 0, 1)]
    assert sum(tile.level == 1 and tile.is_full for tile in tiles) == 1
    assert tiles_of(256) == [Tile(0, 0), Tile(1, 0, 1)]
    assert tiles_of(0) == []


def test_growing_writes_exactly_the_tiles_that_are_new() -> None:
    edge = TileEdge()
    stored: dict[tuple[int, int], bytes] = {}
    frontier = Frontier()
    for size in (1, 1, 2, 255, 256, 257, 511, 1023, 1025, 65_535, 65_537, 70_000):
        before = edge.size
        edge, written = grow(edge, LEAVES[before:size])
        frontier = frontier.extended(LEAVES[before:size])
        assert sorted(written, key=tile_path) == sorted(tiles_of(size, since=before), key=tile_path)
        assert all(len(data) == 32 * tile.width for tile, data in written.items())
        stored.update({(tile.level, tile.index): data for tile, data in written.items()})
        assert edge.root() == frontier.root()
        assert edge.frontier() == frontier
        assert read_edge(size, lambda tile: stored[tile.level, tile.index]) == edge
    for size in (1, 255, 256, 257, 65_536, 65_537, 69_999):
        read = tile_reader(70_000, lambda tile: stored[tile.level, tile.index])
        root = Frontier().extended(LEAVES[:size]).root()
        assert read_root(size, read) == root
        verify_consistency(size, 70_000, root, frontier.root(), consistency_proof(size, 70_000, read))
        verify_inclusion(size - 1, 70_000, LEAVES[size - 1], inclusion_proof(size - 1, 70_000, read), frontier.root())


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 1500), st.data())
def test_tiles_give_the_same_proofs_as_the_whole_tree(size: int, data: st.DataObject) -> None:
    split = data.draw(st.integers(0, size))
    edge, first = grow(TileEdge(), LEAVES[:split])
    edge, second = grow(edge, LEAVES[split:size])
    stored = {(tile.level, tile.index): content for tile, content in [*first.items(), *second.items()]}
    read = tile_reader(size, lambda tile: stored[tile.level, tile.index])
    assert edge.root() == read_root(size, read) == Frontier().extended(LEAVES[:size]).root()
    index = data.draw(st.integers(0, size - 1))
    verify_inclusion(index, size, LEAVES[index], inclusion_proof(index, size, read), edge.root())


def test_the_edge_of_nothing_is_the_empty_tree() -> None:
    assert TileEdge().root() == EMPTY_ROOT
    assert grow(TileEdge(), []) == (TileEdge(), {})


@pytest.mark.parametrize("node", [Node(0, 10), Node(1, 5), Node(9, 0), Node(-1, 0), Node(0, -1)])
def test_a_subtree_that_is_not_complete_has_no_tile(node: Node) -> None:
    with pytest.raises(OutOfRange):
        tile_of_node(node, 10)


@pytest.mark.parametrize("data", [b"", bytes(31), bytes(32 * 2), bytes(32 * 3 + 1)])
def test_a_torn_tile_is_refused(data: bytes) -> None:
    with pytest.raises(TreeUnreadable):
        read_root(3, tile_reader(3, lambda tile: data))


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=256))
def test_bundles_give_back_their_entries(entries: list[bytes]) -> None:
    assert decode_bundle(encode_bundle(entries), len(entries)) == entries


def test_bundle_limits() -> None:
    assert encode_bundle([b"abc", b""]) == b"\x00\x03abc\x00\x00"
    assert len(encode_bundle([bytes(65_535)])) == 65_537
    for refused in ([], [b""] * 257, [bytes(65_536)]):
        with pytest.raises(MalformedTile):
            encode_bundle(refused)
    for torn in (b"\x00", b"\x00\x02a", b"\x00\x01a\x00", b"", b"\x00\x01a\x00\x00"):
        with pytest.raises(MalformedTile):
            decode_bundle(torn, 1)

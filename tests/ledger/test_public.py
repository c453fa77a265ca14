"""The public log over HTTP, as programs for C2SP tlog-tiles read it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from subscription_services.kernel.actors import Role
from subscription_services.ledger.checkpoint import open_checkpoint
from subscription_services.ledger.note import parse_verifier_key
from subscription_services.ledger.tiles import bundle_path, decode_bundle, split_tile, tile_path, tile_reader, tiles_of
from subscription_services.ledger.tree import hash_leaf, read_root
from subscription_services.testing import World

from .served import client, grow


@pytest.fixture
def grown(world: World) -> World:
    """A signed log of some 300 entries."""
    grow(world, 300)
    return world


def fetch(world: World, path: str, **headers: str) -> httpx.Response:
    return client(world).get(path, headers=headers)


def head(world: World) -> Any:
    key = parse_verifier_key(fetch(world, "/log/key").text.rstrip("\n"))
    return open_checkpoint(fetch(world, "/log/checkpoint").content, key.name, [key])[0]


def test_a_stranger_recomputes_the_root_from_public_tiles(grown: World) -> None:
    signed = head(grown)
    assert signed.size > 300
    tiles = {}
    for tile in tiles_of(signed.size):
        answer = fetch(grown, f"/log/{tile_path(tile)}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/octet-stream")
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert len(split_tile(answer.content, tile.width)) * 32 == len(answer.content)
        tiles[tile] = answer.content
    assert read_root(signed.size, tile_reader(signed.size, tiles.__getitem__)) == signed.root


def test_the_checkpoint_is_text_that_is_cached_for_a_moment_only(grown: World) -> None:
    answer = fetch(grown, "/log/checkpoint")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=1"
    assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("path", ["/log/checkpoint", "/log/tile/0/000", "/log/minimum-index", "/log/key"])
def test_whoever_has_a_resource_is_not_sent_it_again(grown: World, path: str) -> None:
    first = fetch(grown, path)
    again = fetch(grown, path, **{"If-None-Match": f'"other", W/{first.headers["etag"]}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert fetch(grown, path, **{"If-None-Match": '"other"'}).content == first.content


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/001", "tile/0/000.p/256", "tile/0/000.p/0", "tile/0/0", "tile/00/000", "tile/0/x000/000", "tile/2/000",
        "tile/64/000", "tile/0/999", "tile/0/001.p/255", "tile/0/-01", "tile/x/000", "tile/0/000/", "tile/0/x",
    ],
)  # fmt: skip
def test_what_is_not_in_the_signed_tree_is_not_found(grown: World, path: str) -> None:
    answer = fetch(grown, f"/log/{path}")
    assert (answer.status_code, answer.headers["cache-control"]) == (404, "no-store")


def test_entries_are_for_auditors_and_each_reading_is_recorded(grown: World) -> None:
    path = bundle_path(0)
    assert fetch(grown, f"/log/{path}").status_code == 401
    assert client(grown, grown.team(Role.SUPPORT)).get(f"/log/{path}").status_code == 403
    member = grown.team(Role.AUDITOR)
    auditor = client(grown, member)
    answer = auditor.get(f"/log/{path}")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "private, no-store")
    hashes = split_tile(fetch(grown, "/log/tile/0/000").content, 256)
    assert [hash_leaf(entry) for entry in decode_bundle(answer.content)] == hashes
    assert [(event.actor, event.details["path"]) for event in grown.events("ledger.bundle")[-1:]] == [(member.id, path)]
    for wrong in ("tile/entries/001", "tile/entries/0", "tile/entries/000.p/300", "tile/entries/x"):
        assert auditor.get(f"/log/{wrong}").status_code == 404


def test_the_page_explains_and_shows_the_state(grown: World) -> None:
    page = fetch(grown, "/log", Accept="text/html")
    assert page.status_code == 200
    assert "Unwitnessed" in page.text
    assert f"\n{head(grown).size}\n" in page.text
    assert fetch(grown, "/log/minimum-index").text == "0\n"
    assert 'href="/log"' in fetch(grown, "/security", Accept="text/html").text

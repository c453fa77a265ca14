"""A finding of the security page, fetched from the running service and verified by somebody who trusts only keys."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from subs_verifier import BadProof, VerifierError, compare_with_status, policy_of_key, verify_statement
from subscription_services.testing import World
from subscription_services.trust.transport import outside
from tests.interop.exported import SAYS, vkey
from tests.trust.served import Served, through
from tests.trust.test_status import KEPT, Room, check


async def fetched(served: Served, path: str) -> httpx.Response:
    async with outside(served.doors) as client:
        return await client.get(served.doors.https_url + path)


def test_a_statement_travels_from_the_page_to_the_verifier(world: World, tmp_path: Path) -> None:
    checks = [check("transit.tls13", KEPT)]
    here = Room(world, *checks)
    here.run()

    async def work(served: Served) -> tuple[httpx.Response, httpx.Response, httpx.Response]:
        status = await fetched(served, "/security.json")
        (row,) = [item for item in status.json()["promises"] if item["id"] == "transit.tls13"]
        path = f"/security/log/{row['event']['object']}/proof"
        waiting = await fetched(served, path)
        await served.sequence()
        return status, waiting, await fetched(served, path)

    status, waiting, proof = through(world, tmp_path / "tls", work, checks)
    assert waiting.status_code == 409
    assert proof.headers["access-control-allow-origin"] == "*"
    assert ".tlog-proof" in proof.headers["content-disposition"]
    policy = policy_of_key(vkey(world))
    found = verify_statement(proof.content, policy)
    assert (found.promise, found.verdict, found.head.witnessed) == ("transit.tls13", "kept", False)
    compare_with_status(found, status.content)
    with pytest.raises(BadProof):
        compare_with_status(found, status.content.replace(found.finding.encode(), b"All is splendid."))
    with pytest.raises(VerifierError):
        verify_statement(proof.content.replace(b"index ", b"index 1"), policy)


def test_nothing_else_in_the_log_passes_for_a_statement(world: World) -> None:
    from tests.interop import exported

    world.subscriber()
    exported.grow(world, 1)
    policy = policy_of_key(vkey(world))
    statements = 0
    for event in world.events():
        proof, _ = exported.inclusion_file(world, event.id)
        try:
            assert verify_statement(proof, policy).finding == SAYS
        except VerifierError:
            continue
        statements += 1
    assert statements == 1

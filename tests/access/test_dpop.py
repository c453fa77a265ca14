"""A token that is bound to a key is worth nothing without a fresh proof of that key, for this very request."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from joserfc.jwk import OctKey
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from starlette.testclient import TestClient

from subscription_services import front
from subscription_services.access import AccessSettings, Presented, configure, dpop, model
from subscription_services.access.operations.log import SearchLog, audit_log
from subscription_services.access.operations.service_accounts import (
    CreateServiceAccount,
    IssuedToken,
    IssueToken,
    RotateToken,
    create_service_account,
    issue_token,
    rotate_token,
)
from subscription_services.access.programs import resolve_token
from subscription_services.kernel.actors import Role, ServiceAccount, TeamMember
from subscription_services.kernel.errors import Invalid, NotSignedIn, TokenUnproved
from subscription_services.testing import World

from .proving import Key, Program, new_key, public

SCOPES = ["access.audit_log"]
# RFC 9449, 7.1: a proof for a protected resource
RFC_PROOF = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJo"
    "RjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJq"
    "dGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNv"
    "dXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqz"
    "hrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
)
RFC_TOKEN = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
RFC_KEY = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


def bound(world: World, key: Key, boss: TeamMember | None = None) -> tuple[IssuedToken, Program]:
    boss = boss or world.team(Role.ADMINISTRATOR)
    account = world.do(create_service_account, boss, CreateServiceAccount("Export", boss.id))
    issued = world.do(issue_token, boss, IssueToken(account.id, SCOPES, key=public(key)))
    return issued, Program(world, issued.text, key)


def test_the_published_proof_and_thumbprints_are_read_as_the_standards_say() -> None:
    url = "https://resource.example.org/protectedresource"
    shown = Presented("dpop", RFC_TOKEN, (RFC_PROOF,), "GET", (url,))
    proof = dpop.read_proof(shown, datetime.fromtimestamp(1562262618, UTC))
    assert (proof.key, proof.jti) == (RFC_KEY, "e1j3V_bKic8-LAEB")
    # RFC 8037, appendix A.3
    ed25519 = '{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}'
    assert dpop.thumbprint_of(ed25519) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    assert dpop.thumbprint_of(RFC_KEY) == RFC_KEY
    changed = RFC_PROOF[:-2] + ("Bw" if not RFC_PROOF.endswith("Bw") else "CA")
    for bent in (RFC_PROOF.replace(".", "..", 1), changed):
        with pytest.raises(TokenUnproved):
            dpop.read_proof(
                Presented("dpop", RFC_TOKEN, (bent,), "GET", (url,)), datetime.fromtimestamp(1562262618, UTC)
            )


@pytest.mark.parametrize("kind", ["EC", "OKP"])
def test_a_bound_token_works_with_its_key_and_a_nonce_and_each_proof_once(world: World, kind: str) -> None:
    issued, program = bound(world, new_key(kind))
    assert issued.token.key == dpop.thumbprint_of(public(program.key))
    program.greet()
    proof = program.proof()
    answer = program.ask(proof)
    assert answer.status_code == 200
    assert answer.headers["DPoP-Nonce"]
    again = program.ask(proof)
    assert (again.status_code, again.json()["code"]) == (401, "token-unproved")
    assert 'error="invalid_dpop_proof"' in again.headers["WWW-Authenticate"]
    assert program.ask(program.proof(), path="/api/access.audit_log?limit=3").status_code == 200
    assert world.events("access.audit_log")[-1].session == issued.token.id


def test_as_a_bearer_token_it_is_refused_and_the_answer_says_how(world: World) -> None:
    _, program = bound(world, new_key())
    program.greet()
    for proofs in ((), (program.proof(),)):
        answer = program.ask(*proofs, scheme="Bearer")
        assert (answer.status_code, answer.json()["type"]) == (401, "/problems/token-unproved")
        challenge = answer.headers["WWW-Authenticate"]
        assert challenge.startswith('DPoP error="invalid_token", error_description="')
        assert 'algs="ES256 EdDSA Ed25519"' in challenge


def test_a_token_without_key_is_no_dpop_token(world: World) -> None:
    boss = world.team(Role.ADMINISTRATOR)
    account = world.do(create_service_account, boss, CreateServiceAccount("Plain", boss.id))
    program = Program(world, world.do(issue_token, boss, IssueToken(account.id, SCOPES)).text)
    assert program.ask(program.proof()).status_code == 401
    assert program.ask(scheme="Bearer").status_code == 200


def test_every_bent_proof_is_refused(world: World) -> None:
    _, program = bound(world, new_key())
    program.greet()
    now, thief = int(world.clock().timestamp()), new_key()
    private, right = program.key.as_dict(private=True), program.key.as_dict(private=False)
    bent: dict[str, tuple[str, ...]] = {
        "none": (),
        "two": (program.proof(), program.proof()),
        "another key": (program.proof(key=thief),),
        "another key under the name of the right one": (program.proof(key=thief, header={"jwk": right}),),
        "private key": (program.proof(header={"jwk": private}),),
        "typ": (program.proof(header={"typ": "JWT"}),),
        "no typ": (program.proof(header={"typ": None}),),
        "kid": (program.proof(header={"kid": "1"}),),
        "no key": (program.proof(header={"jwk": None}),),
        "method": (program.proof(method="POST"),),
        "path": (program.proof(path="/api/access.people"),),
        "origin": (program.proof(claims={"htu": "https://evil.example/api/access.audit_log"}),),
        "plain": (program.proof(claims={"htu": "http://localhost:8443/api/access.audit_log"}),),
        "no htu": (program.proof(claims={"htu": None}),),
        "early": (program.proof(claims={"iat": now + 61}),),
        "late": (program.proof(claims={"iat": now - 61}),),
        "no iat": (program.proof(claims={"iat": None}),),
        "iat true": (program.proof(claims={"iat": True}),),
        "ath": (program.proof(claims={"ath": dpop.token_hash("another")}),),
        "no ath": (program.proof(claims={"ath": None}),),
        "no jti": (program.proof(claims={"jti": None}),),
        "short jti": (program.proof(claims={"jti": "1"}),),
        "nonce of nobody": (program.proof(claims={"nonce": f"{now}.{'00' * 33}"}),),
        "no nonce": (program.proof(claims={"nonce": None}),),
        "alg none": (_unsigned(program),),
        "shared secret": (_hs256(program),),
        "huge": ("a" * 5000,),
    }  # fmt: skip
    for name, proofs in bent.items():
        answer = program.ask(*proofs)
        assert (answer.status_code, answer.json()["code"]) == (401, "token-unproved"), name
        assert answer.headers["DPoP-Nonce"], name
    assert program.ask(program.proof()).status_code == 200


def test_a_nonce_lasts_minutes_so_that_proofs_cannot_be_made_long_before(world: World) -> None:
    _, program = bound(world, new_key())
    program.greet()
    world.clock.advance(minutes=5, seconds=1)
    answer = program.ask(program.proof())
    assert 'error="use_dpop_nonce"' in answer.headers["WWW-Authenticate"]
    assert program.ask(program.proof()).status_code == 200


def test_another_node_refuses_a_proof_that_this_one_took(world: World, place: tuple[Path, str]) -> None:
    _, program = bound(world, new_key())
    program.greet()
    with World.open(*place) as other:
        other.clock.now = world.clock.now
        proof = program.proof()
        assert program.ask(proof, world=other).status_code == 200
        assert program.ask(proof).status_code == 401


def test_nothing_inside_believes_a_program_whose_key_was_not_shown(world: World) -> None:
    """A second door that only knows the token has no power: what was proved is asked again in the transaction."""
    issued, _ = bound(world, new_key())
    with world.house.store.reading() as connection:
        actor = resolve_token(connection, issued.text, world.clock)
    world.do(audit_log, actor, SearchLog())
    for key in ("", dpop.thumbprint_of(public(new_key()))):
        with pytest.raises(NotSignedIn):
            world.do(audit_log, ServiceAccount(actor.id, actor.token, actor.scopes, key), SearchLog())


def test_a_row_changed_beside_the_service_makes_the_token_worthless(world: World) -> None:
    boss = world.team(Role.ADMINISTRATOR)
    issued, _ = bound(world, new_key(), boss)
    changes: tuple[dict[str, Any], ...] = (
        {"jkt": None}, {"jkt": dpop.thumbprint_of(public(new_key()))}, {"scopes": '["access.deactivate_leaver"]'},
        {"issued_by": "acc_other"}, {"digest": bytes(32)}, {"mac": bytes(33)},
        {"expires_at": issued.token.expires_at.replace(microsecond=1)},
    )  # fmt: skip
    for change in changes:
        fresh = bound_to_same(world, boss, issued)
        world.write(lambda c, change=change, fresh=fresh: c.execute(
            update(model.token).where(model.token.c.id == fresh.token.id).values(**change)))  # fmt: skip
        with pytest.raises(NotSignedIn):
            world.do(
                audit_log,
                ServiceAccount(
                    fresh.token.service_account,
                    fresh.token.id,
                    frozenset(SCOPES),
                    change.get("jkt", fresh.token.key) or "",
                ),
                SearchLog(),
            )


def bound_to_same(world: World, boss: TeamMember, issued: IssuedToken) -> IssuedToken:
    request = IssueToken(issued.token.service_account, SCOPES, key=public(new_key()))
    made = world.do(issue_token, boss, request)
    assert isinstance(made, IssuedToken)
    return made


def test_rotation_keeps_the_key_or_takes_a_new_one_and_never_none(world: World) -> None:
    boss = world.team(Role.ADMINISTRATOR)
    issued, program = bound(world, new_key(), boss)
    kept = world.do(rotate_token, boss, RotateToken(issued.token.id))
    assert (kept.token.key, kept.token.replaces) == (issued.token.key, issued.token.id)
    other = new_key("OKP")
    moved = world.do(rotate_token, boss, RotateToken(kept.token.id, key=public(other)))
    assert moved.token.key == dpop.thumbprint_of(public(other))
    after, before = Program(world, moved.text, other), Program(world, kept.text, program.key)
    for each in (after, before):
        each.greet()
        assert each.ask(each.proof()).status_code == 200


def test_only_a_public_key_of_a_known_kind_is_taken_and_a_private_one_is_named(world: World) -> None:
    boss = world.team(Role.ADMINISTRATOR)
    account = world.do(create_service_account, boss, CreateServiceAccount("Export", boss.id))
    key = new_key()
    private = msgspec.json.encode(key.as_dict(private=True)).decode()
    with pytest.raises(Invalid) as refused:
        world.do(issue_token, boss, IssueToken(account.id, SCOPES, key=private))
    assert "private" in refused.value.fields["key"]
    assert str(key.as_dict(private=True)["d"]) not in str(world.events())
    off_curve = {**key.as_dict(private=False), "x": base64.urlsafe_b64encode(bytes(32)).rstrip(b"=").decode()}
    bad_keys: tuple[Any, ...] = (
        off_curve, {"kty": "EC", "crv": "P-384", "x": "a", "y": "b"}, {"kty": "RSA", "n": "AQ", "e": "AQAB"}, [],
    )  # fmt: skip
    for bad in bad_keys:
        with pytest.raises(Invalid):
            world.do(issue_token, boss, IssueToken(account.id, SCOPES, key=msgspec.json.encode(bad).decode()))
    with pytest.raises(Invalid):
        world.do(issue_token, boss, IssueToken(account.id, SCOPES, key="not a key"))


def test_where_keys_are_demanded_tokens_without_one_are_neither_issued_nor_taken(world: World) -> None:
    boss = world.team(Role.ADMINISTRATOR)
    account = world.do(create_service_account, boss, CreateServiceAccount("Plain", boss.id))
    plain = world.do(issue_token, boss, IssueToken(account.id, SCOPES))
    program = Program(world, plain.text)
    configure(AccessSettings(bound_tokens=True))
    try:
        answer = program.ask(scheme="Bearer")
        assert (answer.status_code, answer.json()["code"]) == (401, "token-unproved")
        with pytest.raises(NotSignedIn):
            world.do(audit_log, ServiceAccount(account.id, plain.token.id, frozenset(SCOPES)), SearchLog())
        for request in (IssueToken(account.id, SCOPES), RotateToken(plain.token.id)):
            with pytest.raises(Invalid) as refused:
                world.do(issue_token if isinstance(request, IssueToken) else rotate_token, boss, request)
            assert "key" in refused.value.fields
        world.do(rotate_token, boss, RotateToken(plain.token.id, key=public(program.key)))
    finally:
        configure(AccessSettings())


def test_the_database_refuses_half_a_thumbprint_and_a_revoked_token_with_a_code(world: World) -> None:
    issued, _ = bound(world, new_key())
    for change in ({"jkt": "short"}, {"revoked_at": world.clock()}):
        with pytest.raises(IntegrityError):
            world.write(lambda c, change=change: c.execute(
                update(model.token).where(model.token.c.id == issued.token.id).values(**change)))  # fmt: skip


def test_addresses_are_compared_as_the_standard_normalises_them() -> None:
    same = {
        dpop.canonical(url)
        for url in ("https://Example.org/a~b", "HTTPS://example.ORG:443/a%7Eb?x=1#y", "https://example.org:/a%7eb")
    }
    assert same == {"https://example.org/a~b"}
    assert dpop.canonical("https://example.org/a%2fb") != dpop.canonical("https://example.org/a/b")
    assert {
        dpop.canonical(url) for url in ("http://example.org/", "https://u@example.org/", "https://", "//x", "")
    } == {""}


def _unsigned(program: Program) -> str:
    head, body, _ = program.proof().split(".")
    changed = {**msgspec.json.decode(base64.urlsafe_b64decode(head + "==")), "alg": "none"}
    return f"{base64.urlsafe_b64encode(msgspec.json.encode(changed)).rstrip(b'=').decode()}.{body}.AA"


def _hs256(program: Program) -> str:
    """Signed with the public key as if it were a shared secret."""
    from joserfc import jws

    jwk = program.key.as_dict(private=False)
    body = base64.urlsafe_b64decode(program.proof().split(".")[1] + "==")
    secret = OctKey.import_key(msgspec.json.encode(jwk))
    return jws.serialize_compact({"typ": "dpop+jwt", "alg": "HS256", "jwk": jwk}, body, secret, algorithms=["HS256"])


def test_the_program_in_the_documentation_works_as_it_stands(world: World) -> None:
    text = (Path(__file__).parents[2] / "docs" / "api-tokens.md").read_text()
    code = text.partition("```python\n")[2].partition("```")[0]
    assert "class Program" in code
    space: dict[str, Any] = {}
    exec(compile(code, "docs/api-tokens.md", "exec"), space)
    world.clock.now = datetime.fromtimestamp(int(space["time"].time()), UTC)
    boss = world.team(Role.ADMINISTRATOR)
    account = world.do(create_service_account, boss, CreateServiceAccount("Example", boss.id))
    scopes = ["access.my_token", "access.audit_log"]
    issued = world.do(issue_token, boss, IssueToken(account.id, scopes, key=space["public_key"]))
    client = TestClient(front.application(world.house), base_url="https://localhost:8443")
    program = space["Program"](client, issued.text, space["key"])
    facts = program.ask("GET", "/api/access.my_token")
    assert (facts.status_code, facts.json()["key"]) == (200, issued.token.key)
    assert program.ask("GET", "/api/access.audit_log?limit=2").status_code == 200
    stolen = space["Program"](client, issued.text, space["ECKey"].generate_key("P-256"))
    assert stolen.ask("GET", "/api/access.my_token").status_code == 401

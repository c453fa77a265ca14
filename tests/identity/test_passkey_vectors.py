"""The test vectors of Web Authentication Level 3, section 16: what must pass and what must not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscription_services.identity import Known, RelyingParty, read_answer, verify_assertion
from subscription_services.identity.errors import PasskeyCopied, WrongPasskey
from subscription_services.identity.passkeys import Registered, credential_of, verify_registration
from subscription_services.testing.authenticator import Authenticator, text

VECTORS = json.loads((Path(__file__).parent / "webauthn_vectors.json").read_text())
PLACE = RelyingParty("example.org", "https://example.org", "Example")
RIGHT = ["none-es256", "packed-self-es256", "none-es256-long-credential-id", "packed-es256", "packed-rs256",
         "packed-eddsa"]  # fmt: skip


def answer_of(name: str, ceremony: str) -> tuple[str, bytes]:
    """The browser's answer as JSON, and the challenge."""
    vector = VECTORS[name]
    response = {key: text(bytes.fromhex(value)) for key, value in vector[ceremony].items() if key != "challenge"}
    name = text(bytes.fromhex(vector["credential_id"]))
    answer = {"id": name, "rawId": name, "type": "public-key", "response": response, "clientExtensionResults": {}}
    return json.dumps(answer), bytes.fromhex(vector[ceremony]["challenge"])


def registered(name: str, *, unlocked: bool = False) -> Registered:
    answer, challenge = answer_of(name, "registration")
    return verify_registration(read_answer(answer), challenge, PLACE, unlocked=unlocked)


def known(made: Registered, sign_count: int = 0) -> Known:
    return Known(made.credential_id, made.public_key, sign_count, made.backup_eligible)


def is_unlocked(name: str, ceremony: str) -> bool:
    """The flag UV of the vector's own authenticator data, which begins with the digest of the relying party."""
    found = bytes.fromhex("".join(VECTORS[name][ceremony].values()))
    at = found.index(bytes.fromhex("bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b5"))
    return bool(found[at + 32] & 4)


@pytest.mark.parametrize("name", RIGHT)
def test_registrations_and_assertions_of_the_standard_pass(name: str) -> None:
    made = registered(name)
    assert made.credential_id.hex() == VECTORS[name]["credential_id"]
    answer, challenge = answer_of(name, "authentication")
    found = verify_assertion(read_answer(answer), challenge, known(made), PLACE, unlocked=False)
    assert found.user_verified == is_unlocked(name, "authentication")
    assert found.sign_count == 0


@pytest.mark.parametrize("name", RIGHT)
def test_what_nobody_unlocked_is_refused_where_that_is_asked(name: str) -> None:
    made = registered(name)
    answer, challenge = answer_of(name, "authentication")
    tries: dict[str, Callable[[], object]] = {
        "registration": lambda: registered(name, unlocked=True),
        "authentication": lambda: verify_assertion(read_answer(answer), challenge, known(made), PLACE, unlocked=True),
    }
    for ceremony, verify in tries.items():
        if is_unlocked(name, ceremony):
            verify()
        else:
            with pytest.raises(WrongPasskey):
                verify()


def test_both_kinds_are_among_the_vectors() -> None:
    for ceremony in ("registration", "authentication"):
        assert {is_unlocked(name, ceremony) for name in RIGHT} == {True, False}


@pytest.mark.parametrize("name", ["none-es256-crossOrigin", "none-es256-topOrigin"])
@pytest.mark.parametrize("ceremony", ["registration", "authentication"])
def test_an_answer_from_a_frame_of_another_site_is_refused(name: str, ceremony: str) -> None:
    with pytest.raises(WrongPasskey):
        read_answer(answer_of(name, ceremony)[0])


@pytest.mark.parametrize("name", ["tpm-es256", "fido-u2f-es256"])
def test_attestation_that_we_did_not_ask_for_is_refused(name: str) -> None:
    with pytest.raises(WrongPasskey):
        registered(name)


@pytest.mark.parametrize("changed", ["id", "origin", "challenge"])
def test_another_place_or_challenge_is_refused(changed: str) -> None:
    made = registered("none-es256")
    answer, challenge = answer_of("none-es256", "authentication")
    place = RelyingParty(
        "example.com" if changed == "id" else PLACE.id,
        "https://example.org:8443" if changed == "origin" else PLACE.origin, "",
    )  # fmt: skip
    challenge = bytes(32) if changed == "challenge" else challenge
    with pytest.raises(WrongPasskey):
        verify_assertion(read_answer(answer), challenge, known(made), place, unlocked=False)


@pytest.mark.parametrize("member", ["authenticatorData", "clientDataJSON", "signature"])
def test_every_changed_bit_is_refused(member: str) -> None:
    made = registered("none-es256")
    plain, challenge = answer_of("none-es256", "authentication")
    whole = bytes.fromhex(VECTORS["none-es256"]["authentication"][member])
    for at in range(len(whole)):
        fields = json.loads(plain)
        fields["response"][member] = text(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(WrongPasskey):
            verify_assertion(read_answer(json.dumps(fields)), challenge, known(made), PLACE, unlocked=False)


def made_here(maker: Authenticator) -> Registered:
    options: dict[str, Any] = {"rp": {"id": PLACE.id}, "user": {"id": text(b"me")}, "challenge": text(bytes(32))}
    return verify_registration(read_answer(maker.create(options)), bytes(32), PLACE, unlocked=True)


def signed_by(maker: Authenticator, **response: Any) -> str:
    return maker.get({"rpId": PLACE.id, "challenge": text(bytes(32))}, **response)


@pytest.mark.parametrize(("stored", "signed", "good"), [
    (0, 0, True), (0, 1, True), (1, 2, True), (5, 5, False), (5, 4, False), (5, 0, False), (2**32 - 2, 2**32 - 1, True),
])  # fmt: skip
def test_the_counter_must_grow_where_there_is_one(stored: int, signed: int, good: bool) -> None:
    maker = Authenticator(origin=PLACE.origin, count=signed)
    made = known(made_here(maker), stored)
    answer = read_answer(signed_by(maker))
    if good:
        assert verify_assertion(answer, bytes(32), made, PLACE, unlocked=True).sign_count == signed
    else:
        with pytest.raises(PasskeyCopied):
            verify_assertion(answer, bytes(32), made, PLACE, unlocked=True)


def test_only_who_holds_the_key_can_make_us_suspect_a_copy() -> None:
    maker = Authenticator(origin=PLACE.origin, count=1)
    made = known(made_here(maker), 9)
    with pytest.raises(WrongPasskey):
        verify_assertion(
            read_answer(signed_by(maker, signature=text(bytes(70)))), bytes(32), made, PLACE, unlocked=True
        )


@pytest.mark.parametrize(("at_first", "later"), [(13, 5), (5, 13), (29, 5)])
def test_a_passkey_does_not_change_whether_it_may_be_copied(at_first: int, later: int) -> None:
    maker = Authenticator(origin=PLACE.origin, flags=at_first)
    made = known(made_here(maker))
    maker.flags = later
    with pytest.raises(WrongPasskey):
        verify_assertion(read_answer(signed_by(maker)), bytes(32), made, PLACE, unlocked=True)


def test_backed_up_without_being_eligible_is_refused() -> None:
    with pytest.raises(WrongPasskey):
        made_here(Authenticator(origin=PLACE.origin, flags=5 | 16))


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20), lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["id", "rawId", "type", "response", "clientDataJSON", "signature"]), inner),
))  # fmt: skip
def test_anything_else_is_refused_and_nothing_breaks(value: Any) -> None:
    with pytest.raises(WrongPasskey):
        read_answer(json.dumps(value))
    assert credential_of(json.dumps(value)) == ""


@pytest.mark.parametrize(
    "member", ["clientDataJSON", "authenticatorData", "signature", "userHandle", "attestationObject"]
)
@pytest.mark.parametrize("value", ["", "A", "=", "AA==", "A+/A", "\u00e9", "\ud800", "A" * 9000])
def test_broken_members_are_refused(member: str, value: str) -> None:
    maker = Authenticator(origin=PLACE.origin)
    made = known(made_here(maker))
    fields = json.loads(signed_by(maker))
    if member == "userHandle" and value == "":
        return
    fields["response"][member] = value
    with pytest.raises(WrongPasskey):
        answer = read_answer(json.dumps(fields))
        if member in ("attestationObject", "userHandle"):
            verify_registration(answer, bytes(32), PLACE, unlocked=True)
        verify_assertion(answer, bytes(32), made, PLACE, unlocked=True)

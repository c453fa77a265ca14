"""Published values, through our own code where an injected random lets a published key in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from .conftest import House
from .root_holders import PIN, Holder, softhsm

GCM = [
    # McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B, test cases 13 to 16
    ("00" * 32, "00" * 12, "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
    ("00" * 32, "00" * 12, "00" * 16, "", "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"),
    (
        "feffe9928665731c6d6a8f9467308308" * 2,
        "cafebabefacedbaddecaf888",
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
        "",
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
        "b094dac5d93471bdec1a502270e3cc6c",
    ),
    (
        "feffe9928665731c6d6a8f9467308308" * 2,
        "cafebabefacedbaddecaf888",
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
        "76fc6ece0f4e1768cddf8853bb2d551b",
    ),
    # Wycheproof, aes_gcm_test.json, 256-bit keys
    (
        "92ace3e348cd821092cd921aa3546374299ab46209691bc28b8752d17f123c20",
        "00112233445566778899aabb",
        "00010203040506070809",
        "00000000ffffffff",
        "e27abdd2d2a53d2f136b9a4a2579529301bcfb71c78d4060f52c",
    ),
]


@pytest.mark.parametrize(("key", "nonce", "plain", "aad", "sealed"), GCM)
def test_aes_256_gcm(key: str, nonce: str, plain: str, aad: str, sealed: str) -> None:
    cipher = AESGCM(bytes.fromhex(key))
    result = cipher.encrypt(bytes.fromhex(nonce), bytes.fromhex(plain), bytes.fromhex(aad))
    assert result.hex() == sealed
    # The modified tags of Wycheproof: one bit in any byte of the tag.
    for position in range(1, 17):
        changed = bytearray(result)
        changed[-position] ^= 1
        with pytest.raises(InvalidTag):
            cipher.decrypt(bytes.fromhex(nonce), bytes(changed), bytes.fromhex(aad))


@pytest.mark.parametrize(
    ("kek", "key", "wrapped"),
    [  # RFC 3394, 4.3 and 4.6
        (
            bytes(range(32)).hex(),
            "00112233445566778899aabbccddeeff",
            "64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7",
        ),
        (
            bytes(range(32)).hex(),
            "00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f",
            "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21",
        ),
    ],
)
def test_aes_key_wrap(kek: str, key: str, wrapped: str) -> None:
    assert aes_key_wrap(bytes.fromhex(kek), bytes.fromhex(key)).hex() == wrapped
    changed = bytearray(bytes.fromhex(wrapped))
    changed[3] ^= 0x80
    with pytest.raises(InvalidUnwrap):
        aes_key_unwrap(bytes.fromhex(kek), bytes(changed))


@pytest.mark.parametrize(
    ("salt", "info", "okm"),
    [  # RFC 5869, appendix A.1 and A.3
        (
            "000102030405060708090a0b0c",
            "f0f1f2f3f4f5f6f7f8f9",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        ("", "", "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"),
    ],
)
def test_hkdf_sha256(salt: str, info: str, okm: str) -> None:
    derived = HKDF(SHA256(), 42, bytes.fromhex(salt) or None, bytes.fromhex(info)).derive(b"\x0b" * 22)
    assert derived.hex() == okm


def published(house: House, key: bytes, make: Callable[[], object]) -> None:
    """Let `key` be what the next data key is made of; other requests for 32 bytes stay random."""
    make_random = house.random
    asked: list[int] = []

    def random(count: int) -> bytes:
        asked.append(count)
        # The first 32 bytes asked for a new purpose are its key-encryption key, the second its data key.
        return key if count == 32 and asked.count(32) == 2 else make_random(count)

    house.random = random
    make()


@pytest.mark.parametrize(
    ("seed", "public", "message", "signature"),
    [  # RFC 8032, 7.1, tests 1 and 2
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
    ],
)
def test_signatures_are_ed25519(house: House, seed: str, public: str, message: str, signature: str) -> None:
    house.ring()
    house.close()
    published(house, bytes.fromhex(seed), lambda: house.keys("ledger").sign("ledger.checkpoint", b""))
    keys = house.keys("ledger")
    assert keys.public_key("ledger.checkpoint").hex() == public
    assert keys.sign("ledger.checkpoint", bytes.fromhex(message)).hex() == signature


@pytest.mark.parametrize(
    ("key", "message", "tag"),
    [  # RFC 4231, test cases 1 and 2; HMAC pads a short key with zeros, so these are the same keys
        (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
    ],
)
def test_codes_are_hmac_sha256(house: House, key: bytes, message: bytes, tag: str) -> None:
    house.ring()
    house.close()
    published(house, key.ljust(32, b"\0"), lambda: house.keys().mac("identity.link", b""))
    assert house.keys().mac("identity.link", message).hex() == "01" + tag
    house.keys().verify_mac("identity.link", message, bytes.fromhex("01" + tag))


def test_a_sealed_value_is_what_its_description_says(house: House) -> None:
    """Read by hand, from the documentation of the format alone."""
    house.ring()
    house.close()
    key = bytes(range(32))
    published(house, key, lambda: house.keys().ensure_subject("acc_1"))
    sealed = house.keys().seal("acc_1", "identity.account.name", "rów", b"Ada")
    assert sealed[:5] == b"\x01\x00\x00\x00\x01"
    lengths = b"\0\0\0\x15" + b"\0\0\0\x03" + b"\0\0\0\x05"
    aad = sealed[:5] + lengths + "identity.account.namerówacc_1".encode()
    assert AESGCM(key).decrypt(sealed[5:17], sealed[17:], aad) == b"Ada"


def wycheproof(algorithm: str) -> list[Any]:
    """Number, whether it is valid, and the values, as bytes."""
    lines = [line.split() for line in Path(__file__).with_name("wycheproof.txt").read_text().splitlines()]
    return [
        pytest.param(line[2] == "valid", *(bytes.fromhex(text.strip(".")) for text in line[3:]), id=f"tcId {line[1]}")
        for line in lines if line[0] == algorithm
    ]  # fmt: skip


@pytest.mark.parametrize(("valid", "key", "nonce", "aad", "plain", "sealed"), wycheproof("aes_gcm"))
def test_wycheproof_aes_gcm(valid: bool, key: bytes, nonce: bytes, aad: bytes, plain: bytes, sealed: bytes) -> None:
    cipher = AESGCM(key)
    if valid:
        assert cipher.decrypt(nonce, sealed, aad) == plain
        assert cipher.encrypt(nonce, plain, aad) == sealed
    else:
        with pytest.raises(InvalidTag):
            cipher.decrypt(nonce, sealed, aad)


@pytest.mark.parametrize("length", [0, 4, 8, 12, 13, 14, 15, 17, 32])
def test_a_tag_of_another_length_is_refused_also_when_it_fits(length: int) -> None:
    key, nonce, aad, plain, sealed = (bytes.fromhex(text) for text in (*GCM[3][:2], *GCM[3][3:1:-1], GCM[3][4]))
    assert AESGCM(key).decrypt(nonce, sealed, aad) == plain
    tag = (sealed[-16:] * 2)[:length]
    with pytest.raises(InvalidTag):
        AESGCM(key).decrypt(nonce, sealed[:-16] + tag, aad)


@pytest.mark.parametrize("length", [0, 1, 7])
def test_a_nonce_that_is_too_short_is_refused(length: int) -> None:
    with pytest.raises(ValueError):
        AESGCM(bytes(range(32))).encrypt(bytes(length), b"x", None)


@pytest.mark.parametrize(("valid", "kek", "key", "wrapped"), wycheproof("aes_wrap"))
def test_wycheproof_aes_key_wrap(valid: bool, kek: bytes, key: bytes, wrapped: bytes) -> None:
    if valid:
        assert aes_key_wrap(kek, key) == wrapped
        assert aes_key_unwrap(kek, wrapped) == key
        return
    with pytest.raises((InvalidUnwrap, ValueError)):
        aes_key_unwrap(kek, wrapped)
    if not wrapped:  # what cannot be wrapped in the first place
        with pytest.raises(ValueError):
            aes_key_wrap(kek, key)


@pytest.mark.parametrize(("valid", "public", "message", "signature"), wycheproof("ed25519"))
def test_wycheproof_ed25519(valid: bool, public: bytes, message: bytes, signature: bytes) -> None:
    """The signatures that the log and the verifier believe: never one with s beyond the group's order."""
    key = Ed25519PublicKey.from_public_bytes(public)
    if valid:
        key.verify(signature, message)
    else:
        with pytest.raises(InvalidSignature):
            key.verify(signature, message)


def test_wycheproof_aes_gcm_in_a_token(tokens: Holder) -> None:
    """The token computes what everybody computes."""
    import pkcs11

    token = pkcs11.lib(softhsm()).get_token(token_label="other")
    with token.open(user_pin=PIN, rw=True) as session:
        for parameter in wycheproof("aes_gcm"):
            valid, key, nonce, aad, plain, sealed = parameter.values
            held: Any = session.create_object({
                pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY, pkcs11.Attribute.KEY_TYPE: pkcs11.KeyType.AES,
                pkcs11.Attribute.VALUE: key, pkcs11.Attribute.ENCRYPT: True, pkcs11.Attribute.DECRYPT: True,
            })  # fmt: skip
            with_gcm: Any = {
                "mechanism": pkcs11.Mechanism.AES_GCM, "mechanism_param": pkcs11.GCMParams(nonce, aad, 128)
            }  # fmt: skip
            if valid:
                assert held.decrypt(sealed, **with_gcm) == plain
                assert held.encrypt(plain, **with_gcm) == sealed
            else:
                with pytest.raises(pkcs11.PKCS11Error):
                    held.decrypt(sealed, **with_gcm)

"""Cosignatures of witnesses, C2SP tlog-cosignature version 1 (Ed25519, signature type 0x04)."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature as BadSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from .errors import InvalidSignature
from .note import key_id, parse_vkey

COSIGNATURE = 0x04
_TIME_BYTES = 8
_LATEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class CosignatureVerifier:
    """A witness's public key with its name; implements `note.Verifier`."""

    name: str
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """SHA-256(name || 0x0A || 0x04 || public key), the first four bytes."""
        return key_id(self.name, COSIGNATURE, self.public_key)

    @property
    def label(self) -> str:
        """Name and key id, which together are unique."""
        return f"{self.name}+{self.key_id.hex()}"

    def verify(self, text: str, signature: bytes) -> None:
        """Raise InvalidSignature unless it is this witness's cosignature of the checkpoint `text`."""
        self.time_of(text, signature)

    def time_of(self, text: str, signature: bytes) -> int:
        """When (seconds since 1970) the witness cosigned `text`. Raises InvalidSignature."""
        at = int.from_bytes(signature[:_TIME_BYTES], "big")
        message = f"cosignature/v1\ntime {at}\n{text}".encode()
        try:
            if not 0 < at <= _LATEST:
                raise ValueError(at)
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature[_TIME_BYTES:], message)
        except (BadSignature, ValueError):
            raise InvalidSignature(f"the cosignature of {self.label} is wrong") from None
        return at


def parse_witness_key(vkey: str) -> CosignatureVerifier:
    """Read a witness's vkey. Raises MalformedVerifierKey."""
    return CosignatureVerifier(*parse_vkey(vkey, COSIGNATURE))

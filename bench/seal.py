"""Sealing a field against AES-GCM from the same library, its cipher object kept and its associated data ready-made."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bench.measure import Ratio, compare
from subscription_services.kernel.clock import system_clock, system_random
from subscription_services.keys import KeySettings, open_embedded

TEXT = b"ada.lovelace@example.org, 12 St James"
FIELD = ("acc_1", "identity.account.email", "acc_1")
COUNT = 100_000
ROUNDS = 9


def run() -> list[Ratio]:
    """The baseline makes a fresh nonce for each value and keeps nonce and ciphertext together, as a column must."""
    with tempfile.TemporaryDirectory(prefix="subs-bench-") as folder:
        ring = open_embedded(Path(folder) / "keys", KeySettings(), system_clock, system_random)
        try:
            keys = ring.for_caller("identity")
            subject, field, row = FIELD
            keys.ensure_subject(subject)
            cipher, context = AESGCM(os.urandom(32)), "|".join(FIELD).encode()

            def seal(count: int) -> None:
                for _ in range(count):
                    keys.seal(subject, field, row, TEXT)

            def bare_seal(count: int) -> None:
                for _ in range(count):
                    nonce = os.urandom(12)
                    nonce + cipher.encrypt(nonce, TEXT, context)

            sealed = keys.seal(*FIELD, TEXT)
            first = os.urandom(12)
            bare_sealed = first + cipher.encrypt(first, TEXT, context)

            def unseal(count: int) -> None:
                for _ in range(count):
                    keys.unseal(subject, field, row, sealed)

            def bare_unseal(count: int) -> None:
                for _ in range(count):
                    cipher.decrypt(bare_sealed[:12], bare_sealed[12:], context)

            if keys.unseal(*FIELD, sealed) != TEXT:
                raise AssertionError("the sealed field did not come back")
            return [
                compare("seal a field", seal, "bare AES-GCM", bare_seal, count=COUNT, rounds=ROUNDS, goal=0.5),
                compare("unseal a field", unseal, "bare AES-GCM", bare_unseal, count=COUNT, rounds=ROUNDS, goal=0.5),
            ]
        finally:
            ring.close()

"""Sealing a field against bare AES-GCM with the cipher object kept."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bench.measure import Ratio, compare
from subscription_services.kernel.clock import system_clock, system_random
from subscription_services.keys import KeySettings, open_embedded

TEXT = b"ada.lovelace@example.org, 12 St James"


def run() -> list[Ratio]:
    with tempfile.TemporaryDirectory() as folder:
        ring = open_embedded(Path(folder) / "keys", KeySettings(), system_clock, system_random)
        try:
            keys = ring.for_caller("identity")
            keys.ensure_subject("acc_1")
            cipher, context = AESGCM(os.urandom(32)), b"identity.account.email|acc_1|acc_1"

            def seal(count: int) -> None:
                for _ in range(count):
                    keys.seal("acc_1", "identity.account.email", "acc_1", TEXT)

            def bare_seal(count: int) -> None:
                for _ in range(count):
                    cipher.encrypt(os.urandom(12), TEXT, context)

            sealed = keys.seal("acc_1", "identity.account.email", "acc_1", TEXT)
            nonce = os.urandom(12)
            opened = cipher.encrypt(nonce, TEXT, context)

            def unseal(count: int) -> None:
                for _ in range(count):
                    keys.unseal("acc_1", "identity.account.email", "acc_1", sealed)

            def bare_unseal(count: int) -> None:
                for _ in range(count):
                    cipher.decrypt(nonce, opened, context)

            return [
                compare("seal a field", seal, "bare AES-GCM", bare_seal, count=100_000, goal=0.5),
                compare("unseal a field", unseal, "bare AES-GCM", bare_unseal, count=100_000, goal=0.5),
            ]
        finally:
            ring.close()

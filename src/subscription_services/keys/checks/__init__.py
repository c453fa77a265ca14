"""The live checks of the key management service."""

from __future__ import annotations

from datetime import timedelta

from subscription_services.kernel.checks import Check

from .central import kept_apart
from .rotation import rotated

OFTEN = timedelta(minutes=5)


def checks() -> list[Check]:
    """Every check of this room."""
    return [
        Check(
            "kms.central",
            "We look where this process gets its keys from, knock at the key service without a certificate and with an "
            "older TLS, which it must refuse, and look which processes of this machine have the key store open.",
            kept_apart,
            OFTEN,
        ),
        Check(
            "rest.rotation",
            "We look at the age of every key-encryption key and when the schedule last ran, then rotate a key that "
            "protects nothing: new data must use the new version, old data stay readable, the old version go.",
            rotated,
            timedelta(hours=1),
        ),
    ]

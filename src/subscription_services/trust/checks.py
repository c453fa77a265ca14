"""The checks that belong to the foundation; those of a room's own section stand in that room."""

from __future__ import annotations

from datetime import timedelta

from subscription_services.kernel.checks import Check, Doors, Finding

from . import canary, key_access, record, transport

OFTEN = timedelta(minutes=5)
SOMETIMES = timedelta(minutes=15)
HOURLY = timedelta(hours=1)


def checks(verify: record.Verify, typist: canary.Typist | None = None) -> list[Check]:
    """`verify` verifies the whole log (see `ledger.verify`); `typist` types a marker into forms of a probe account."""

    async def log(doors: Doors) -> Finding:
        return await record.log_verifies(verify)

    async def hunt(doors: Doors) -> Finding:
        return await canary.nothing_readable(doors, typist)

    return [
        Check(
            "transit.tls13",
            "We offer the HTTPS listener TLS 1.3, which it must accept, and then TLS 1.2, 1.1 and 1.0 one by one, "
            "which it must refuse.",
            transport.only_tls13,
            OFTEN,
        ),
        Check(
            "transit.https",
            "We ask for pages and the API over plain HTTP: pages must answer 308 to HTTPS, the API must refuse. Every "
            "cookie that pages set must be Secure and carry the __Host- prefix.",
            transport.https_only,
            OFTEN,
        ),
        Check(
            "transit.hsts",
            "We look at a good answer, a missing page and refusals: each must tell browsers to use HTTPS for at least "
            "a year, subdomains included.",
            transport.hsts_everywhere,
            OFTEN,
        ),
        Check(
            "transit.forward-secrecy",
            "We shake hands as a stranger and look at the key exchange: TLS 1.3 with an ephemeral group, nothing "
            "older, and session tickets that allow no early data.",
            transport.forward_secret,
            OFTEN,
        ),
        Check(
            "rest.aes256",
            "We type a random marker into the sign-in form, then search every file of the data directory and the "
            "newest rows of every table for it, raw and in the usual encodings. No store file may be unencrypted.",
            hunt,
            HOURLY,
        ),
        Check(
            "kms.audit",
            "We use a key of our own and then look for that access in the log, with caller, purpose and outcome.",
            key_access.access_recorded,
            SOMETIMES,
        ),
        Check(
            "kms.policy",
            "We ask the key service for keys that belong to other parts of the service. Each try must be refused, and "
            "the refusal must stand in the log.",
            key_access.foreign_keys_refused,
            SOMETIMES,
        ),
        Check(
            "log.tamper-evident",
            "We verify the whole log: every entry's code, its place in the Merkle tree, every signed checkpoint, and "
            "the copy of the last one that is kept outside the database. Outside witnesses, where there are any, are "
            "asked afresh whether they saw the same.",
            log,
            SOMETIMES,
        ),
        Check(
            "log.audit-trail",
            "We try to write to the database outside an operation, which must be refused, and compare what the checks "
            "stored with the entries in the log.",
            record.nothing_unrecorded,
            OFTEN,
        ),
        Check(
            "trust.live",
            "We read this page from outside: every promise must be on it, worked out afresh, and no check may be out "
            "of date.",
            record.page_is_live,
            OFTEN,
        ),
    ]

"""The room's slice of the settings."""

from __future__ import annotations

from typing import Annotated

import msgspec

from subscription_services.kernel.settings import Says

_AtLeastOne = msgspec.Meta(ge=1)


class KeySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of the key service and of the sealing client in front of it; prefix `keys`."""

    cache_size: Annotated[
        int,
        _AtLeastOne,
        Says("Unwrapped keys kept in memory. More saves unwraps, fewer leaves less for a memory dump."),
    ] = 10_000
    erasure_notice: Annotated[
        float,
        msgspec.Meta(ge=0.0, le=60.0),
        Says("Seconds until one process notices that another destroyed a key. Lower costs more look-ups."),
    ] = 0.25
    reserve_block: Annotated[
        int,
        msgspec.Meta(ge=1, le=65_536),
        Says(
            "Uses of a data key first counted in advance; then eight times as many each time, to 65536. "
            "What a stopped process did not use is lost from the 2^32 that a key may seal."
        ),
    ] = 256
    journal_window: Annotated[
        int, _AtLeastOne, Says("Seconds of equal key accesses that are counted in one journal entry.")
    ] = 60
    rotate_days: Annotated[
        int,
        msgspec.Meta(ge=0, le=365),
        Says(
            "Days after which a key-encryption key is followed by a new one; data keys move over by themselves. "
            "0 turns the schedule off, and the trust page says so."
        ),
    ] = 90
    retire_days: Annotated[
        int,
        msgspec.Meta(ge=1, le=3650),
        Says(
            "Days after its replacement until a key-encryption key that nothing depends on is destroyed. Until then a "
            "mistake can still be seen; afterwards it is gone, but for backups of the keys."
        ),
    ] = 30
    journal_entries: Annotated[
        int,
        msgspec.Meta(ge=1000),
        Says(
            "Entries of the journal of key accesses that may wait for the log. Beyond that entries of several windows "
            "are added up: still exact by key and caller, less so in time."
        ),
    ] = 100_000
    busy_timeout: Annotated[
        float,
        msgspec.Meta(ge=0.0),
        Says("Seconds to wait for another process that is writing to the key store."),
    ] = 10.0
    backup_directory: Annotated[
        str,
        Says(
            "Directory for the backups of the wrapped keys, better on another disk. Nothing that is kept longer may "
            "contain it. Empty: key-backups in the data directory."
        ),
    ] = ""
    backup_days: Annotated[
        int,
        msgspec.Meta(ge=1, le=30),
        Says("Days after which a backup of the keys is removed: so long an erased person's key can still be in one."),
    ] = 7
    backup_minutes: Annotated[
        int,
        msgspec.Meta(ge=10, le=720),
        Says("Minutes between backups of the keys. What is sealed under newer keys is lost together with the store."),
    ] = 60
    root: Annotated[
        str,
        Says(
            "Where the root key is: file: (root.key beside the key store), file:/path, pkcs11:token=T;object=K"
            "?module-path=M&pin-source=file:P, aws-kms:ARN, or vault:https://host:8200/transit/KEY?token-file=P. "
            "Another one opens no existing store: change it only with `subs keys move-root`."
        ),
    ] = "file:"
    service: Annotated[
        str,
        Says(
            "Address host:port of a key service in a process or on a host of its own. Empty: the one that `subs run` "
            "started here, else keys are kept in this process."
        ),
    ] = ""
    apart: Annotated[
        bool,
        Says(
            "`subs run` starts the key service as a process of its own behind mutual TLS, and no other process opens "
            "the root key. False keeps keys in every process."
        ),
    ] = True
    listen: Annotated[
        str, Says("Address host:port at which `subs keys serve` listens. Only hosts of the service should reach it.")
    ] = "127.0.0.1:8444"
    certificate: Annotated[
        str, Says("PEM file of this process's own certificate for the key service's mutual TLS.")
    ] = ""
    certificate_key: Annotated[str, Says("PEM file of that certificate's private key, mode 0600.")] = ""
    authority: Annotated[
        str, Says("PEM file of the one authority whose certificates the key service and its clients believe.")
    ] = ""
    allow: Annotated[
        str,
        Says(
            "TOML file of the clients that the key service answers: identity, callers and methods. Everybody else is "
            "refused. Read again when it changes."
        ),
    ] = ""
    trust_domain: Annotated[
        str, Says("Name in the identities of certificates, spiffe://NAME/keys for the key service.")
    ] = "subs.internal"
    connections: Annotated[
        int, msgspec.Meta(ge=1, le=64), Says("Connections that one process keeps to the key service at most.")
    ] = 8
    clients: Annotated[
        int, msgspec.Meta(ge=1, le=4096), Says("Connections that the key service keeps; further ones are closed.")
    ] = 256
    call_seconds: Annotated[
        float, msgspec.Meta(gt=0.0, le=60.0), Says("Seconds that one request to the key service may take.")
    ] = 10.0
    patience: Annotated[
        float,
        msgspec.Meta(ge=0.0, le=60.0),
        Says(
            "Seconds after the key service went away during which requests wait for it; later ones are refused at "
            "once. A restart of the service should fit in, since waiting holds other requests of the process up."
        ),
    ] = 3.0
    trust_cache: Annotated[
        float,
        msgspec.Meta(ge=0.25, le=300.0),
        Says(
            "Seconds that unwrapped keys are used while the key service cannot be reached; then nothing is unsealed. "
            "Longer bridges longer outages, but a process that is cut off reads erased people's data that much longer."
        ),
    ] = 5.0

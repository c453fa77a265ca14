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
    busy_timeout: Annotated[
        float,
        msgspec.Meta(ge=0.0),
        Says("Seconds to wait for another process that is writing to the key store."),
    ] = 10.0

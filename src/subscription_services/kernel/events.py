"""The audit event: what happened, by whom, to what, with what outcome. Typed, small, never a whole record."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

Detail = str | int | bool | None | list[str]


class Outcome(StrEnum):
    SUCCESS = "success"
    REFUSED = "refused"
    FAILED = "failed"


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry of the log.

    `subject` is the person concerned (plain id, no foreign key); `sealed` holds personal values sealed under
    that subject's key (base64), readable only while the key exists; `origin_index` is the keyed blind index of
    the address, so that events of one origin can be found without storing it.
    """

    id: str
    at: datetime
    action: str
    outcome: Outcome
    actor_kind: str
    actor: str
    session: str = ""
    object_kind: str = ""
    object: str = ""
    subject: str = ""
    reason: str = ""
    count: int = 1
    details: Mapping[str, Detail] = {}
    sealed: Mapping[str, str] = {}
    sealed_for: str = ""
    origin_index: str = ""
    correlation: str = ""

"""A rotation tried for real, on a key that protects nothing: what the live check of rotation does each time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import msgspec

from subscription_services.kernel.context import Context
from subscription_services.kernel.operations import Change, Prepared, SystemOnly, operation
from subscription_services.kernel.transaction import Reading, Transaction
from subscription_services.keys.sealing import CallerKeys
from subscription_services.keys.states import PurposeState

PROBE = "keys.probe"
_FIELD, _ROW, _TEXT = "keys.probe", "probe", b"what was sealed before a rotation opens after it"
_SLICES = 100


class ProbeRotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rotate the probe's key."""


class Probed(msgspec.Struct, frozen=True):
    """`failed` says in a few words what did not happen as it must; empty when all did."""

    version: int
    failed: str


@dataclass(frozen=True, slots=True)
class _Tried:
    version: int
    failed: str


def _try(reading: Reading, ctx: Context, request: ProbeRotation) -> _Tried:
    with reading() as tx:
        keys = cast("CallerKeys", tx.keys)
    keys.ensure_subject(PROBE, PROBE)
    before = _state(keys)
    old = keys.seal(PROBE, _FIELD, _ROW, _TEXT)
    version = keys.rotate(PROBE, before.versions[0].version)
    if version <= before.versions[0].version:
        return _Tried(version, "no new version came")
    for _ in range(_SLICES):
        if not keys.rewrap(PROBE):
            break
    after = _state(keys)
    if after.rewrapping is None or after.rewrapping.left or not after.versions[0].data_keys:
        return _Tried(version, "the data key did not move to the new version")
    if keys.unseal(PROBE, _FIELD, _ROW, old) != _TEXT:
        return _Tried(version, "what was sealed before did not open")
    if keys.unseal(PROBE, _FIELD, _ROW, keys.seal(PROBE, _FIELD, _ROW, _TEXT)) != _TEXT:
        return _Tried(version, "what was sealed afterwards did not open")
    if before.versions[0].version not in keys.retire(PROBE, before.versions[0].version):
        return _Tried(version, "the old version was not destroyed")
    return _Tried(version, "")


@operation(
    "keys.probe_rotation", by=[SystemOnly("the live check of rotation")], prepare=Prepared(_try)
)  # fmt: skip
def probe_rotation(tx: Transaction, ctx: Context, request: ProbeRotation, tried: _Tried) -> Change[Probed]:
    """Rotate a key that protects nothing and see that old and new data open, and that the old version goes."""
    probed = Probed(tried.version, tried.failed)
    return Change(None, probed, object=PROBE, details={"version": tried.version, "failed": tried.failed})


def _state(keys: CallerKeys) -> PurposeState:
    return next(state for state in keys.states().purposes if state.purpose == PROBE)


OPERATIONS = (probe_rotation,)

"""Every operation of the room, one noun a file."""

from subscription_services.kernel.operations import operations_of

from . import (
    binding,
    devices,
    email,
    passkey_sign_in,
    passkeys,
    people,
    profile,
    recovery,
    recovery_review,
    reset,
    second_factor,
    sign_in,
    sign_up,
    single_sign_on,
    unlock,
)

_MODULES = (
    sign_up, sign_in, passkey_sign_in, single_sign_on, binding, reset, unlock, second_factor, passkeys, devices,
    profile, people, email, recovery, recovery_review,
)  # fmt: skip
OPERATIONS = tuple(item for module in _MODULES for item in operations_of(module))

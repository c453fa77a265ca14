"""Every operation of the room, one noun a file."""

from subscription_services.kernel.operations import operations_of

from . import (
    binding,
    devices,
    passkey_sign_in,
    passkeys,
    people,
    profile,
    reset,
    second_factor,
    sign_in,
    sign_up,
    unlock,
)

OPERATIONS = tuple(
    item
    for module in (
        sign_up,
        sign_in,
        passkey_sign_in,
        binding,
        reset,
        unlock,
        second_factor,
        passkeys,
        devices,
        profile,
        people,
    )
    for item in operations_of(module)
)

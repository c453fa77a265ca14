"""Every operation of the room, one noun a file."""

from subscription_services.kernel.operations import operations_of

from . import binding, devices, people, profile, reset, second_factor, sign_in, sign_up, single_sign_on, unlock

OPERATIONS = tuple(
    item
    for module in (sign_up, sign_in, single_sign_on, binding, reset, unlock, second_factor, devices, profile, people)
    for item in operations_of(module)
)

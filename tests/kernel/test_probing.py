"""The pass of live checks: ours alone, for minutes, and it gives an origin and limits of their own."""

from __future__ import annotations

from datetime import timedelta

import pytest

from subscription_services.identity.operations.sign_in import SignIn, sign_in
from subscription_services.kernel.actors import Anonymous
from subscription_services.kernel.context import Origin
from subscription_services.kernel.errors import DomainError, TooMany
from subscription_services.kernel.probing import ADDRESS, VALID, is_pass, new_pass
from subscription_services.testing import World


def test_a_pass_is_good_for_minutes_and_only_as_written(world: World) -> None:
    keys, now = world.house.ring.for_caller("kernel"), world.clock()
    written = new_pass(keys, now)
    assert is_pass(keys, written, now) and is_pass(keys, written, now + VALID)
    assert not is_pass(keys, written, now + VALID + timedelta(seconds=1))
    moment, _, mac = written.partition(".")
    later = str(int(moment) + 1)
    for forged in ("", ".", moment, f"{later}.{mac}", f"{moment}.{mac[:-2]}", f"{moment}.zz", f"-{moment}.{mac}",
                   f"{moment}.{'0' * 64}", "9" * 5000 + ".00"):  # fmt: skip
        assert not is_pass(keys, forged, now), forged


def test_live_checks_use_up_nobodys_tries_and_nobody_uses_up_theirs(world: World) -> None:
    def tries(address: str, count: int) -> list[str]:
        codes = []
        for number in range(count):
            request = SignIn(f"{address.split()[0]}-{number}@example.test", "wrong and long enough")
            with pytest.raises(DomainError) as refused:
                world.do(sign_in, Anonymous(), request, origin=Origin(address))
            codes.append(refused.value.code)
        return codes

    assert TooMany.code in tries(ADDRESS, 61)
    assert TooMany.code not in tries("192.0.2.7", 60)

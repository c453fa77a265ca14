"""A house on real time with people in it, made through the real operations and within the real limits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from subscription_services import app
from subscription_services.identity.model import Purpose
from subscription_services.identity.operations.sign_in import SignIn, sign_in
from subscription_services.identity.operations.sign_up import (
    IssueLink,
    SignUp,
    VerifyAddress,
    issue_link,
    sign_up,
    verify_address,
)
from subscription_services.identity.queries import account_by_email
from subscription_services.kernel.actors import Anonymous, System
from subscription_services.kernel.context import Origin
from subscription_services.kernel.perform import perform
from subscription_services.kernel.settings import HouseSettings
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.testing.world import FAST

PASSWORD = "correct horse battery staple 7"


def environment_of(data: Path, **settings: str) -> dict[str, str]:
    """A sandbox's settings; nothing of the surroundings' own may change what is measured."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SUBS_")}
    return kept | FAST | {"SUBS_DATA": str(data), "SUBS_LOG_LEVEL": "error"} | settings


@contextmanager
def opened(environment: dict[str, str]) -> Iterator[app.House]:
    """The house, made if it is not there yet."""
    settings = app.read_settings(environment)
    settings.of(HouseSettings).data_path.mkdir(mode=0o700, parents=True, exist_ok=True)
    app.prepare(settings)
    house = app.build(settings)
    try:
        yield house
    finally:
        house.close()


def origin_of(number: int) -> Origin:
    """A different address for each number, as different people have."""
    return Origin(f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", "bench", "bench")


async def join(house: app.House, email: str, number: int) -> None:
    """Sign up and prove the address."""
    do = partial(perform, house.kernel, origin=origin_of(number))
    await do(sign_up, Anonymous(), SignUp(email, "Ada Example", PASSWORD))
    with house.store.reading() as connection:
        row = account_by_email(ReadTransaction(connection, house.ring.for_caller("identity")), email)
    assert row is not None
    link = await do(issue_link, System("identity.letters"), IssueLink(row.id, Purpose.VERIFY))
    await do(verify_address, Anonymous(), VerifyAddress(link.token, password=PASSWORD))


async def enter(house: app.House, email: str, number: int, origin: Origin | None = None) -> str:
    """Sign in; returns the session's token."""
    here = origin or origin_of(number)
    signed = await perform(house.kernel, sign_in, Anonymous(), SignIn(email, PASSWORD), origin=here)
    return str(signed.token)

"""Operators at the command line: the first administrator, and acting as a person over the API."""

from __future__ import annotations

import asyncio
import getpass
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from email.utils import parseaddr
from typing import Any

import httpx
import msgspec

from subscription_services import access, app
from subscription_services.kernel.actors import System
from subscription_services.kernel.errors import Invalid, Refusal, Unavailable
from subscription_services.kernel.operations import Operation
from subscription_services.kernel.perform import perform
from subscription_services.kernel.settings import HouseSettings

Act = Callable[[str, dict[str, str]], Any]


def bootstrap(environment: Mapping[str, str], people: Sequence[tuple[str, str]]) -> list[str]:
    """Make the first administrators, by address and name; the answer is their enrolment links.

    Works once ever (AlreadyBootstrapped)."""
    settings = app.read_settings(environment)
    app.prepare(settings)
    house = app.build(settings)
    try:
        request = access.Bootstrap([access.FirstPerson(email, name) for email, name in people])
        made = asyncio.run(perform(house.kernel, access.bootstrap, System("cli.bootstrap"), request))
    finally:
        house.close()
    return [f"{settings.of(HouseSettings).public_url}/enrol?token={item.token}" for item in made.people]


def call(environment: Mapping[str, str], email: str, name: str, fields: Sequence[str]) -> str:
    """Sign in as a person (password and code are asked for), carry out one operation, sign out. Returns JSON.

    Raises Invalid, Refusal with the service's own words, Unavailable when it does not answer.
    """
    _find(name)
    given = dict(pair(text) for text in fields)
    with signed_in(environment, email) as act:
        return json.dumps(act(name, given))


@contextmanager
def signed_in(environment: Mapping[str, str], email: str) -> Iterator[Act]:
    """Sign in as a person and yield what carries out operations over the API by name; signs out at the end.

    Raises what `call` raises.
    """
    with signed_in_client(environment, email) as client:
        yield lambda name, given: send(client, name, given)


@contextmanager
def signed_in_client(environment: Mapping[str, str], email: str) -> Iterator[httpx.Client]:
    """The same as a client that carries the session of the person."""
    house = app.read_settings(environment).of(HouseSettings)
    origin = house.public_url
    certificate = str(app.certificate(house).certificate)
    with httpx.Client(base_url=origin, verify=certificate, trust_env=False) as client:
        try:
            client.headers["authorization"] = f"Bearer {_sign_in(client, email)}"
            yield client
        except httpx.HTTPError as error:
            raise Unavailable(f"The service at {origin} does not answer. Is it running? (make run)") from error
        finally:
            if "authorization" in client.headers:
                client.post("/api/identity.sign_out", json={})


def _find(name: str) -> Operation:
    operation = next((item for item in app.OPERATIONS if item.name == name), None)
    if operation is None or operation.internal:
        raise Invalid(f"There is no operation {name}. `subs operations` lists them.")
    return operation


def _sign_in(client: httpx.Client, email: str) -> str:
    signed = read(
        client.post("/api/identity.sign_in", json={"email": email, "password": getpass.getpass("Password: ")})
    )
    if signed["challenge"]:
        prompt = "Code: " if "code" in signed["ways"] else "Recovery code (passkeys work in a browser only): "
        code = {"challenge": signed["challenge"], "code": getpass.getpass(prompt)}
        signed = read(client.post("/api/identity.sign_in_code", json=code))
    return str(signed["token"])


def send(client: httpx.Client, name: str, given: Mapping[str, str]) -> Any:
    """Carry out the operation of that name over the API. Raises Invalid, Refusal with the service's words."""
    operation = _find(name)
    path = f"/api/{operation.name}"
    if not operation.changes:
        return read(client.get(path, params=dict(given)))
    try:
        request = msgspec.convert(dict(given), operation.request, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(f"{operation.name}: {error}") from error
    return read(client.post(path, content=msgspec.json.encode(request), headers={"content-type": "application/json"}))


def read(answer: httpx.Response) -> Any:
    """What the service answered. Raises Refusal with its own words."""
    if answer.is_success:
        return answer.json()
    problem = answer.json()
    way_on = f" Ask for it: subs call {problem['solved_by']} …" if "solved_by" in problem else ""
    raise Refusal(f"{problem.get('title', 'Refused')}: {problem.get('detail', '')}{way_on}")


def mailbox(text: str) -> tuple[str, str]:
    """`Name <address>` (RFC 5322) as address and name. Raises Invalid."""
    name, address = parseaddr(text)
    if not name or "@" not in address:
        raise Invalid(f"{text!r} is not like 'Ada Lovelace <ada@example.org>'.")
    return address, name


def pair(text: str) -> tuple[str, str]:
    """`name=value` in two. Raises Invalid."""
    name, separator, value = text.partition("=")
    if not separator:
        raise Invalid(f"{text!r} is not name=value.")
    return name, value

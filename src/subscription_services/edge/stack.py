"""The layers of the edge around an application, in their one right order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Scope

from subscription_services.edge.address import ClientAddress
from subscription_services.edge.asgi import Told
from subscription_services.edge.csrf import Csrf
from subscription_services.edge.headers import SecurityHeaders
from subscription_services.edge.hosts import AllowedHosts
from subscription_services.edge.limits import Limits, RequestLimits


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """`origins` are those of our pages ("https://localhost:8443"); `csrf_key` comes from keys (32 bytes)."""

    hosts: Collection[str]
    origins: Collection[str]
    csrf_key: bytes = field(repr=False)
    processor_origins: Sequence[str] = ()
    trusted_proxies: Sequence[str] = ()
    machine_paths: Collection[str] = ()
    limits: RequestLimits = field(default_factory=RequestLimits)
    is_pass: Callable[[str], bool] = lambda text: False


def protect(
    app: ASGIApp, settings: EdgeSettings, *, random: Callable[[int], bytes], new_id: Callable[[], str],
    told: Callable[[Scope, str], Awaitable[None]] | None = None,
) -> ASGIApp:  # fmt: skip
    """Headers outermost, so that refusals of the other layers carry them too; the token check innermost.

    `told` hears of each refusal of the layers between; see `asgi.Told`."""
    inner: ASGIApp = Csrf(
        app,
        origins=settings.origins,
        key=settings.csrf_key,
        random=random,
        machine_paths=settings.machine_paths,
    )
    inner = Limits(inner, settings.limits)
    inner = AllowedHosts(inner, settings.hosts)
    if told is not None:
        inner = Told(inner, told)
    inner = ClientAddress(inner, settings.trusted_proxies, settings.is_pass)
    return SecurityHeaders(inner, random=random, new_id=new_id, processor_origins=settings.processor_origins)

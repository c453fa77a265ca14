"""The public log: a page for people, and static resources for programs (C2SP tlog-tiles).

Checkpoint and hashes are for everybody. Entry bundles name account ids and what they did, so they are for auditors, who
sign in or bring a token; every bundle that is read is in the log.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.responses import Response

from subscription_services.kernel.actors import Role, ServiceAccount
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.operations import Seen, operation
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.storage.installation import log_origin_of
from subscription_services.web.call import Call
from subscription_services.web.routes import Handler, Route, get

from . import publish
from .minimum import minimum_index
from .note import verifier_key
from .queries import waiting_count
from .retention import stored_days
from .stored import checkpoint_key
from .trust_policy import TrustPolicy

FOR_EVER = "public, max-age=31536000, immutable"
SHORT = "public, max-age=1"
TEXT = "text/plain; charset=utf-8"
OCTETS = "application/octet-stream"
_OPEN = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}
_WHY = "outsiders verify the log with it; it holds hashes and signatures only"


class ReadBundle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`path` is the bundle's path in the log, such as `tile/entries/000`."""

    path: Annotated[str, Meta(max_length=80)]


class Bundle(msgspec.Struct, frozen=True):
    """Entries as C2SP tlog-tiles bundles them, in base64."""

    path: str
    data: str


@operation("ledger.bundle", by=[Role.AUDITOR, Role.SECURITY, ServiceAccount.scoped])
def read_bundle(tx: ReadTransaction, ctx: Context, request: ReadBundle) -> Seen[Bundle]:
    """Read up to 256 whole entries of the log, as they were hashed. Personal fields in them stay sealed."""
    data = publish.bundle_bytes(tx.connection, publish.signed_size(tx.connection), request.path)
    return Seen(Bundle(request.path, base64.b64encode(data).decode()), details={"path": request.path})


OPERATIONS = (read_bundle,)


def routes(policy: TrustPolicy) -> tuple[Route, ...]:
    """The room's pages and resources; `policy` says whose cosignatures count."""
    return (
        get("/log", _page(policy), public="says how to verify the log"),
        Route("GET", "/log/checkpoint", _checkpoint(policy), reason=_WHY, anonymous=True),
        Route("GET", "/log/minimum-index", _minimum, reason=_WHY, anonymous=True),
        Route("GET", "/log/key", _key, reason=_WHY, anonymous=True),
        get("/log/tile/entries/{path:path}", _bundle, read_bundle),
        Route("GET", "/log/tile/{path:path}", _tile, reason=_WHY, anonymous=True),
    )


def _page(policy: TrustPolicy) -> Handler:
    async def log_page(call: Call) -> Response:
        """What the log is, its present state, and how to verify it."""
        store = call.site.kernel.store
        head = await store.read(lambda connection: publish.published_checkpoint(connection, policy))
        signed, waiting, minimum, days = await store.read(
            lambda c: (publish.signed_size(c), waiting_count(c), minimum_index(c), stored_days(c))
        )
        cosigned = head.cosigned if head else ()
        witnesses = [(item.name, item.key.label, item.key.label in cosigned) for item in policy.witnesses]
        return call.render(
            "ledger/log.html", head=head, signed=signed, waiting=waiting, minimum=minimum, days=days,
            witnesses=witnesses, key=await _vkey(call),
        )  # fmt: skip

    return log_page


def _checkpoint(policy: TrustPolicy) -> Handler:
    async def log_checkpoint(call: Call) -> Response:
        """The newest checkpoint with its cosignatures."""
        head = await call.site.kernel.store.read(lambda c: publish.published_checkpoint(c, policy))
        if head is None:
            raise NotFound()
        return _static(call, head.note, TEXT, SHORT)

    return log_checkpoint


async def _minimum(call: Call) -> Response:
    """The lowest index whose entry can still be read."""
    return _static(call, await call.site.kernel.store.read(publish.minimum_text), TEXT, SHORT)


async def _key(call: Call) -> Response:
    """The log's verifier key (C2SP signed-note)."""
    return _static(call, f"{await _vkey(call)}\n".encode(), TEXT, "public, max-age=60")


async def _tile(call: Call) -> Response:
    """A tile of hashes."""
    path = f"tile/{call.path('path')}"
    data = await call.site.kernel.store.read(lambda c: publish.tile_bytes(c, publish.signed_size(c), path))
    return _static(call, data, OCTETS, FOR_EVER)


async def _bundle(call: Call) -> Response:
    """An entry bundle, for auditors."""
    found: Bundle = await call.perform(read_bundle, ReadBundle(f"tile/entries/{call.path('path')}"[:80]))
    return Response(base64.b64decode(found.data), media_type=OCTETS, headers={"Cache-Control": "private, no-store"})


async def _vkey(call: Call) -> str:
    origin = await call.site.kernel.store.read(log_origin_of)
    assert origin is not None
    return verifier_key(checkpoint_key(call.site.kernel.keys.for_caller("ledger"), origin))


def _static(call: Call, body: bytes, media_type: str, cache: str) -> Response:
    """A resource with its entity tag; 304 to who has it (RFC 9110, If-None-Match)."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": cache, **_OPEN}
    known = [item.strip().removeprefix("W/") for item in call.request.headers.get("if-none-match", "").split(",")]
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)

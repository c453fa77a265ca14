"""One request on its way through a page: who asks, what they may perform, and how the answer is made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from subscription_services.kernel import errors
from subscription_services.kernel.actors import Actor, Anonymous, Asker
from subscription_services.kernel.context import Origin
from subscription_services.kernel.ids import Ids
from subscription_services.kernel.operations import Operation
from subscription_services.kernel.perform import Kernel, perform
from subscription_services.kernel.words import as_words
from subscription_services.web import notices
from subscription_services.web.attempts import performing
from subscription_services.web.forms import FormState, parse, read_form
from subscription_services.web.languages import language_for
from subscription_services.web.origin import header_of, origin_of
from subscription_services.web.page import Alarm, NavItem, PageContext, Person
from subscription_services.web.problems import status_of
from subscription_services.web.render import render, see_other

__all__ = ["ELSEWHERE", "Call", "Navigation", "RouteInfo", "Site", "Submitted", "Visitor", "origin_of"]

# these are solved on another page, not by typing something else into this one
ELSEWHERE = (
    errors.NotSignedIn,
    errors.SessionUnbound,
    errors.StepUpNeeded,
    errors.SecondFactorNeeded,
    errors.ApprovalNeeded,
    errors.TaskNeeded,
)


class Visitor(msgspec.Struct, frozen=True):
    """Who a request comes from. `person` is how the header names them; nobody is Anonymous.

    `held` says what their session is bound to; `refused` why it is not believed, where that matters; `alarms` what they
    have to see on every page; `waiting` how much waits for them behind a link; `headers` go with the answer."""

    actor: Actor = Anonymous()
    person: Person | None = None
    held: str = ""
    refused: errors.DomainError | None = None
    alarms: tuple[Alarm, ...] = ()
    waiting: Mapping[str, int] = {}
    headers: Mapping[str, str] = {}


class Navigation(msgspec.Struct, frozen=True):
    """The links that a visitor sees."""

    main: tuple[NavItem, ...] = ()
    account: tuple[NavItem, ...] = ()
    footer: tuple[NavItem, ...] = ()


@dataclass(frozen=True, slots=True)
class Site:
    """What all pages share; put together once, in app.py.

    `visitor` finds out who asks (session cookie or bearer token), `asker` leaves that to the read which answers, where
    that can be; `places` are the pages that solve a problem of
    a kind: {"not-signed-in": "/sign-in", ...}."""

    kernel: Kernel
    visitor: Callable[[Request], Awaitable[Visitor]]
    navigation: Callable[[Visitor], Navigation]
    places: Mapping[str, str] = field(default_factory=dict)
    product: str = "Subscription Services"
    sandbox: bool = False
    mailbox_url: str | None = None
    development: bool = False
    sign_out_path: str = "/sign-out"
    asker: Callable[[Request], Asker | None] = lambda request: None

    def view(self, request: Request, visitor: Visitor) -> PageContext:
        """The typed input of the layout for this request."""
        state = request.scope.get("state", {})
        ids = Ids(self.kernel.clock, self.kernel.random)
        links = self.navigation(visitor)
        token = state.get("csrf_token")
        return PageContext(
            path=request.scope["path"], nonce=state.get("nonce", ""), csrf=token() if token else "",
            new_key=lambda: ids.new("idk"), person=visitor.person, held=visitor.held, alarms=visitor.alarms,
            nav=links.main, account_nav=links.account, footer=links.footer, notices=notices.shown(request),
            sandbox=self.sandbox, mailbox_url=self.mailbox_url,
            product=self.product, sign_out_path=self.sign_out_path, request_id=state.get("request_id", ""),
            language=language_for(header_of(request, b"accept-language")).code,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of a posted form: an answer, or the form to show again with its status.

    `error` is what the operation raised, for pages that offer a way on; None where the form itself was wrong."""

    answer: Any = None
    form: FormState | None = None
    status: int = 200
    error: errors.DomainError | None = None


class RouteInfo(Protocol):
    """What a call has to know about its route."""

    @property
    def operation(self) -> Operation | None: ...


class Call(msgspec.Struct, frozen=True):
    """The argument of every page handler."""

    site: Site
    route: RouteInfo
    request: Request
    visitor: Visitor
    asker: Asker | None = None

    @property
    def actor(self) -> Actor:
        return self.visitor.actor

    @property
    def now(self) -> datetime:
        return self.site.kernel.clock()

    def said(self, text: str) -> str:
        """The text in the reader's language, for answers that no template makes."""
        return as_words(text).said(language_for(header_of(self.request, b"accept-language")))

    @property
    def view(self) -> PageContext:
        return self.site.view(self.request, self.visitor)

    @property
    def origin(self) -> Origin:
        """Address and browser, as the edge established them."""
        return origin_of(self.request, "page")

    def path(self, name: str) -> str:
        """A parameter of the route's path."""
        return str(self.request.path_params[name])

    def query(self, name: str, default: str = "") -> str:
        """The first value of a query parameter, without surrounding spaces."""
        return self.request.query_params.get(name, default).strip()

    async def perform(self, operation: Operation, request: msgspec.Struct, key: str | None = None) -> Any:
        """Carry out an operation as this visitor. A change must be the one that the route declares."""
        if operation.changes and operation is not self.route.operation:
            raise LookupError(f"this route does not declare {operation.name}")
        performing(self.request)
        return await perform(
            self.site.kernel, operation, self.actor, request, origin=self.origin,
            correlation_id=self.request.scope.get("state", {}).get("request_id") or None, idempotency_key=key,
        )  # fmt: skip

    async def fields(self) -> dict[str, str]:
        """The posted form. Raises Malformed or HttpProblem("unsupported-type")."""
        return await read_form(self.request)

    async def submit(
        self,
        operation: Operation,
        *,
        secrets: Collection[str] = (),
        labels: Mapping[str, str] | None = None,
        given: Mapping[str, Any] | None = None,
    ) -> Submitted:
        """Parse the posted form into the operation's request and perform it; see `forms.parse`.

        What the person can correct comes back as a form; what another page solves is raised."""
        posted = parse(await self.fields(), operation.request, secrets=secrets, labels=labels, given=given)
        if posted.request is None:
            return Submitted(form=posted.state, status=422)
        try:
            return Submitted(await self.perform(operation, posted.request, posted.idempotency_key))
        except errors.DomainError as error:
            if type(error) in ELSEWHERE or isinstance(error, errors.ApprovalNeeded):
                raise
            return Submitted(form=posted.failed(error), status=status_of(error), error=error)

    def render(self, template: str, status: int = 200, *, frames: bool = False, **data: Any) -> Response:
        """A page. `frames` is for pages that show the processor's card form (see edge.headers)."""
        headers = {"Cross-Origin-Embedder-Policy": "unsafe-none"} if frames else None
        response = render(template, self.view, status, headers, **data)
        notices.clear(self.request, response)
        return response

    def go(self, path: str, notice: str | None = None) -> RedirectResponse:
        """303 to a page of ours after a successful POST; `notice` is the code of a declared notice."""
        response = see_other(path)
        if notice is not None:
            notices.remember(response, notice)
        return response

    def next_or(self, default: str) -> str:
        """The page in `?next=` when it is one of ours, else `default`."""
        wanted = self.query("next")
        try:
            see_other(wanted)
        except ValueError:
            return default
        return wanted

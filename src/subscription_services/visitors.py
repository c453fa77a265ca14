"""Who asks: from a session cookie or a bearer token to an actor, and the links that this visitor sees."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from msgspec.structs import replace
from sqlalchemy import Connection
from starlette.requests import Request

from subscription_services import access, identity
from subscription_services.kernel import tokens
from subscription_services.kernel.actors import (
    Actor,
    Anonymous,
    Asker,
    ServiceAccount,
    Standing,
    Subscriber,
    System,
    TeamMember,
)
from subscription_services.kernel.errors import DamagedToken, NotSignedIn, SessionUnbound, SubjectErased
from subscription_services.kernel.perform import Kernel, perform
from subscription_services.kernel.ports import Keys
from subscription_services.kernel.words import as_words, joined, words
from subscription_services.web.call import Navigation, Visitor
from subscription_services.web.origin import cookies_of, header_of, origin_of
from subscription_services.web.page import Alarm, NavItem, Person

FOOTER = (
    NavItem("Security", "/security"),
    NavItem("API", "/api/openapi.json"),
)
VISITORS = (
    NavItem("Plans", "/plans"),
    NavItem("Security", "/security"),
    NavItem("Sign in", "/sign-in"),
    NavItem("Create account", "/sign-up", primary=True),
)
SUBSCRIBERS = (
    NavItem("Overview", "/account", icon="home"),
    NavItem("Plans", "/plans", icon="box"),
    NavItem("Subscriptions", "/subscriptions", icon="repeat", under="/subscriptions"),
    NavItem("Invoices", "/invoices", icon="receipt", under="/invoices"),
    NavItem("Payment methods", "/account/payment-methods", icon="card"),
    NavItem("Two-factor", "/account/two-factor", icon="shield", under="/account/two-factor"),
    NavItem("Devices", "/account/devices", icon="device"),
    NavItem("Activity", "/account/activity", icon="list"),
)
ACCOUNT = (
    NavItem("Profile", "/account/profile"),
    NavItem("Two-factor", "/account/two-factor"),
    NavItem("Devices", "/account/devices"),
    NavItem("Activity", "/account/activity"),
)


NO_ROLE = words("team, no role yet")
RECOVERING = Alarm(
    words("Somebody asked to get into your account"),
    words(
        "The request would work in some days, without your second factor or your address. If it was not you, or if you "
        "no longer need it, stop it."
    ),
    words("Stop it"), "/account/recovery/stop",
)  # fmt: skip
GLASS = Alarm(
    words("The glass is broken"),
    words(
        "Somebody used the sealed code and was lent access without anybody's consent. This stays here until somebody "
        "else has reviewed what was done and closed the review."
    ),
    words("See what was done"), link="/team/glass",
)  # fmt: skip
GLASS_TOLD = Alarm(GLASS.title, GLASS.text)
"""For who holds no role, and could not open the page."""
_SUBSCRIBER = Navigation(SUBSCRIBERS, ACCOUNT, FOOTER)
_STRANGER = Navigation(VISITORS, (), FOOTER)


@dataclass(frozen=True, slots=True)
class Front:
    """Answers `web.call.Site`'s questions about visitors."""

    kernel: Kernel
    origins: tuple[str, ...] = ()
    """Under which the service is reached: what a program may have signed."""

    def _nonce(self) -> dict[str, str]:
        """What the next proof of a program holds, ahead of being asked for (RFC 9449, 8.2)."""
        return {"DPoP-Nonce": access.new_nonce(self.kernel.keys.for_caller("access"), self.kernel.clock())}

    @property
    def places(self) -> dict[str, str]:
        """Pages that solve a problem of a kind."""
        return {
            "not-signed-in": "/sign-in",
            "session-unbound": "/session/renew",
            "step-up-needed": "/confirm",
            "second-factor-needed": "/account/two-factor",
            "approval-needed": "/team/approvals",
            "task-needed": "/team/tasks",
        }

    async def visitor(self, request: Request) -> Visitor:
        """The actor of a request: bearer token, session cookie, or nobody. Raises NotSignedIn for a bad token.

        A session that is bound and comes without proof is nobody, and says why."""
        scheme, token = _authorization(request)
        if _of_program(scheme, token):
            program = await access.service_account_of(self.kernel, _presented(request, scheme, token, self.origins))
            return Visitor(program, headers=self._nonce() if program.key else {})
        session = _session(self.kernel, request, scheme, token)
        if not session.token:
            return Visitor()
        try:
            actor = await self.kernel.store.read(lambda connection: session.actor(connection, self.kernel.clock()))
        except SessionUnbound as error:
            return Visitor(refused=error, held=session.held)
        except NotSignedIn:
            if scheme:
                raise
            return Visitor()
        await session.noted()
        return Visitor(
            actor, session.person(actor), session.held, alarms=session.alarms, waiting=session.waiting
        )  # fmt: skip

    def asker(self, request: Request) -> Asker | None:
        """Whoever holds the session of a request, to be found out where they are answered; None without a session."""
        scheme, token = _authorization(request)
        if _of_program(scheme, token):
            return None
        session = _session(self.kernel, request, scheme, token)
        return Asker(session.found, session.noted) if session.token else None

    def navigation(self, visitor: Visitor) -> Navigation:
        """Links for strangers, subscribers and the team."""
        match visitor.actor:
            case Subscriber():
                return _SUBSCRIBER
            case TeamMember() as member:
                links = access.team_navigation(member.roles, member.tasks, visitor.waiting, member.withheld)
                return Navigation(links, ACCOUNT, FOOTER)
            case Anonymous() | ServiceAccount() | System():
                return _STRANGER


class _Session:
    """The session that a request shows: by its cookie, or as the token of a person's program (the command line)."""

    __slots__ = ("_claims", "_kernel", "_person", "_request", "bearer", "held", "token")

    def __init__(self, kernel: Kernel, request: Request, token: str) -> None:
        self._kernel, self._request = kernel, request
        self.bearer, self.held = bool(token), ""
        # a program sends no cookie, so there is nothing to forge
        self.token = token or cookies_of(request.scope).get(identity.SESSION_COOKIE, "")
        self._person: identity.SignedInPerson | None = None
        self._claims: access.Claims | None = None

    def found(self, connection: Connection, now: datetime) -> tuple[Actor, Standing]:
        """See `kernel.actors.Asker`: all of it is read in this transaction, what a team member may do once."""
        person = self._resolved(connection, now)
        if person.kind != "team":
            actor = Subscriber(person.account, person.session, person.signed_in_at, person.second_factor)
            return actor, Standing(signed_in_at=actor.signed_in_at, second_factor=actor.second_factor)
        member = TeamMember(person.account, person.session, person.signed_in_at, second_factor=person.second_factor)
        standing = self._kernel.authority.standing(connection, member, now)
        return replace(
            member, roles=standing.roles, tasks=standing.tasks, withheld=standing.withheld
        ), standing  # fmt: skip

    def actor(self, connection: Connection, now: datetime) -> Subscriber | TeamMember:
        """Who holds it. Raises NotSignedIn; SessionUnbound when it comes from where it does not belong."""
        found = self._resolved(connection, now)
        if found.kind == "team":
            mine = self._kernel.keys.for_caller("access")
            claims = self._claims = access.claims_of(connection, mine, found.account, now)
            return TeamMember(
                found.account, found.session, found.signed_in_at, claims.roles, found.second_factor, claims.tasks,
                claims.withheld,
            )  # fmt: skip
        return Subscriber(found.account, found.session, found.signed_in_at, found.second_factor)

    def _resolved(self, connection: Connection, now: datetime) -> identity.SignedInPerson:
        keys = self._kernel.keys.for_caller("identity")
        try:
            found = identity.resolve_session(connection, keys, self.token, now)
        except SubjectErased:
            found = None
        if found is None:
            raise NotSignedIn()
        self.held = found.bound.held
        if not identity.shows(found.bound, self._shown(keys), now):
            raise SessionUnbound()
        self._person = found
        return found

    async def noted(self) -> None:
        """Write down that it is in use, where that is due."""
        if self._person is not None and self._person.touch_due:
            touch = identity.TouchSession(self._person.session)
            await perform(self._kernel, identity.touch_session, System("identity.sessions"), touch,
                          origin=origin_of(self._request, "page"))  # fmt: skip

    def person(self, actor: Actor) -> Person | None:
        """How the header of a page names them."""
        if self._person is None:
            return None
        if not isinstance(actor, TeamMember):
            return Person(self._person.name, self._person.email)
        detail = joined(*(as_words(role) for role in sorted(role.value for role in actor.roles))) or NO_ROLE
        return Person(self._person.name, detail)

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """What they see on every page until it is over."""
        mine = (RECOVERING,) if self._person is not None and self._person.recovering else ()
        if self._claims is None or not self._claims.glass:
            return mine
        return (*mine, GLASS if self._claims.roles else GLASS_TOLD)

    @property
    def waiting(self) -> dict[str, int]:
        """How much waits for them behind a link."""
        if self._claims is None:
            return {}
        claims = self._claims
        return {
            "/team/approvals": claims.approvals, "/team/tasks": claims.asked_tasks, "/team/reviews": claims.reviews,
            "/team/glass": claims.glass_reviews,
        }  # fmt: skip

    def _shown(self, keys: Keys) -> identity.Shown:
        request, cookies = self._request, cookies_of(self._request.scope)
        return identity.Shown(
            lambda: identity.network_of(keys, origin_of(request, "page")),
            cookies.get(identity.DEVICE_PROOF, ""), cookies.get(identity.SCRIPT_PROOF, ""),
            bearer=self.bearer, looks=request.method in ("GET", "HEAD"),
        )  # fmt: skip


def _session(kernel: Kernel, request: Request, scheme: str, token: str) -> _Session:
    """Raises DamagedToken for a token of a program that cannot have been ours."""
    if scheme != "bearer":
        return _Session(kernel, request, "")
    if token.startswith(tokens.PRODUCT) and not tokens.well_formed(token, tokens.PROGRAM_SESSION):
        raise DamagedToken()
    return _Session(kernel, request, token)


def _of_program(scheme: str, token: str) -> bool:
    """Whether it is the token of a service account; nothing else is proved by DPoP."""
    return scheme == "dpop" or (scheme == "bearer" and token.startswith(access.TOKEN_PREFIX))


def _presented(request: Request, scheme: str, token: str, origins: tuple[str, ...]) -> access.Presented:
    proofs = tuple(str(value, "latin-1") for name, value in request.scope["headers"] if name == b"dpop")
    path = str(request.scope.get("raw_path") or b"", "latin-1").partition("?")[0] or quote(request.scope["path"])
    return access.Presented(scheme, token, proofs, request.method, tuple(origin + path for origin in origins))


def _authorization(request: Request) -> tuple[str, str]:
    """Scheme (lower case) and token of RFC 9110 11.6.2; both empty where there are none."""
    scheme, _, token = (header_of(request, b"authorization") or "").partition(" ")
    return scheme.lower(), token.strip()

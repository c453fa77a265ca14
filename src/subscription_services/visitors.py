"""Who asks: from a session cookie or a bearer token to an actor, and the links that this visitor sees."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from subscription_services import access, identity
from subscription_services.kernel import tokens
from subscription_services.kernel.actors import Anonymous, ServiceAccount, Subscriber, System, TeamMember
from subscription_services.kernel.errors import DamagedToken, NotSignedIn, SessionUnbound, SubjectErased
from subscription_services.kernel.perform import Kernel, perform
from subscription_services.kernel.words import as_words, joined, words
from subscription_services.web.call import Navigation, Visitor, origin_of
from subscription_services.web.origin import header_of
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
_SUBSCRIBER = Navigation(SUBSCRIBERS, ACCOUNT, FOOTER)
_STRANGER = Navigation(VISITORS, (), FOOTER)


@dataclass(frozen=True, slots=True)
class Front:
    """Answers `web.call.Site`'s questions about visitors."""

    kernel: Kernel

    @property
    def places(self) -> dict[str, str]:
        """Pages that solve a problem of a kind."""
        return {
            "not-signed-in": "/sign-in",
            "session-unbound": "/session/renew",
            "step-up-needed": "/confirm",
            "second-factor-needed": "/account/two-factor",
        }

    async def visitor(self, request: Request) -> Visitor:
        """The actor of a request: bearer token, session cookie, or nobody. Raises NotSignedIn for a bad token.

        A session that is bound and comes without proof is nobody, and says why."""
        scheme, _, token = (header_of(request, b"authorization") or "").partition(" ")
        cookie = request.cookies.get(identity.SESSION_COOKIE)
        if scheme.lower() == "bearer":
            if token.startswith(access.TOKEN_PREFIX):
                return Visitor(await access.service_account_of(self.kernel, token.strip()))
            # a person's program (the command line) sends its session this way: no cookie, so nothing to forge
            cookie = token.strip()
            if cookie.startswith(tokens.PRODUCT) and not tokens.well_formed(cookie, tokens.PROGRAM_SESSION):
                raise DamagedToken()
        if not cookie:
            return Visitor()
        now = self.kernel.clock()
        keys = self.kernel.keys.for_caller("identity")
        try:
            found = await self.kernel.store.read(lambda c: identity.resolve_session(c, keys, cookie, now))
        except SubjectErased:
            found = None
        if found is None:
            if scheme:
                raise NotSignedIn()
            return Visitor()
        device, script = (request.cookies.get(name, "") for name in (identity.DEVICE_PROOF, identity.SCRIPT_PROOF))
        shown = identity.Shown(
            lambda: identity.network_of(keys, origin_of(request, "page")), device, script,
            bearer=scheme.lower() == "bearer", looks=request.method in ("GET", "HEAD"),
        )  # fmt: skip
        if not identity.shows(found.bound, shown, now):
            return Visitor(refused=SessionUnbound(), held=found.bound.held)
        if found.touch_due:
            touch = identity.TouchSession(found.session)
            await perform(self.kernel, identity.touch_session, System("identity.sessions"), touch,
                          origin=origin_of(request, "page"))  # fmt: skip
        person = Person(found.name, found.email)
        alarm = RECOVERING if found.recovering else None
        if found.kind == "team":
            roles = await self.kernel.store.read(lambda c: access.roles_of(c, found.account, now))
            detail = joined(*(as_words(role) for role in sorted(role.value for role in roles))) or NO_ROLE
            member = TeamMember(found.account, found.session, found.signed_in_at, roles, found.second_factor)
            return Visitor(member, Person(found.name, detail), found.bound.held, alarm=alarm)
        subscriber = Subscriber(found.account, found.session, found.signed_in_at, found.second_factor)
        return Visitor(subscriber, person, found.bound.held, alarm=alarm)

    def navigation(self, visitor: Visitor) -> Navigation:
        """Links for strangers, subscribers and the team."""
        match visitor.actor:
            case Subscriber():
                return _SUBSCRIBER
            case TeamMember() as member:
                return Navigation(access.team_navigation(member.roles), ACCOUNT, FOOTER)
            case Anonymous() | ServiceAccount() | System():
                return _STRANGER

"""Who may and who may not, for each operation of this room."""

from __future__ import annotations

import os
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pyotp

from subscription_services.access import Bootstrap, FirstPerson
from subscription_services.identity import IdentitySettings
from subscription_services.identity.model import Purpose
from subscription_services.identity.operations.binding import BindDevice, ProveKey, RenewDevice
from subscription_services.identity.operations.devices import (
    ChooseHours,
    ChooseIdle,
    EndOtherSessions,
    EndSession,
    ListDevices,
)
from subscription_services.identity.operations.passkey_sign_in import BeginPasskeyFactor
from subscription_services.identity.operations.people import Enrol, FindPerson
from subscription_services.identity.operations.profile import (
    ChangeName,
    ChangePassword,
    CloseAccount,
    ShowActivity,
    ShowProfile,
)  # fmt: skip
from subscription_services.identity.operations.reset import AskReset, ResetPassword
from subscription_services.identity.operations.second_factor import (
    ConfirmTotp,
    Nothing,
    RemoveFactor,
    RenameFactor,
)  # fmt: skip
from subscription_services.identity.operations.sign_in import ConfirmItIsMe, SignIn, SignInCode, SignOut, TouchSession
from subscription_services.identity.operations.sign_up import (
    CreateProbe,
    IssueLink,
    ResendVerification,
    SignUp,
    VerifyAddress,
)  # fmt: skip
from subscription_services.identity.operations.single_sign_on import ForgetSignOn, SignInOidc
from subscription_services.identity.operations.unlock import AskUnlock, Unlock
from subscription_services.identity.sign_on import configure_sign_on, new_flow, sign_on
from subscription_services.kernel.actors import Anonymous, Role, Subscriber, System
from subscription_services.testing import Case, World
from subscription_services.testing.authenticator import Authenticator
from subscription_services.testing.cases import Act
from subscription_services.testing.people import PASSWORD
from tests.identity.keyed import BROWSER, Key, offered, page_session
from tests.identity.keyholder import again, alone, begun, password_right, register, second, with_passkey
from tests.identity.provider import CLIENT, SECRET, lasting
from tests.identity.slow_cases import CASES as SLOW

STRANGER = Anonymous()
LETTERS = System("identity.letters")
NEW = "another good password 9"
NO_TOKEN = "x" * 43


def _unverified(world: World, email: str = "new@example.org") -> str:
    world.do("identity.sign_up", STRANGER, SignUp(email, "New", PASSWORD))
    return world.account(email)


def _link(world: World, account: str, purpose: Purpose = Purpose.VERIFY) -> str:
    return str(world.do("identity.issue_link", LETTERS, IssueLink(account, purpose)).token)


def with_totp(world: World, email: str = "two@example.org") -> tuple[Subscriber, str]:
    """A subscriber with two-factor sign-in, and the secret. The code of the present step is used up."""
    actor = world.subscriber(email)
    secret = world.do("identity.start_totp", actor, Nothing()).secret
    world.do("identity.confirm_totp", actor, ConfirmTotp(pyotp.TOTP(secret).at(world.clock())))
    world.clock.advance(seconds=30)
    return Subscriber(actor.id, actor.session, world.clock(), True), secret


def _code_due(world: World) -> Act:
    _, secret = with_totp(world)
    challenge = world.do("identity.sign_in", STRANGER, SignIn("two@example.org", PASSWORD)).challenge
    return STRANGER, SignInCode(challenge, pyotp.TOTP(secret).at(world.clock()))


def _confirm(world: World) -> Act:
    actor = world.subscriber()
    secret = world.do("identity.start_totp", actor, Nothing()).secret
    return actor, ConfirmTotp(pyotp.TOTP(secret).at(world.clock()))


def _pending(world: World) -> Act:
    actor = world.subscriber()
    world.do("identity.start_totp", actor, Nothing())
    return actor, Nothing()


def _own(world: World, actor: Subscriber) -> str:
    """The id of the actor's first factor."""
    return str(world.do("identity.second_factor", actor, Nothing()).factors[0].id)


def _rename(world: World, holder: tuple[Subscriber, object]) -> Act:
    return holder[0], RenameFactor(_own(world, holder[0]), "At home")


def _remove(world: World, holder: tuple[Subscriber, object]) -> Act:
    return holder[0], RemoveFactor(_own(world, holder[0]))


def _add_passkey(world: World, maker: Authenticator) -> Act:
    actor = world.subscriber()
    return actor, begun(world, actor, maker)


def _nobody_unlocked(world: World, step: str) -> Act:
    """A passkey that was only touched where it must be unlocked."""
    actor, maker = with_passkey(world)
    maker.flags &= ~4
    return (STRANGER, alone(world, maker)) if step == "sign-in" else (actor, again(world, actor, maker))


def _touched(world: World) -> Act:
    """After the password, being there is enough."""
    _, maker = with_passkey(world)
    maker.flags &= ~4
    return STRANGER, second(world, maker, password_right(world))


def _somebody_elses_passkey(world: World) -> Act:
    with_passkey(world)
    register(world, world.subscriber(), maker := Authenticator())
    return STRANGER, second(world, maker, password_right(world))


def _confirm_again(world: World) -> Act:
    actor, maker = with_passkey(world)
    return actor, again(world, actor, maker)


def _long_ago(world: World, actor: Subscriber) -> Subscriber:
    """The same session when its proof of identity is too old for what is sensitive."""
    world.clock.advance(minutes=20)
    return actor


def _sign_on(world: World) -> Act:
    """Somebody invited comes back from the provider."""
    provider = lasting()
    provider.now = world.clock
    settings = IdentitySettings(oidc_issuer=provider.url, oidc_client_id=CLIENT, oidc_client_secret=SECRET)
    configure_sign_on(settings, "https://localhost:8443", sandbox=True)
    world.do("access.bootstrap", System("cli.bootstrap"), Bootstrap([FirstPerson("boss@example.org", "Boss")]))
    flow = new_flow(world.house.ring.for_caller("identity"), os.urandom, world.clock(), "/account")
    configured = sign_on()
    assert configured is not None
    address = configured.provider.authorization_url(
        state=flow.state, nonce=flow.nonce, verifier=flow.verifier, longest=60, again=False
    )
    answer = dict(parse_qsl(urlsplit(provider.approve(address, email="boss@example.org")).query))
    return STRANGER, SignInOidc(flow.cookie, **answer)


def _enrol(world: World) -> Act:
    world.do("access.bootstrap", System("cli.bootstrap"), Bootstrap([FirstPerson("boss@example.org", "Boss")]))
    account = world.account("boss@example.org")
    return STRANGER, Enrol(_link(world, account, Purpose.ENROL), PASSWORD)


def after(done: object, request: msgspec.Struct) -> Act:
    """A stranger's request once something else was done."""
    return STRANGER, request


def _somebody_elses_session(world: World) -> Act:
    return world.subscriber(), EndSession(world.subscriber().session)


def _own_session(world: World) -> Act:
    actor = world.subscriber()
    return actor, EndSession(actor.session)


def _find(world: World) -> FindPerson:
    world.subscriber("ada@example.org")
    return FindPerson("ada@example.org", "asked for help")


def _bind(world: World) -> tuple[System, BindDevice]:
    key = Key()
    return BROWSER, BindDevice(key.proof(offered(world, page_session(world).token), first=True))


def _renew(world: World) -> Act:
    bound = world.do("identity.bind_device", *_bind(world))
    return BROWSER, RenewDevice(bound.session)


CASES = [
    Case(
        "identity.sign_up",
        lambda w: (STRANGER, SignUp("ada@example.org", "Ada", PASSWORD)),
        lambda w: (STRANGER, SignUp("ada@example.org", "Ada", "password1234")),
    ),
    Case(
        "identity.resend_verification",
        lambda w: after(_unverified(w), ResendVerification("new@example.org")),
        lambda w: (STRANGER, ResendVerification("no address")),
    ),
    Case(
        "identity.verify_address",
        lambda w: (STRANGER, VerifyAddress(_link(w, _unverified(w)), password=PASSWORD)),
        lambda w: (STRANGER, VerifyAddress(NO_TOKEN)),
    ),
    Case(
        "identity.ask_reset",
        lambda w: after(w.subscriber("ada@example.org"), AskReset("ada@example.org")),
        lambda w: (STRANGER, AskReset("no address")),
    ),
    Case(
        "identity.reset_password",
        lambda w: (STRANGER, ResetPassword(_link(w, w.subscriber().id, Purpose.RESET), NEW)),
        lambda w: (STRANGER, ResetPassword(_link(w, w.subscriber().id), NEW)),
    ),
    Case(
        "identity.ask_unlock",
        lambda w: after(w.subscriber("ada@example.org"), AskUnlock("ada@example.org")),
        lambda w: (STRANGER, AskUnlock("no address")),
    ),
    Case(
        "identity.unlock",
        lambda w: (STRANGER, Unlock(_link(w, w.subscriber().id, Purpose.UNLOCK))),
        lambda w: (STRANGER, Unlock(_link(w, w.subscriber().id, Purpose.RESET))),
    ),
    Case(
        "identity.issue_link",
        lambda w: (LETTERS, IssueLink(_unverified(w), Purpose.VERIFY)),
        lambda w: (w.team(*Role), IssueLink(_unverified(w), Purpose.VERIFY)),
    ),
    Case(
        "identity.create_probe",
        lambda w: (System("identity.checks"), CreateProbe("probe@example.org", "Probe", PASSWORD)),
        lambda w: (w.subscriber(), CreateProbe("probe@example.org", "Probe", PASSWORD)),
    ),
    Case(
        "identity.sign_in",
        lambda w: after(w.subscriber("ada@example.org"), SignIn("ada@example.org", PASSWORD)),
        lambda w: after(w.subscriber("ada@example.org"), SignIn("ada@example.org", NEW)),
    ),
    Case("identity.sign_in_code", _code_due, lambda w: (STRANGER, SignInCode(NO_TOKEN, "123456"))),
    Case("identity.bind_device", _bind, lambda w: (w.subscriber(), BindDevice(_bind(w)[1].proof))),
    Case("identity.renew_device", _renew, lambda w: (w.subscriber(), RenewDevice("x" * 43))),
    Case(
        "identity.prove_key",
        lambda w: (STRANGER, ProveKey(page_session(w).token)),
        lambda w: (STRANGER, ProveKey(NO_TOKEN)),
    ),
    Case("identity.sign_out", lambda w: (w.subscriber(), SignOut()), lambda w: (STRANGER, SignOut())),
    Case(
        "identity.touch_session",
        lambda w: (System("identity.sessions"), TouchSession(w.subscriber().session)),
        lambda w: (w.subscriber(), TouchSession(w.subscriber().session)),
    ),
    Case(
        "identity.confirm_it_is_me",
        lambda w: (w.subscriber(), ConfirmItIsMe(PASSWORD)),
        lambda w: (w.subscriber(), ConfirmItIsMe(NEW)),
    ),
    Case("identity.second_factor", lambda w: (w.subscriber(), Nothing()), lambda w: (STRANGER, Nothing())),
    Case("identity.pending_totp", _pending, lambda w: (w.subscriber(), Nothing())),
    Case(
        "identity.start_totp",
        lambda w: (with_totp(w)[0], Nothing()),
        lambda w: (_long_ago(w, w.subscriber()), Nothing()),
    ),
    Case("identity.confirm_totp", _confirm, lambda w: (w.subscriber(), ConfirmTotp("123456"))),
    Case(
        "identity.new_recovery_codes",
        lambda w: (with_totp(w)[0], Nothing()),
        lambda w: (_long_ago(w, with_totp(w)[0]), Nothing()),
    ),
    Case(
        "identity.rename_totp",
        lambda w: _rename(w, with_totp(w)),
        lambda w: (w.subscriber(), _rename(w, with_totp(w))[1]),
    ),
    Case(
        "identity.remove_totp",
        lambda w: _remove(w, with_totp(w)),
        lambda w: (w.subscriber(), _remove(w, with_totp(w))[1]),
    ),
    Case(
        "identity.begin_passkey",
        lambda w: (w.subscriber(), Nothing()),
        lambda w: (_long_ago(w, w.subscriber()), Nothing()),
    ),
    Case(
        "identity.register_passkey",
        lambda w: _add_passkey(w, Authenticator()),
        lambda w: _add_passkey(w, Authenticator(flags=1)),
    ),
    Case(
        "identity.rename_passkey",
        lambda w: _rename(w, with_passkey(w)),
        lambda w: (w.subscriber(), _rename(w, with_passkey(w))[1]),
    ),
    Case(
        "identity.remove_passkey",
        lambda w: _remove(w, with_passkey(w)),
        lambda w: (w.subscriber(), _remove(w, with_passkey(w))[1]),
    ),
    Case("identity.begin_passkey_sign_in", lambda w: (STRANGER, Nothing()), None),
    Case(
        "identity.passkey_sign_in",
        lambda w: (STRANGER, alone(w, with_passkey(w)[1])),
        lambda w: _nobody_unlocked(w, "sign-in"),
    ),
    Case(
        "identity.begin_passkey_factor",
        lambda w: after(with_passkey(w), BeginPasskeyFactor(password_right(w))),
        lambda w: (STRANGER, BeginPasskeyFactor(NO_TOKEN)),
    ),
    Case("identity.passkey_factor", _touched, _somebody_elses_passkey),
    Case(
        "identity.begin_passkey_confirm",
        lambda w: (w.subscriber(), Nothing()),
        lambda w: (STRANGER, Nothing()),
    ),
    Case("identity.confirm_with_passkey", _confirm_again, lambda w: _nobody_unlocked(w, "confirm")),
    Case("identity.devices", lambda w: (w.subscriber(), ListDevices()), lambda w: (STRANGER, ListDevices())),
    Case(
        "identity.choose_idle",
        lambda w: (w.subscriber(), ChooseIdle(5)),
        lambda w: (_long_ago(w, w.subscriber()), ChooseIdle(5)),
    ),
    Case(
        "identity.choose_hours",
        lambda w: (w.subscriber(), ChooseHours(2)),
        lambda w: (_long_ago(w, w.subscriber()), ChooseHours(2)),
    ),
    Case("identity.end_session", _own_session, _somebody_elses_session),
    Case(
        "identity.end_other_sessions",
        lambda w: (w.subscriber(), EndOtherSessions()),
        lambda w: (STRANGER, EndOtherSessions()),
    ),
    Case("identity.profile", lambda w: (w.subscriber(), ShowProfile()), lambda w: (STRANGER, ShowProfile())),
    Case(
        "identity.change_name", lambda w: (w.subscriber(), ChangeName("Grace")), lambda w: (STRANGER, ChangeName("G"))
    ),
    Case(
        "identity.change_password",
        lambda w: (w.subscriber(), ChangePassword(PASSWORD, NEW)),
        lambda w: (w.subscriber(), ChangePassword(NEW, NEW)),
    ),
    Case(
        "identity.close_account",
        lambda w: (w.subscriber(), CloseAccount()),
        lambda w: (_long_ago(w, w.subscriber()), CloseAccount()),
    ),
    Case("identity.activity", lambda w: (w.subscriber(), ShowActivity()), lambda w: (STRANGER, ShowActivity())),
    Case(
        "identity.find_person",
        lambda w: (w.team(Role.SUPPORT), _find(w)),
        lambda w: (w.subscriber(), _find(w)),
    ),
    Case("identity.sign_in_oidc", _sign_on, lambda w: (STRANGER, SignInOidc("x"))),
    Case(
        "identity.forget_sign_on",
        lambda w: (w.team(Role.ADMINISTRATOR), ForgetSignOn(w.team().id)),
        lambda w: (w.team(Role.SECURITY), ForgetSignOn(w.team().id)),
    ),
    Case("identity.enrol", _enrol, lambda w: (STRANGER, Enrol(NO_TOKEN, PASSWORD))),
    *SLOW,
]

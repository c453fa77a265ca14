"""Who may and who may not, for each operation of this room."""

from __future__ import annotations

import msgspec
import pyotp

from subscription_services.access import Bootstrap
from subscription_services.identity.model import Purpose
from subscription_services.identity.operations.binding import BindDevice, ProveKey, RenewDevice
from subscription_services.identity.operations.devices import (
    ChooseHours,
    ChooseIdle,
    EndOtherSessions,
    EndSession,
    ListDevices,
)
from subscription_services.identity.operations.people import Enrol, FindPerson
from subscription_services.identity.operations.profile import (
    ChangeName,
    ChangePassword,
    CloseAccount,
    ShowActivity,
    ShowProfile,
)  # fmt: skip
from subscription_services.identity.operations.reset import AskReset, ResetPassword
from subscription_services.identity.operations.second_factor import ConfirmTotp, Nothing
from subscription_services.identity.operations.sign_in import ConfirmItIsMe, SignIn, SignInCode, SignOut, TouchSession
from subscription_services.identity.operations.sign_up import (
    CreateProbe,
    IssueLink,
    ResendVerification,
    SignUp,
    VerifyAddress,
)  # fmt: skip
from subscription_services.identity.operations.unlock import AskUnlock, Unlock
from subscription_services.kernel.actors import Anonymous, Role, Subscriber, System
from subscription_services.testing import Case, World
from subscription_services.testing.cases import Act
from subscription_services.testing.people import PASSWORD
from tests.identity.keyed import BROWSER, Key, offered, page_session

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


def _long_ago(world: World, actor: Subscriber) -> Subscriber:
    """The same session when its proof of identity is too old for what is sensitive."""
    world.clock.advance(minutes=20)
    return actor


def _enrol(world: World) -> Act:
    world.do("access.bootstrap", System("cli.bootstrap"), Bootstrap("boss@example.org", "Boss"))
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
    Case("identity.start_totp", lambda w: (w.subscriber(), Nothing()), lambda w: (with_totp(w)[0], Nothing())),
    Case("identity.confirm_totp", _confirm, lambda w: (w.subscriber(), ConfirmTotp("123456"))),
    Case(
        "identity.new_recovery_codes",
        lambda w: (with_totp(w)[0], Nothing()),
        lambda w: (_long_ago(w, with_totp(w)[0]), Nothing()),
    ),
    Case(
        "identity.remove_totp",
        lambda w: (with_totp(w)[0], Nothing()),
        lambda w: (w.team(Role.SUPPORT), Nothing()),
    ),
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
    Case("identity.enrol", _enrol, lambda w: (STRANGER, Enrol(NO_TOKEN, PASSWORD))),
]

"""What keeps an account its owner's: wrong codes counted, half-finished sign-ins ended, nothing left when it closes."""

from __future__ import annotations

import itertools

import bcrypt
import pyotp
import pytest
from sqlalchemy import Table, func, select

from subscription_services.identity import model
from subscription_services.identity.codes import hours_off
from subscription_services.identity.configured import configure
from subscription_services.identity.errors import (
    AddressTaken,
    ChallengeEnded,
    TooManyCodes,
    WrongCode,
    WrongCredentials,
)
from subscription_services.identity.operations.profile import ChangePassword, CloseAccount, ShowActivity
from subscription_services.identity.operations.second_factor import ConfirmTotp, Nothing
from subscription_services.identity.operations.sign_in import ConfirmItIsMe, SignIn, SignInCode
from subscription_services.identity.operations.sign_up import CreateProbe, SignUp
from subscription_services.identity.settings import IdentitySettings
from subscription_services.kernel.actors import Anonymous, System
from subscription_services.kernel.errors import StepUpNeeded
from subscription_services.testing import World
from subscription_services.testing.people import PASSWORD

from .cases import with_totp

STRANGER = Anonymous()
EMAIL = "two@example.org"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def _challenge(world: World) -> str:
    return str(world.do("identity.sign_in", STRANGER, SignIn(EMAIL, PASSWORD)).challenge)


def _wrong(secret: str, world: World) -> str:
    now = int(world.clock().timestamp())
    near = {pyotp.TOTP(secret).at(now + off * 30) for off in range(-2, 3)}
    return next(code for code in (f"{number:06}" for number in itertools.count(100000)) if code not in near)


def _rows(world: World, table: Table, account: str) -> int:
    with world.house.store.reading() as connection:
        return int(connection.execute(select(func.count()).where(table.c.account == account)).scalar_one())


def test_wrong_codes_count_over_all_sign_ins_of_an_account(world: World) -> None:
    _, secret = with_totp(world, EMAIL)
    for _ in range(4):
        challenge = _challenge(world)
        for _ in range(5):
            with pytest.raises(WrongCode):
                world.do("identity.sign_in_code", STRANGER, SignInCode(challenge, _wrong(secret, world)))
        with pytest.raises(ChallengeEnded):
            world.do("identity.sign_in_code", STRANGER, SignInCode(challenge, pyotp.TOTP(secret).at(world.clock())))
    with pytest.raises(TooManyCodes):
        world.do("identity.sign_in_code", STRANGER, SignInCode(_challenge(world), pyotp.TOTP(secret).at(world.clock())))
    world.clock.advance(minutes=61)
    code = pyotp.TOTP(secret).at(world.clock())
    assert world.do("identity.sign_in_code", STRANGER, SignInCode(_challenge(world), code)).token


def test_a_new_password_ends_sign_ins_begun_with_the_old_one(world: World) -> None:
    actor, secret = with_totp(world, EMAIL)
    begun = _challenge(world)
    world.do("identity.change_password", actor, ChangePassword(PASSWORD, "a different passphrase 3"))
    with pytest.raises(ChallengeEnded):
        world.do("identity.sign_in_code", STRANGER, SignInCode(begun, pyotp.TOTP(secret).at(world.clock())))


def test_setting_up_a_second_factor_needs_a_fresh_sign_in(world: World) -> None:
    actor = world.subscriber(EMAIL)
    world.do("identity.start_totp", actor, Nothing())
    world.clock.advance(minutes=16)
    for name, request in (
        ("identity.start_totp", Nothing()),
        ("identity.pending_totp", Nothing()),
        ("identity.confirm_totp", ConfirmTotp("123456")),
    ):
        with pytest.raises(StepUpNeeded):
            world.do(name, actor, request)
    world.do("identity.confirm_it_is_me", actor, ConfirmItIsMe(PASSWORD))
    # the claim of the page is that of the new sign-in, as the next request would read it
    fresh = type(actor)(actor.id, actor.session, world.clock(), False)
    assert world.do("identity.pending_totp", fresh, Nothing()).secret


@pytest.mark.parametrize("minutes", [-780, -120, -60, -20, 20, 60, 90, 330 * 2, 840])
def test_a_clock_that_is_off_is_named(world: World, minutes: int) -> None:
    actor = world.subscriber(EMAIL)
    secret = world.do("identity.start_totp", actor, Nothing()).secret
    shown = pyotp.TOTP(secret).at(int(world.clock().timestamp()) + minutes * 60)
    with pytest.raises(
        WrongCode, match=f"about {abs(minutes)} minutes {'ahead' if minutes > 0 else 'behind'}"
    ) as caught:
        world.do("identity.confirm_totp", actor, ConfirmTotp(shown))
    assert "09:00 UTC" in caught.value.fields["code"]


def test_a_stranger_learns_nothing_of_other_times(world: World) -> None:
    _, secret = with_totp(world, EMAIL)
    later = pyotp.TOTP(secret).at(int(world.clock().timestamp()) + 3600)
    texts = []
    for code in (later, _wrong(secret, world)):
        with pytest.raises(WrongCode) as caught:
            world.do("identity.sign_in_code", STRANGER, SignInCode(_challenge(world), code))
        texts.append(caught.value.text)
    assert texts[0] == texts[1]


def test_a_code_of_no_time_is_no_clock_that_is_off(world: World) -> None:
    assert hours_off(SECRET, "x", world.clock()) is None
    assert hours_off(SECRET, "\ud800", world.clock()) is None


def test_nothing_that_opens_an_account_outlives_it(world: World) -> None:
    actor, _ = with_totp(world, EMAIL)
    _challenge(world)
    assert (_rows(world, model.totp, actor.id), _rows(world, model.recovery_code, actor.id)) == (1, 10)
    world.do("identity.close_account", actor, CloseAccount())
    assert (_rows(world, model.totp, actor.id), _rows(world, model.recovery_code, actor.id)) == (0, 0)
    with world.house.store.reading() as connection:
        found = connection.execute(select(model.account.c.verifier, model.account.c.email_index)).all()
        waiting = connection.execute(select(model.challenge.c.used_at)).scalars().all()
    assert (None, None) in [tuple(row) for row in found]
    assert None not in waiting


def test_an_old_cheaper_verifier_costs_a_stranger_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in bcrypt's own unit: a hash at cost n is 2^n rounds."""
    world.subscriber(EMAIL)
    configure(IdentitySettings(bcrypt_cost=7), sandbox=True)
    with pytest.raises(WrongCredentials):
        world.do("identity.sign_in", STRANGER, SignIn("warm@example.org", "makes the decoy"))
    rounds: list[int] = []
    check, make = bcrypt.checkpw, bcrypt.hashpw

    def checkpw(password: bytes, hashed: bytes) -> bool:
        rounds.append(1 << int(hashed.split(b"$")[2]))
        return check(password, hashed)

    def hashpw(password: bytes, salt: bytes) -> bytes:
        rounds.append(1 << int(salt.split(b"$")[2]))
        return make(password, salt)

    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    monkeypatch.setattr(bcrypt, "hashpw", hashpw)
    totals = []
    for email in (EMAIL, "nobody@example.org"):
        rounds.clear()
        with pytest.raises(WrongCredentials):
            world.do("identity.sign_in", STRANGER, SignIn(email, "not the password at all"))
        totals.append(sum(rounds))
    assert totals == [128, 128]


def test_a_probe_is_made_once_and_renewed(world: World) -> None:
    system = System("identity.checks")
    probe = CreateProbe("probe@probe.test", "Live check", PASSWORD)
    first = world.do("identity.create_probe", system, probe)
    signed = world.do("identity.sign_in", STRANGER, SignIn(probe.email, PASSWORD))
    again = CreateProbe(probe.email, "Live check", "another good password 9")
    assert world.do("identity.create_probe", system, again).id == first.id
    with pytest.raises(WrongCredentials):
        world.do("identity.sign_in", STRANGER, SignIn(probe.email, PASSWORD))
    with world.house.store.reading() as connection:
        ended = select(model.session.c.end_reason).where(model.session.c.id == signed.id)
        assert connection.execute(ended).scalar_one() == "probe renewed"
    world.subscriber(EMAIL)
    with pytest.raises(AddressTaken):
        world.do("identity.create_probe", system, CreateProbe(EMAIL, "Live check", PASSWORD))


def test_history_holds_ones_own_refusals_and_pages_without_gaps(world: World) -> None:
    actor = world.subscriber(EMAIL)
    for number in range(7):
        world.clock.advance(seconds=61)
        with pytest.raises(WrongCredentials):
            world.do("identity.confirm_it_is_me", actor, ConfirmItIsMe(f"wrong {number}"))
    # a refusal before the transaction knows no subject: only the actor tells whose it is
    world.clock.advance(minutes=16)
    with pytest.raises(StepUpNeeded):
        world.do("identity.close_account", actor, CloseAccount())
    world.do("identity.sign_up", STRANGER, SignUp("other@example.org", "Other", PASSWORD))
    whole = world.do("identity.activity", actor, ShowActivity(limit=200)).entries
    assert [entry.action for entry in whole].count("identity.confirm_it_is_me") == 7
    assert [entry.reason for entry in whole if entry.action == "identity.close_account"] == ["step-up-needed"]
    pieces, after = [], ""
    while True:
        page = world.do("identity.activity", actor, ShowActivity(after, 3))
        pieces += page.entries
        after = page.next
        if not after or len(pieces) > 100:
            break
    ids = [entry.id for entry in pieces]
    assert len(ids) == len(set(ids))
    known = {entry.id for entry in whole}
    assert [entry.id for entry in pieces if entry.id in known] == [entry.id for entry in whole]


def test_the_letter_to_an_unproved_address_holds_nothing_that_a_stranger_typed(world: World) -> None:
    from subscription_services.identity.letters import LETTERS
    from subscription_services.mail import SiteFacts

    world.do("identity.sign_up", STRANGER, SignUp(EMAIL, "Visit https://evil.example now", PASSWORD))
    kinds = {kind.name: kind for kind in LETTERS}
    site = SiteFacts("https://localhost:8443", "Subscription Services", "support@example.org")
    compose = kinds["identity.verify_address"].compose
    letter = world.run(compose(world.house.kernel, site, world.account(EMAIL), {}))
    assert letter is not None
    assert "evil" not in letter.subject + letter.text
    assert "https://localhost:8443/verify?token=" in letter.text

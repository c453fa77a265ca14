"""The team's pages of recoveries: facts, a decision with its reason, never about oneself."""

from __future__ import annotations

from subscription_services.kernel.actors import Anonymous, Role
from subscription_services.testing import World
from tests.access.test_pages import Asking, ask
from tests.identity.browsing import words_of
from tests.identity.cases import with_totp
from tests.identity.slowly import ask_recovery, state_of

__all__ = ["ask"]


def test_support_looks_and_decides_with_a_reason(world: World, ask: Asking) -> None:
    with_totp(world)
    identifier = ask_recovery(world)
    support, path = world.team(Role.SUPPORT), f"/team/recoveries/{identifier}"
    listed = ask(support, "/team/recoveries")
    assert "t…@e….org" in listed.text and path in listed.text
    shown = words_of(ask(support, path))
    assert "The right password" in shown and "127.0.…" in shown and "Approve it" in shown
    empty = ask(support, f"{path}/approve", reason="")
    assert empty.status_code == 422 and 'id="f-reason-error"' in empty.text
    assert state_of(world, identifier) == "open"
    assert ask(support, f"{path}/approve", reason="called back").headers["location"] == "/team/recoveries"
    assert state_of(world, identifier) == "approved"
    again = ask(support, f"{path}/refuse", reason="changed my mind")
    assert again.status_code == 403 and "This request is over" in words_of(again)
    assert "Approve it" not in words_of(ask(support, path))


def test_a_team_members_request_shows_no_button_to_support_or_to_themselves(world: World, ask: Asking) -> None:
    boss, other = world.team(Role.ADMINISTRATOR), world.team(Role.ADMINISTRATOR)
    identifier = ask_recovery(world, "team1@example.org")
    path = f"/team/recoveries/{identifier}"
    assert "An administrator decides" in words_of(ask(world.team(Role.SUPPORT), path))
    assert "Somebody else has to decide" in words_of(ask(boss, path))
    assert ask(boss, f"{path}/approve-team", reason="it is me").status_code == 403
    assert ask(other, f"{path}/refuse-team", reason="not on the phone").headers["location"] == "/team/recoveries"
    assert state_of(world, identifier) == "refused"


def test_an_old_sign_in_is_confirmed_first_and_strangers_find_nothing(world: World, ask: Asking) -> None:
    with_totp(world)
    identifier = ask_recovery(world)
    support, path = world.team(Role.SUPPORT), f"/team/recoveries/{identifier}"
    world.clock.advance(minutes=20)
    assert ask(support, path).headers["location"] == f"/confirm?next={path}"
    assert ask(support, f"{path}/approve", reason="called").headers["location"] == f"/confirm?next={path}"
    assert ask(Anonymous(), path).headers["location"].startswith("/sign-in")
    assert ask(world.team(Role.BILLING), path).status_code == 403

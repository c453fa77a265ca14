"""The pages of owners, keys and what is not used: one step each, and words that say what happens."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from subscription_services.access import AccessSettings, configure
from subscription_services.access.operations.log import SearchLog
from subscription_services.access.operations.people import People
from subscription_services.access.operations.service_accounts import CreateServiceAccount, IssueToken
from subscription_services.kernel.actors import Role
from subscription_services.testing import World

from .granting import signed_in_again
from .proving import new_key, public
from .test_pages import Asking, ask  # noqa: F401  the fixture
from .test_unused import actor, report


def test_unused_things_are_taken_away_with_one_button_each(world: World, ask: Asking) -> None:  # noqa: F811
    boss, idle = world.team(Role.ADMINISTRATOR), world.team(Role.BILLING)
    account = world.do("access.create_service_account", boss, CreateServiceAccount("Export", boss.id)).id
    scopes = ["access.audit_log", "access.scim_users"]
    used, dead = (world.do("access.issue_token", boss, IssueToken(account, scopes, 90)) for _ in "ab")
    world.clock.advance(days=89, hours=23)
    boss = replace(boss, **signed_in_again(world, boss))
    world.do("access.people", boss, People())
    world.do("access.audit_log", actor(world, used.text), SearchLog())
    configure_days(30)
    try:
        report(world, boss)
        page = ask(boss, "/team/unused").text
        assert "Nothing of it was used" in page
        grant = next(item for item in report(world, boss).roles if item.account == idle.id).grant
        assert f"/team/unused/roles/{grant}/end" in page
        narrow = f"/team/unused/tokens/{used.token.id}/narrow"
        assert narrow in page
        assert ask(boss, narrow, **{"scope:access.scim_users": "on"}).headers["location"] == "/team/unused"
        gone = ask(boss, narrow, **{"scope:access.scim_users": "on"})
        assert (gone.status_code, "That was not done" in gone.text) == (422, True)
        assert ask(boss, f"/team/unused/tokens/{dead.token.id}/revoke", nothing="").status_code == 303
        assert ask(boss, f"/team/unused/roles/{grant}/end", nothing="").status_code == 303
        after = ask(boss, "/team/unused").text
        assert grant not in after
        assert used.token.id not in after
        assert dead.token.id not in after
        auditor = ask(world.team(Role.AUDITOR), "/team/unused").text
        assert "/end" not in auditor
        mine = next(item for item in report(world, boss).roles if item.account == boss.id)
        assert not mine.whole
        last = ask(boss, f"/team/unused/roles/{mine.grant}/end", nothing="")
        assert "That was not done" in last.text
    finally:
        configure_days(90)


def configure_days(days: int) -> None:
    configure(AccessSettings(unused_permission_days=days))


def test_a_key_and_an_owner_are_given_on_the_page_and_mistakes_stand_beside_the_field(
    world: World,
    ask: Asking,  # noqa: F811
) -> None:
    boss, heir = world.team(Role.ADMINISTRATOR), world.team(Role.SUPPORT)
    page = ask(boss, "/team/service-accounts", name="Log export", owner=boss.id, days="90").headers["location"]
    key = new_key()
    chosen: dict[str, Any] = {"days": "7", "scope:access.audit_log": "true"}
    private = msgspec.json.encode(key.as_dict(private=True)).decode()
    wrong = ask(boss, f"{page}/tokens", key="not a key", **chosen)
    assert wrong.status_code == 422
    assert "Give a public key as JWK" in wrong.text
    assert "not a key" in wrong.text
    named = ask(boss, f"{page}/tokens", key=private, **chosen)
    assert "This is the private key" in named.text
    assert str(key.as_dict(private=True)["d"]) not in named.text
    shown = ask(boss, f"{page}/tokens", key=public(key), **chosen).text
    assert "Authorization: DPoP" in shown
    assert "bound to a key" in ask(boss, page).text
    unchosen = ask(boss, f"{page}/owner", owner="")
    assert unchosen.status_code == 422
    assert ask(boss, f"{page}/owner", owner=heir.id).headers["location"] == page
    assert f'value="{heir.id}"' not in ask(boss, page).text

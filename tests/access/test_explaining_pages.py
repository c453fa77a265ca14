"""The pages that explain and foresee: what a person reads, keeps and presses."""

from __future__ import annotations

import re

from subscription_services.access.operations.role_limits import ListLimits, NarrowRole
from subscription_services.access.operations.tasks import AskTask, OneTask
from subscription_services.access.tasks import About
from subscription_services.kernel.actors import Role
from subscription_services.testing import World
from subscription_services.testing.approving import give_role

from .granting import About as Person
from .granting import with_tasks
from .test_approval_pages import Asking, hidden, visit

__all__ = ["visit"]


def text_of(page: str) -> str:
    """What stands on the page, without marks."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_a_person_is_explained_in_plain_words(house: World, visit: Asking) -> None:
    boss, member = house.team(Role.ADMINISTRATOR), house.team()
    give_role(house, boss, member.id, Role.SUPPORT, "helps subscribers", 7)
    asked = house.do("access.ask_task", member, AskTask("Case 7", About.OTHER, "", Role.BILLING, 60))
    house.do("access.grant_task", house.team(Role.SECURITY), OneTask(asked.id))
    page = visit(boss, f"/team/people/{member.id}")
    assert f'href="/team/people/{member.id}/powers"' in page.text
    shown = visit(boss, f"/team/people/{member.id}/powers")
    assert shown.status_code == 200
    said = text_of(shown.text)
    for part in (
        "Given by Tess Team", "Reason: helps subscribers", "It ends", "Case 7", "Lends operations of the role",
        "Entry in the log, with proof", "signed in with a second factor", "A look of billing at a person.",
    ):  # fmt: skip
        assert part in said, part
    (entry,) = set(
        re.findall(r'href="(/team/log/entries/evt_[0-9a-f]+)"[^>]*>Entry', shown.text[: shown.text.index("Case 7")])
    )
    assert entry
    assert visit(boss, f"/team/people/{member.id}/powers?at=2026-01-01").status_code == 200
    before = text_of(visit(boss, f"/team/people/{member.id}/powers?at=2020-01-01").text)
    assert "As of" in before
    assert "Case 7" not in before
    wrong = visit(boss, f"/team/people/{member.id}/powers?at=2099-01-01")
    assert wrong.status_code == 422
    assert 'value="2099-01-01"' in wrong.text
    assert visit(with_tasks(house, member), "/team/powers").status_code == 200
    assert visit(with_tasks(house, member), f"/team/people/{boss.id}/powers").status_code == 404


def test_an_operation_is_explained_and_nobody_is_said(house: World, visit: Asking) -> None:
    watcher, clerk = house.team(Role.SECURITY), house.team(Role.BILLING)
    assert clerk.id in visit(watcher, "/team/operations/access.test_lent").text
    assert "access.test_lent" in visit(watcher, "/team/operations").text
    said = text_of(visit(watcher, "/team/operations/access.test_two").text)
    assert "approved beforehand by 2 other people" in said
    house.do(
        "access.narrow_role", house.team(Role.ADMINISTRATOR), NarrowRole(Role.BILLING, ["access.test_lent"], "no need")
    )
    said = text_of(visit(watcher, "/team/operations/access.test_lent").text)
    assert "Nobody can do this now" in said
    assert "taken from it here" in said
    assert visit(watcher, "/team/operations/access.none").status_code == 404
    assert visit(clerk, "/team/operations").status_code == 403


def test_a_role_loses_exactly_what_was_shown(house: World, visit: Asking) -> None:
    boss, clerk = house.team(Role.ADMINISTRATOR), house.team(Role.BILLING)
    house.team(Role.ADMINISTRATOR)
    for _ in range(2):
        house.do("access.test_look", clerk, Person("acc_x"))
    start = visit(boss, "/team/foresight?role=billing")
    assert 'name="op:access.test_look"' in start.text
    shown = visit(boss, "/team/foresight?role=billing&days=7&op:access.test_look=true&op:access.test_lent=true")
    said = text_of(shown.text)
    assert "2 times somebody would have been refused" in said
    assert "refused 2 times" in said
    assert "Nobody used: access.test_lent" in said
    kept = dict.fromkeys(re.findall(r'name="(op:[a-z._]+)" value="true"', shown.text), "true")
    chosen = {name: value for name, value in kept.items() if name in ("op:access.test_look", "op:access.test_lent")}
    wrong = visit(boss, "/team/foresight/narrow", role="billing", days="7", reason="", **chosen)
    assert wrong.status_code == 422
    assert "2 times somebody would have been refused" in text_of(wrong.text)  # what was chosen is kept
    done = visit(boss, "/team/foresight/narrow", role="billing", days="7", reason="nobody needs it", **chosen)
    assert done.status_code == 303
    found = house.do("access.role_limits", boss, ListLimits()).limits
    assert {item.operation for item in found} == {"access.test_look", "access.test_lent"}
    listed = visit(boss, done.headers["location"]).text
    assert "nobody needs it" in listed
    back = visit(boss, "/team/foresight/give-back", role="billing", reason="needed", **{"op:access.test_look": "true"})
    assert back.status_code == 403
    assert hidden(back.text)["operation"] == "access.widen_role"


def test_grants_are_ended_from_the_page(house: World, visit: Asking) -> None:
    boss, clerk = house.team(Role.ADMINISTRATOR), house.team()
    grant = give_role(house, boss, clerk.id, Role.BILLING, "a case")
    house.do("access.test_look", with_tasks(house, clerk), Person("acc_x"))
    shown = visit(boss, f"/team/foresight?role=billing&grant:{grant.id}=true")
    assert "Once somebody would have been refused" in text_of(shown.text)
    fields = {"role": "billing", f"grant:{grant.id}": "true"}
    assert visit(boss, "/team/foresight/end-grants", reason="", **fields).status_code == 422
    for _ in range(2):  # pressed twice
        assert visit(boss, "/team/foresight/end-grants", reason="moved on", **fields).status_code == 303
    assert "Nobody would have been refused" not in text_of(visit(boss, "/team/people").text)
    assert not with_tasks(house, clerk).roles

"""Masked data over the pages and the API of a whole house: what is left of it, how it is shown, and no way around."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy import select, update

from subscription_services.access import LETTERS
from subscription_services.access.errors import NothingToUnmask, UnmaskingRefused
from subscription_services.access.model import grant
from subscription_services.access.operations.people import Invite, People
from subscription_services.access.operations.service_accounts import CreateServiceAccount, IssueToken
from subscription_services.access.operations.tasks import AskTask, EndTask, OneTask
from subscription_services.access.operations.unmask import AN_HOUR, Unmask
from subscription_services.access.programs import resolve_token
from subscription_services.access.tasks import About
from subscription_services.billing.requests import OfPerson, SetDetails
from subscription_services.identity.operations.people import FindPerson
from subscription_services.identity.operations.profile import ShowActivity, ShowProfile
from subscription_services.jobs.model import job
from subscription_services.kernel.actors import Actor, Role, ServiceAccount, Subscriber, TeamMember
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import NotFound, Refusal, StepUpNeeded, TaskNeeded, TooMany
from subscription_services.kernel.operations import Change, operation
from subscription_services.kernel.personal import PersonName
from subscription_services.kernel.transaction import Transaction
from subscription_services.mail import Letter, SendLetter
from subscription_services.testing import World
from subscription_services.testing.approving import give_role
from subscription_services.web.call import Visitor
from subscription_services.web.page import Person
from tests.billing.cases import invoice_of, settled
from tests.identity.letters_sent import SITE

from .granting import with_tasks

Visit = Callable[..., httpx.Response]
EMAIL = "dulcinea.toboso@windmill.example"
NAME = "Ada Example"
STREET = "7 Giant Street"
SECRETS = (EMAIL, "dulcinea", "windmill", STREET, "Toledo")


@pytest.fixture
def visit(world: World) -> Visit:
    """Ask a page or the API of the house as an actor; fields make it a form, `json` a call of the API."""

    def visiting(actor: Actor, path: str, *, json: Any = None, key: str = "", **fields: str) -> httpx.Response:
        async def visitor(request: Any) -> Visitor:
            return Visitor(actor, Person("Tess Team"))

        site = replace(world.house.site, visitor=visitor, asker=lambda request: None)
        application = world.house.routes.application(site)

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(application, client=("127.0.0.9", 1))
            async with httpx.AsyncClient(transport=transport, base_url="https://localhost") as client:
                if json is not None:
                    headers = {"Idempotency-Key": key} if key else {}
                    return await client.post(path, json=json, headers=headers)
                return await (client.post(path, data=fields) if fields else client.get(path))

        answer = world.run(send())
        assert isinstance(answer, httpx.Response)
        return answer

    return visiting


def dulcinea(world: World) -> Subscriber:
    """A subscriber with billing details."""
    person = world.subscriber(EMAIL)
    world.do("billing.set_details", person, SetDetails("Toboso Ltd", f"{STREET}\nToledo"))
    return person


def unmask(person: Subscriber | str, reason: str = "case 7: cannot sign in", **wanted: bool) -> Unmask:
    return Unmask(person if isinstance(person, str) else person.id, reason, **wanted)


def letters(world: World) -> list[Letter]:
    """What the outbox will say about unmasking."""
    kind = next(item for item in LETTERS if item.name == "access.unmasked")
    with world.house.store.reading() as connection:
        rows = connection.execute(select(job.c.payload).where(job.c.kind == "mail.send")).scalars().all()
    asked = [item for item in (msgspec.json.decode(row, type=SendLetter) for row in rows) if item.letter == kind.name]
    return [world.run(kind.compose(world.house.kernel, SITE, item.account, item.values)) for item in asked]


def lent(world: World, holder: TeamMember, role: Role, about: str) -> tuple[str, TeamMember]:
    """A task about this person."""
    made = world.do("access.ask_task", holder, AskTask("Case 7", About.SUBSCRIBER, about, role, 60, []))
    world.do("access.grant_task", world.team(Role.SECURITY), OneTask(made.id))
    return made.id, with_tasks(world, holder)


def test_support_finds_the_person_with_what_support_needs(world: World, visit: Visit) -> None:
    person, support = dulcinea(world), world.team(Role.SUPPORT)
    found = visit(support, "/team/find", who=person.id, reason="case 7")
    assert found.status_code == 200
    assert NAME in found.text and "d…@w….example" in found.text
    assert not [secret for secret in SECRETS if secret in found.text]
    assert f'href="/team/unmask/{person.id}"' in found.text
    api = visit(support, f"/api/billing.of_person?account={person.id}")
    assert api.json()["details"] == "T… T…"
    assert not [secret for secret in SECRETS if secret in api.text]


def test_one_has_shown_what_one_needs_once_and_the_person_reads_why(world: World, visit: Visit) -> None:
    person, support = dulcinea(world), world.team(Role.SUPPORT)
    page = f"/team/unmask/{person.id}"
    form = visit(support, page).text
    assert all(f'name="{name}"' in form for name in ("email", "address", "reason"))
    assert 'name="name"' not in form, "a name is plain to support anyway"
    assert EMAIL not in form
    wrong = visit(support, page, email="true", reason="")
    assert (wrong.status_code, EMAIL in wrong.text) == (422, False)
    assert re.search(r'name="email"[^>]*', wrong.text) and "checked" in wrong.text, "what was chosen is kept"
    assert visit(support, page, reason="case 7: wrote to us").status_code == 422, "nothing was chosen"
    shown = visit(support, page, email="true", address="true", reason="case 7: wrote to us")
    assert shown.status_code == 200
    assert EMAIL in shown.text and STREET in shown.text
    assert EMAIL not in visit(support, page).text, "nothing stays unmasked"
    (letter,) = letters(world)
    assert (letter.to, "looked at data" in letter.subject) == (EMAIL, True)
    assert "/account/activity" in str(letter) and "case 7" not in str(letter)
    (seen,) = [item for item in world.events("access.unmask") if item.outcome == "success"]
    assert seen.details == {"shown": ["e-mail", "billing address"]}
    assert (seen.subject, seen.actor, seen.sealed_for) == (person.id, support.id, person.id)
    assert "case 7" not in str(seen) and EMAIL not in str(seen)
    mine = world.do("identity.activity", person, ShowActivity()).entries
    entry = next(item for item in mine if item.action == "access.unmask")
    assert (entry.why, entry.shown) == ("case 7: wrote to us", ["e-mail", "billing address"])
    read = visit(person, "/account/activity").text
    assert "your e-mail address, your billing address, reason: case 7: wrote to us" in read
    assert entry.address == "" and "127.0.0.9" not in str(entry), "where our people sit is not the subscriber's to know"


@pytest.mark.parametrize(
    ("role", "may"),
    [
        (Role.SUPPORT, {"email", "name", "address"}), (Role.BILLING, {"email", "name", "address"}),
        (Role.SECURITY, {"email", "name"}), (Role.OPERATIONS, set()), (Role.AUDITOR, set()),
        (Role.ADMINISTRATOR, set()),
    ],
)  # fmt: skip
def test_each_role_has_shown_what_its_cases_need(world: World, role: Role, may: set[str]) -> None:
    person, member = dulcinea(world), world.team(role)
    fields: tuple[Any, ...] = ("email", "name", "address")
    for field in fields:
        if field in may:
            assert getattr(world.do("access.unmask", member, Unmask(person.id, "case 7", **{field: True})), field)
        else:
            with pytest.raises(Refusal):
                world.do("access.unmask", member, Unmask(person.id, "case 7", **{field: True}))


def test_it_is_for_one_subscriber_by_who_proved_themselves_lately_and_not_for_lists(world: World) -> None:
    person, support, late = dulcinea(world), world.team(Role.SUPPORT), world.team(Role.SUPPORT)
    with pytest.raises(NothingToUnmask):
        world.do("access.unmask", support, unmask(person))
    for other in (support.id, "acc_" + "1" * 32):
        with pytest.raises(NotFound):
            world.do("access.unmask", support, unmask(other, email=True))
    for _ in range(AN_HOUR - 3):
        world.do("access.unmask", support, unmask(person, email=True))
    with pytest.raises(TooMany):
        world.do("access.unmask", support, unmask(person, email=True))
    assert len(letters(world)) == 1, "one letter a day, each look in the activity"
    world.clock.advance(minutes=16)
    with pytest.raises(StepUpNeeded):
        world.do("access.unmask", late, unmask(person, email=True))


def test_a_task_about_somebody_lends_it_for_that_person_alone_until_it_ends(world: World) -> None:
    person, other, keeper = dulcinea(world), world.subscriber(), world.team(Role.OPERATIONS)
    with pytest.raises(Refusal):
        world.do("access.unmask", keeper, unmask(person, email=True))
    identifier, keeper = lent(world, keeper, Role.SUPPORT, person.id)
    assert world.do("access.unmask", keeper, unmask(person, email=True)).email == EMAIL
    assert world.events("access.unmask")[-1].details["task"] == identifier
    with pytest.raises((UnmaskingRefused, TaskNeeded)):
        world.do("access.unmask", keeper, unmask(other, email=True))
    found = world.do("identity.find_person", keeper, FindPerson(person.id, "case 7"))
    assert (found.name, found.email) == (NAME, "d…@w….example"), "what the task's role sees, and no more"
    world.do("access.revoke_task", world.team(Role.SECURITY), EndTask(identifier, "it is done"))
    with pytest.raises(Refusal):
        world.do("access.unmask", keeper, unmask(person, email=True))


def test_a_task_adds_to_a_role_what_the_role_does_not_have_shown(world: World) -> None:
    person, security = dulcinea(world), world.team(Role.SECURITY)
    identifier, security = lent(world, security, Role.BILLING, person.id)
    assert world.do("access.unmask", security, unmask(person, address=True)).address == f"Toboso Ltd\n{STREET}\nToledo"
    assert world.events("access.unmask")[-1].details["task"] == identifier


def program(world: World, *scopes: str) -> ServiceAccount:
    boss = world.team(Role.ADMINISTRATOR)
    made = world.do("access.create_service_account", boss, CreateServiceAccount(f"Reader {boss.id[-4:]}", boss.id))
    text = world.do("access.issue_token", boss, IssueToken(made.id, list(scopes))).text
    with world.house.store.reading() as connection:
        return resolve_token(connection, text, world.clock)


def test_a_program_asks_for_each_person_within_its_scope(world: World) -> None:
    person = dulcinea(world)
    with pytest.raises(Refusal):
        world.do("access.unmask", program(world, "access.audit_log"), unmask(person, email=True))
    reader = program(world, "access.unmask")
    assert world.do("access.unmask", reader, unmask(person, email=True)).email == EMAIL
    (seen,) = [item for item in world.events("access.unmask") if item.outcome == "success"]
    assert (seen.actor, seen.sealed_for) == (reader.id, person.id)


def test_a_repeated_answer_is_masked_by_what_is_true_now(world: World, visit: Visit) -> None:
    """An idempotent replay is no memory of a role that is gone."""
    boss = world.team(Role.ADMINISTRATOR, Role.SECURITY)
    taken = {"role": "billing", "operations": ["billing.refund"], "reason": f"asked by {EMAIL}"}
    first = visit(boss, "/api/access.narrow_role", json=taken, key="k1")
    assert first.status_code == 200
    assert EMAIL not in first.text and "d…@w….example" in first.text
    again = visit(boss, "/api/access.narrow_role", json=taken, key="k1")
    assert again.text == first.text


class Named(msgspec.Struct, frozen=True):
    account: str
    name: PersonName


@operation("access.test_named", by=[Role.SUPPORT, Role.SECURITY])
def named(tx: Transaction, ctx: Context, request: OfPerson) -> Change[Named]:
    """A change whose answer names a person."""
    return Change(None, Named(request.account, NAME), subject=request.account)


def test_a_replay_after_a_role_ended_shows_what_the_roles_left_see(place: tuple[Path, str]) -> None:
    """The kept answer is plain and sealed; what leaves is masked anew by the standing of the repeat."""
    with World.open(*place, more=(named,)) as world:
        person, both = dulcinea(world), world.team(Role.SUPPORT, Role.SECURITY)
        first = world.do(named, both, OfPerson(person.id), idempotency_key="k1")
        assert first.name == NAME
        end(world, both, Role.SUPPORT)
        assert world.do(named, both, OfPerson(person.id), idempotency_key="k1").name == "A. E."
        assert len([item for item in world.events(named.name) if item.outcome == "success"]) == 1
        end(world, both, Role.SECURITY)
        with pytest.raises(Refusal):
            world.do(named, both, OfPerson(person.id), idempotency_key="k1")


def end(world: World, member: TeamMember, role: Role) -> None:
    """The role ends while its holder stays signed in."""
    ended = update(grant).where(grant.c.account == member.id, grant.c.role == role)
    world.write(lambda connection: connection.execute(ended.values(ended_at=world.clock(), ended_by="system:test")))


def test_an_ended_role_is_masked_at_the_next_look(world: World) -> None:
    person, both = dulcinea(world), world.team(Role.SUPPORT, Role.SECURITY)
    assert world.do("identity.find_person", both, FindPerson(person.id, "case 7")).name == NAME
    end(world, both, Role.SUPPORT)
    assert world.do("identity.find_person", both, FindPerson(person.id, "case 7")).name == "A. E."


def test_an_invoice_shows_billing_what_it_corrects_on_paper_as_on_the_page(world: World, visit: Visit) -> None:
    person, _ = settled(world)
    world.do("billing.set_details", person, SetDetails("Toboso Ltd", STREET))
    wanted, billing = invoice_of(world, person).id, world.team(Role.BILLING)
    email = world.do("identity.profile", person, ShowProfile()).email
    page = visit(billing, f"/invoices/{wanted}").text
    assert NAME in page and email not in page
    assert f'href="/team/unmask/{person.id}"' in page
    paper = visit(billing, f"/invoices/{wanted}.pdf")
    assert paper.headers["content-type"] == "application/pdf"
    assert email in visit(person, f"/invoices/{wanted}").text, "one's own invoice is plain"
    identifier, keeper = lent(world, world.team(Role.OPERATIONS), Role.BILLING, person.id)
    seen = world.do("billing.of_person", keeper, OfPerson(person.id))
    assert seen.details == f"Toboso Ltd\n{STREET}", identifier


def test_the_team_page_names_colleagues_and_masks_their_addresses_for_who_does_not_manage_them(
    world: World, visit: Visit
) -> None:
    boss, auditor = world.team(Role.ADMINISTRATOR), world.team(Role.AUDITOR)
    world.do("access.invite", boss, Invite("sancho@windmill.example", "Sancho Panza"))
    assert "sancho@windmill.example" in visit(boss, "/team/people").text
    page = visit(auditor, "/team/people").text
    assert "Sancho Panza" in page and "s…@w….example" in page and "sancho@" not in page
    mine = {item.id: item.email for item in world.do("access.people", auditor, People()).people}[auditor.id]
    assert "@example.org" in mine and "…" not in mine, "one's own address is plain to oneself"


def test_an_error_repeats_what_was_typed_and_nothing_else(world: World, visit: Visit) -> None:
    person, support = dulcinea(world), world.team(Role.SUPPORT)
    guess = visit(support, "/api/identity.find_person?who=dulcinea@windmill.example&reason=case")
    assert guess.status_code == 404
    assert EMAIL not in guess.text
    for body in ({"account": person.id, "reason": "case 7", "address": True}, {"account": person.id, "reason": ""}):
        refused = visit(world.team(Role.SECURITY), "/api/access.unmask", json=body)
        assert refused.status_code in (403, 422)
        assert not [secret for secret in SECRETS if secret in refused.text]


def test_guessing_at_a_masked_address_is_stopped(world: World) -> None:
    """Whoever finds people one by one finds sixty an hour; each try is in the log."""
    dulcinea(world)
    support = world.team(Role.SUPPORT)
    for number in range(60):
        with pytest.raises(NotFound):
            world.do("identity.find_person", support, FindPerson(f"d{number}@windmill.example", "a case"))
    with pytest.raises(TooMany):
        world.do("identity.find_person", support, FindPerson(EMAIL, "a case"))


def test_the_log_holds_no_address_that_somebody_wrote_into_a_reason(world: World) -> None:
    person, support = dulcinea(world), world.team(Role.SUPPORT)
    world.do("identity.find_person", support, FindPerson(person.id, f"wrote from {EMAIL}"))
    give_role(world, world.team(Role.ADMINISTRATOR), support.id, Role.BILLING, f"as {EMAIL}")
    assert EMAIL not in str(world.events())

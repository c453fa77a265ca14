"""Masks keep what recognises a value and nothing more; plans find personal fields wherever they are nested."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from subscription_services.kernel.actors import (
    Anonymous,
    Elevation,
    Role,
    ServiceAccount,
    Standing,
    Subscriber,
    System,
    TeamMember,
)
from subscription_services.kernel.masking import Sight, plan_of, seen
from subscription_services.kernel.operations import Seen, SystemOnly, operation
from subscription_services.kernel.personal import (
    BillingAddress,
    CardFact,
    ColleagueEmail,
    Email,
    FieldKind,
    FreeText,
    Personal,
    PersonName,
    mask,
    mask_emails,
)
from subscription_services.kernel.sight import SEES, UNMASKS, seen_by

NOW = datetime(2026, 3, 2, tzinfo=UTC)
NOBODY = Sight(frozenset(), "acc_me")
FIRST = st.sampled_from("ABCÉ")
REST = st.text("qxyzé", min_size=1, max_size=30)


class Person(msgspec.Struct, frozen=True):
    id: str
    email: Annotated[str, Personal(FieldKind.EMAIL, of="id")]
    name: PersonName | None = None


class Other(msgspec.Struct, frozen=True, tag=True):
    card: CardFact


class Plain(msgspec.Struct, frozen=True, tag=True):
    number: int


class Tree(msgspec.Struct, frozen=True):
    label: FreeText
    below: list[Tree] = []


class Deep(msgspec.Struct, frozen=True):
    people: tuple[Person, ...] = ()
    by_id: dict[str, Person] = {}
    either: Other | Plain | None = None
    pairs: tuple[str, Email] = ("", "")
    many: Annotated[list[str], Personal(FieldKind.NAME)] = []
    tree: Tree | None = None


def test_masks() -> None:
    assert {kind: mask(kind, text) for kind, text in {
        FieldKind.EMAIL: "ada.lovelace@example.org", FieldKind.NAME: "Ada King Lovelace",
        FieldKind.ADDRESS: "Ada Lovelace\n12 St James's Square\nLondon", FieldKind.CARD: "4242",
        FieldKind.ORIGIN: "192.0.2.7", FieldKind.TEXT: "about Ada",
    }.items()} == {
        FieldKind.EMAIL: "a…@e….org", FieldKind.NAME: "A. L.", FieldKind.ADDRESS: "A… L…", FieldKind.CARD: "…",
        FieldKind.ORIGIN: "192.0.…", FieldKind.TEXT: "…",
    }  # fmt: skip
    assert [mask(FieldKind.EMAIL, text) for text in ("", "  ", "no address", "ada@localhost", "@x.org")] == [
        "", "", "…", "a…@l…", "…",
    ]  # fmt: skip
    assert mask(FieldKind.ORIGIN, "2001:db8::1") == "2001:0db8:…"
    assert mask_emails("ada@example.org, <bo@x.example>") == "a…@e….org, <b…@x….example>"


@given(FIRST, FIRST, REST, REST)
def test_a_mask_says_nothing_of_what_it_hides_nor_how_long_it_is(one: str, two: str, rest: str, more: str) -> None:
    shapes = dict.fromkeys(FieldKind, f"{one}{{}} {two}{{}}") | {
        FieldKind.EMAIL: f"{one}{{}}@{two}{{}}.org", FieldKind.COLLEAGUE_EMAIL: f"{one}{{}}@{two}{{}}.org",
        FieldKind.ADDRESS: f"{one}{{}}\n{{}} 12\n{two}{{}}",
    }  # fmt: skip
    for kind, shape in shapes.items():
        masked = {mask(kind, shape.format(*[end] * shape.count("{}"))) for end in (rest, more)}
        assert len(masked) == 1, kind
        assert rest not in masked.pop(), kind


def test_a_plan_reaches_every_field_and_leaves_the_rest_alone() -> None:
    plan = plan_of(Deep)
    assert plan is not None
    ada = Person("acc_ada", "ada@example.org", "Ada")
    deep = Deep(
        (ada, Person("acc_me", "me@example.org")), {"x": ada}, Other("4242"), ("a", "ada@example.org"), ["Ada"],
        Tree("t", [Tree("call ada@example.org")]),
    )  # fmt: skip
    masked = plan(deep, NOBODY)
    ada_masked = Person("acc_ada", "a…@e….org", "A.")
    assert masked == Deep(
        (ada_masked, Person("acc_me", "me@example.org")), {"x": ada_masked}, Other("…"), ("a", "a…@e….org"), ["A."],
        Tree("…", [Tree("…")]),
    )  # fmt: skip
    text = plan(deep, Sight(frozenset({FieldKind.TEXT}), "acc_me"))
    assert text.tree.below[0].label == "call a…@e….org", "an address inside of a text is masked where addresses are"
    assert plan(deep, Sight(frozenset(FieldKind), "acc_x")) == deep
    assert plan(Deep(either=Plain(1)), NOBODY) == Deep(either=Plain(1))
    untouched = Deep()
    assert plan(untouched, NOBODY) == untouched


def test_what_holds_nothing_personal_has_no_plan() -> None:
    assert [plan_of(kind) for kind in (Plain, list[Plain], dict[str, int], str, int | None, tuple[Plain, ...])] == [
        None
    ] * 6

    @operation("testing.nothing", by=[SystemOnly("a test")])
    def nothing(tx: object, ctx: object, request: Plain) -> Seen[Plain]:
        """Nothing."""
        return Seen(request)

    assert nothing.personal is None


def test_who_is_masked() -> None:
    plan = plan_of(Person)
    assert plan is not None
    ada = Person("acc_ada", "ada@example.org", "Ada Lovelace")
    support = Standing(roles=frozenset({Role.SUPPORT}))
    member = TeamMember("acc_t", "ses_t", NOW, frozenset(Role), True)
    for whole in (Subscriber("acc_s", "ses_s", NOW), Anonymous(), System("x")):
        assert seen(plan, ada, whole, Standing(), own=False) is ada
    assert seen(plan, ada, member, Standing(), own=False) == Person("acc_ada", "a…@e….org", "A. L."), "claims count not"
    assert seen(plan, ada, member, support, own=False).name == "Ada Lovelace"
    program = ServiceAccount("svc_x", "tok_x", frozenset({"access.unmask"}))
    assert seen(plan, ada, program, Standing(scopes=program.scopes), own=False).name == "A. L."
    task = Elevation("tsk_1", frozenset({"x"}), "acc_ada", Role.BILLING)
    assert seen(plan, ada, member, Standing(), own=False, tasks=(task,)).name == "Ada Lovelace"


def test_two_roles_see_what_either_sees_and_no_role_sees_everything() -> None:
    member = TeamMember("acc_t", "ses_t", NOW)
    for one in Role:
        for other in Role:
            assert seen_by(member, (one, other)) == SEES[one] | SEES[other]
    assert set(SEES) == set(UNMASKS) == set(Role)
    everything = seen_by(member, tuple(Role))
    assert FieldKind.EMAIL not in everything, "whoever collects all roles has each address shown with a reason"
    assert FieldKind.ORIGIN not in everything


def test_kinds_of_a_colleague_are_apart() -> None:
    class Colleague(msgspec.Struct, frozen=True):
        email: ColleagueEmail
        address: BillingAddress

    plan = plan_of(Annotated[Colleague, "noted"])
    assert plan is not None
    shown = plan(Colleague("bo@x.org", "Bo\nbo@x.org"), Sight(SEES[Role.ADMINISTRATOR], "acc_me"))
    assert shown == Colleague("bo@x.org", "B… b…")

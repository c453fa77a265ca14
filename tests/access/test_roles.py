"""Who may do what: every operation of the house and every kind of actor, decided and compared with what is declared."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from subscription_services.access.documents import NO, OWN, YES, actors, decide
from subscription_services.kernel import authorise
from subscription_services.kernel.actors import Actor, Role, ServiceAccount, Standing, Subscriber, System, TeamMember
from subscription_services.kernel.context import Context, Origin
from subscription_services.kernel.errors import Refusal, SecondFactorNeeded
from subscription_services.kernel.ids import Ids
from subscription_services.kernel.operations import Operation, Public, Registry, SystemOnly

from .house import registry

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
HOUSE: Registry = registry()


def declared(item: Operation, actor: Actor, standing: Standing) -> str:
    """The cell as a reader of the declaration would fill it in; written apart from authorise.permit on purpose."""
    if isinstance(actor, System):
        return YES if item.public or any(isinstance(rule, SystemOnly) for rule in item.by) else NO
    if isinstance(actor, ServiceAccount) and ServiceAccount.scoped in item.by:
        return YES
    if isinstance(actor, TeamMember) and set(item.by) & standing.roles:
        return YES
    if isinstance(actor, TeamMember) and TeamMember.own in item.by:
        return OWN
    if isinstance(actor, Subscriber) and Subscriber.own in item.by:
        return OWN
    return YES if any(isinstance(rule, Public) for rule in item.by) else NO


@pytest.mark.parametrize("kind", list(actors()))
def test_each_cell_of_the_table(kind: str) -> None:
    actor, standing = actors()[kind]
    table = {item.name: decide(item, actor, standing) for item in HOUSE}
    assert table == {item.name: declared(item, actor, standing) for item in HOUSE}


def test_the_table_is_not_empty_and_nobody_holds_everything() -> None:
    assert len(HOUSE) > 10
    reachable = [item for item in HOUSE if not item.internal]
    for kind, (actor, standing) in actors().items():
        if kind not in ("service account", "the service itself"):
            assert any(decide(item, actor, standing) == NO for item in reachable), f"{kind} may do everything"


def test_two_roles_are_the_union_of_both_and_no_more() -> None:
    for item in HOUSE:
        for one in Role:
            both = _decide(item, frozenset({one, Role.AUDITOR}))
            assert both == (_decide(item, frozenset({one})) or _decide(item, frozenset({Role.AUDITOR})))


def test_a_program_may_do_only_what_its_token_names() -> None:
    for item in HOUSE:
        ctx = _context(ServiceAccount("svc_x", "tok_x"))
        others = frozenset(other.name for other in HOUSE) - {item.name}
        if item.public:
            continue
        with pytest.raises(Refusal):
            authorise.permit(item, ctx, Standing(scopes=others))


def test_a_role_counts_only_with_a_second_factor() -> None:
    tried = 0
    for item in HOUSE:
        for role in Role:
            if role in item.by and not item.public and TeamMember.own not in item.by:
                with pytest.raises(SecondFactorNeeded):
                    authorise.permit(item, _context(_member()), Standing(roles=frozenset({role})))
                tried += 1
    assert tried


def test_what_a_team_member_claims_to_be_counts_for_nothing() -> None:
    claims = TeamMember("acc_x", "ses_x", NOW, frozenset(Role), True)
    for item in HOUSE:
        if set(item.by) <= set(Role):
            with pytest.raises(Refusal):
                authorise.permit(item, _context(claims), Standing(second_factor=True))


def _member() -> TeamMember:
    return TeamMember("acc_x", "ses_x", NOW)


def _decide(item: Operation, roles: frozenset[Role]) -> bool:
    try:
        authorise.permit(item, _context(_member()), Standing(roles=roles, second_factor=True))
    except Refusal:
        return False
    return True


def _context(actor: Actor) -> Context:
    return Context(actor, NOW, Ids(lambda: NOW, bytes), bytes, Origin(), "")

"""The SCIM endpoint through the whole application: what directories send and get; nothing goes round perform()."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from subscription_services import front
from subscription_services.access import scim
from subscription_services.access.operations.people import MyPermissions, People
from subscription_services.access.operations.service_accounts import CreateServiceAccount, IssueToken
from subscription_services.identity.operations.sign_in import SignIn
from subscription_services.kernel.actors import Anonymous, Role, TeamMember
from subscription_services.kernel.errors import NotSignedIn
from subscription_services.testing import World
from subscription_services.testing.approving import give_role
from subscription_services.testing.people import PASSWORD

SCOPES = ["access.scim_users", "access.scim_user", "access.scim_create_user", "access.scim_update_user",
          "access.scim_delete_user"]  # fmt: skip
Ask = Callable[..., httpx.Response]
AZURE = {"schemas": [scim.PATCH], "Operations": [{"op": "Replace", "path": "active", "value": "False"}]}
AZURE_NEW = {"schemas": [scim.PATCH], "Operations": [{"op": "Replace", "path": "active", "value": False}]}
OKTA = {"schemas": [scim.PATCH], "Operations": [{"op": "replace", "value": {"active": False}}]}
SPELLED_OUT = {
    "schemas": [scim.PATCH],
    "operations": [
        {"op": "replace", "path": f"{scim.USER}:active", "value": False},
        {"op": "add", "path": "title", "value": "Leaver"},
        {"op": "replace", "path": "userName", "value": "gone@example.org"},
    ],
}


def token(world: World, boss: TeamMember, scopes: list[str] = SCOPES) -> str:
    name = f"Directory {len(scopes)}"
    account = world.do("access.create_service_account", boss, CreateServiceAccount(name, boss.id)).id
    return str(world.do("access.issue_token", boss, IssueToken(account, scopes)).text)


@pytest.fixture
def boss(world: World) -> TeamMember:
    return world.team(Role.ADMINISTRATOR)


@pytest.fixture
def ask(world: World, boss: TeamMember) -> Ask:
    """Ask the endpoint as the directory does: `ask("PATCH", "/Users/acc_1", {...})`."""
    application = front.application(world.house)
    bearer = token(world, boss)

    def asking(method: str, path: str, body: Any = None, *, text: str | None = None, **more: str) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(application, client=("127.0.0.9", 4711))
            async with httpx.AsyncClient(transport=transport, base_url="https://localhost:8443") as client:
                headers = {"Content-Type": scim.MEDIA_TYPE, "Authorization": f"Bearer {bearer}", **more}
                headers = {name: value for name, value in headers.items() if value}
                given = {"json": body} if body is not None else {"content": text}
                return await client.request(method, f"/scim/v2{path}", headers=headers, **given)

        answer = world.run(send())
        assert isinstance(answer, httpx.Response)
        return answer

    return asking


def email(world: World, boss: TeamMember, account: str) -> str:
    return next(str(item.email) for item in world.do("access.people", boss, People()).people if item.id == account)


def refused(answer: httpx.Response, status: int, kind: str = "") -> str:
    body = answer.json()
    assert answer.headers["content-type"] == scim.MEDIA_TYPE
    assert (answer.status_code, body["schemas"], body["status"]) == (status, [scim.ERROR], str(status)), body
    assert body.get("scimType", "") == kind, body
    return str(body["detail"])


@pytest.mark.parametrize("body", [AZURE, AZURE_NEW, OKTA, SPELLED_OUT], ids=["azure", "azure-new", "okta", "spelled"])
def test_patch_deactivates_whatever_the_directory_writes(
    world: World, ask: Ask, boss: TeamMember, body: dict[str, Any]
) -> None:
    leaver = world.team(Role.SUPPORT)
    answer = ask("PATCH", f"/Users/{leaver.id}", body)
    assert (answer.status_code, answer.json()["active"]) == (200, False), answer.text
    with pytest.raises(NotSignedIn):
        world.do("access.my_permissions", leaver, MyPermissions())
    event = world.events("access.scim_update_user")[-1]
    assert (event.actor_kind, event.subject, event.details["deactivated"]) == ("service-account", leaver.id, True)
    assert event.details["roles"] == ["support"]
    again = ask("PATCH", f"/Users/{leaver.id}", body)
    assert (again.status_code, again.json()["active"]) == (200, False)


def test_put_and_delete_deactivate_too(world: World, ask: Ask, boss: TeamMember) -> None:
    one, other = world.team(Role.SUPPORT), world.team(Role.AUDITOR)
    put = ask("PUT", f"/Users/{one.id}", {"schemas": [scim.USER], "userName": "x@example.org", "active": False})
    assert (put.status_code, put.json()["active"]) == (200, False)
    assert ask("GET", f"/Users/{one.id}").json()["active"] is False
    assert ask("DELETE", f"/Users/{other.id}").status_code == 204
    refused(ask("GET", f"/Users/{other.id}"), 404)
    refused(ask("DELETE", f"/Users/{other.id}"), 404)
    shown = [item["id"] for item in ask("GET", "/Users").json()["Resources"]]
    assert one.id in shown
    assert other.id not in shown
    for who in (one, other):
        with pytest.raises(NotSignedIn):
            world.do("access.my_permissions", who, MyPermissions())


def test_the_last_administrator_and_a_return_are_refused_clearly(world: World, ask: Ask, boss: TeamMember) -> None:
    assert "last administrator" in refused(ask("PATCH", f"/Users/{boss.id}", OKTA), 409)
    assert ask("GET", f"/Users/{boss.id}").json()["active"] is True
    leaver = world.team()
    ask("PATCH", f"/Users/{leaver.id}", OKTA)
    back = {"schemas": [scim.PATCH], "Operations": [{"op": "replace", "path": "active", "value": True}]}
    assert "invite" in refused(ask("PATCH", f"/Users/{leaver.id}", back), 409, "mutability")
    assert ask("GET", f"/Users/{leaver.id}").json()["active"] is False


def test_an_invitation_gets_no_role_and_comes_back_by_name(world: World, ask: Ask, boss: TeamMember) -> None:
    body = {
        "schemas": [scim.USER], "userName": "New@Example.org", "externalId": "00u1", "active": True,
        "name": {"givenName": "Nora", "familyName": "New"}, "password": "never kept",
    }  # fmt: skip
    made = ask("POST", "/Users", body)
    assert made.status_code == 201, made.text
    user = made.json()
    assert (user["displayName"], user["externalId"], user["active"]) == ("Nora New", "00u1", True)
    assert made.headers["location"] == user["meta"]["location"] == f"https://localhost:8443/scim/v2/Users/{user['id']}"
    person = next(item for item in world.do("access.people", boss, People()).people if item.id == user["id"])
    assert (person.state, person.grants) == ("invited", [])
    refused(ask("POST", "/Users", body), 409, "uniqueness")
    other = {**body, "userName": "other@example.org"}
    refused(ask("POST", "/Users", other), 409, "uniqueness")
    for text in ('userName eq "new@EXAMPLE.org"', 'externalId eq "00u1"', f'{scim.USER}:username EQ "new@example.org"'):
        found = ask("GET", f"/Users?filter={text}").json()
        assert [item["id"] for item in found["Resources"]] == [user["id"]], text
    nobody = ask("GET", '/Users?filter=userName eq "nobody@example.org"').json()
    assert (nobody["totalResults"], nobody["Resources"], nobody["schemas"]) == (0, [], [scim.LIST])


def test_whoever_left_can_be_invited_anew_under_the_same_names(world: World, ask: Ask, boss: TeamMember) -> None:
    body = {"schemas": [scim.USER], "userName": "new@example.org", "externalId": "00u1"}
    first = ask("POST", "/Users", body).json()["id"]
    ask("PATCH", f"/Users/{first}", AZURE)
    left = ask("GET", '/Users?filter=userName eq "new@example.org"').json()["Resources"]
    assert [(item["id"], item["active"]) for item in left] == [(first, False)]
    second = ask("POST", "/Users", body).json()
    assert (second["active"], second["id"] != first) == (True, True)
    found = ask("GET", '/Users?filter=userName eq "new@example.org"').json()["Resources"]
    assert [item["id"] for item in found] == [second["id"]]


def test_names_change_and_addresses_do_not(world: World, ask: Ask, boss: TeamMember) -> None:
    member = world.team(Role.SUPPORT)

    def patch(**value: Any) -> httpx.Response:
        body = {"schemas": [scim.PATCH], "Operations": [{"op": "replace", "value": value}]}
        return ask("PATCH", f"/Users/{member.id}", body)

    assert patch(displayName="Tess Renamed", externalId="00u7").json()["displayName"] == "Tess Renamed"
    assert patch(**{"name.givenName": "Ann", "name.familyName": "Other"}).json()["name"]["formatted"] == "Ann Other"
    assert patch(title="Boss", displayName="").json()["displayName"] == "Ann Other"
    refused(patch(userName="somebody.else@example.org"), 400, "mutability")
    same = email(world, boss, member.id)
    assert patch(userName=same.upper()).status_code == 200
    assert ask("GET", f"/Users/{member.id}").json()["externalId"] == "00u7"
    removed = {"schemas": [scim.PATCH], "Operations": [{"op": "remove", "path": "externalId"}]}
    assert "externalId" not in ask("PATCH", f"/Users/{member.id}", removed).json()


def test_pages_of_users(world: World, ask: Ask, boss: TeamMember) -> None:
    everybody = [boss.id, *(world.team().id for _ in range(4))]
    seen: list[str] = []
    for start in (1, 3, 5):
        page = ask("GET", f"/Users?startIndex={start}&count=2").json()
        assert (page["totalResults"], page["startIndex"], page["itemsPerPage"]) == (5, start, len(page["Resources"]))
        seen += [item["id"] for item in page["Resources"]]
    assert seen == everybody
    assert ask("GET", "/Users?count=0").json()["Resources"] == []
    assert ask("GET", "/Users?startIndex=-4&count=999999").json()["itemsPerPage"] == 5


@pytest.mark.parametrize(
    "text", ['userName sw "a"', "userName eq", 'userName eq "a" or active eq true', 'password eq "x"', 'userName eq ""']
)
def test_filters_that_we_do_not_know_are_refused(ask: Ask, text: str) -> None:
    refused(ask("GET", f"/Users?filter={text}"), 400, "invalidFilter")


def test_subscribers_are_nobody_here(world: World, ask: Ask) -> None:
    person = world.subscriber("ada@example.org")
    for method, body in (("GET", None), ("PATCH", OKTA), ("DELETE", None)):
        refused(ask(method, f"/Users/{person.id}", body), 404)
    assert ask("GET", '/Users?filter=userName eq "ada@example.org"').json()["totalResults"] == 0
    assert world.do("access.my_permissions", person, MyPermissions()).actor == person.id


def test_what_cannot_be_read_changes_nothing_and_says_why(world: World, ask: Ask) -> None:
    member = world.team()
    path = f"/Users/{member.id}"
    refused(ask("PATCH", path, text="{"), 400, "invalidSyntax")
    refused(ask("PATCH", path, []), 400, "invalidSyntax")
    refused(ask("PATCH", path, {"Operations": [{"op": "replace", "value": {"active": False}}]}), 400, "invalidSyntax")
    refused(ask("PATCH", path, {"schemas": [scim.PATCH], "Operations": []}), 400, "invalidSyntax")
    odd = {"schemas": [scim.PATCH], "Operations": [{"op": "replace", "path": "active", "value": "perhaps"}]}
    refused(ask("PATCH", path, odd), 400, "invalidValue")
    nul = {"schemas": [scim.PATCH], "Operations": [{"op": "replace", "path": "displayName", "value": "a\x00b"}]}
    refused(ask("PATCH", path, nul), 400, "invalidValue")
    refused(ask("PATCH", path, OKTA, **{"Content-Type": "text/plain"}), 415)
    refused(ask("POST", "/Users", {"schemas": [scim.USER], "userName": "no address"}), 400, "invalidValue")
    assert ask("GET", path).json()["active"] is True


def test_strangers_people_and_tokens_without_the_scope_are_refused(world: World, ask: Ask, boss: TeamMember) -> None:
    member = world.team()
    narrow = token(world, boss, ["access.scim_user"])
    assert ask("GET", f"/Users/{member.id}", Authorization=f"Bearer {narrow}").status_code == 200
    refused(ask("PATCH", f"/Users/{member.id}", OKTA, Authorization=f"Bearer {narrow}"), 403)
    refused(ask("GET", "/Users", Authorization=""), 401)
    refused(ask("DELETE", f"/Users/{member.id}", Authorization=""), 401)
    damaged = narrow[:-1] + ("a" if narrow[-1] != "a" else "b")
    assert "checksum" in refused(ask("GET", "/Users", Authorization=f"Bearer {damaged}"), 401)
    world.subscriber("eve@example.org")
    session = world.do("identity.sign_in", Anonymous(), SignIn("eve@example.org", PASSWORD))
    refused(ask("GET", "/Users", Authorization=f"Bearer {session.token}"), 401)
    assert ask("GET", f"/Users/{member.id}").json()["active"] is True
    refusals = [(event.actor_kind, event.reason) for event in world.events("access.scim_update_user")]
    assert refusals == [("service-account", "refused")]


def test_the_directory_ends_its_own_token_with_its_owner(world: World, ask: Ask, boss: TeamMember) -> None:
    second = world.team(Role.ADMINISTRATOR)
    give_role(world, second, boss.id, Role.SECURITY)
    assert ask("PATCH", f"/Users/{boss.id}", OKTA).status_code == 200
    refused(ask("GET", "/Users"), 401)


def test_it_says_what_it_can_do(ask: Ask) -> None:
    config = ask("GET", "/ServiceProviderConfig", Authorization="").json()
    assert (config["patch"]["supported"], config["bulk"]["supported"]) == (True, False)
    types = ask("GET", "/ResourceTypes").json()["Resources"]
    assert [(item["endpoint"], item["schema"]) for item in types] == [("/Users", scim.USER)]
    schema = ask("GET", f"/Schemas/{scim.USER}").json()
    assert schema == ask("GET", "/Schemas").json()["Resources"][0]
    assert {item["name"] for item in schema["attributes"]} >= {"userName", "active", "externalId", "name", "emails"}
    assert ask("GET", "/Groups").status_code == 404


def test_no_way_round_perform(world: World) -> None:
    rows = [route for route in world.house.routes if route.path.startswith("/scim/")]
    for route in rows:
        said = route.path.endswith(("Config", "Types", "Schemas", "/User", scim.USER))
        assert said or (route.operation is not None and route.operation.name.startswith("access.scim_")), route.path

"""One route table: no duplicate, no change without its operation, errors mapped once."""

from __future__ import annotations

import httpx
import pytest
from starlette.types import ASGIApp

from subscription_services.kernel.actors import Actor
from subscription_services.web.api import api_routes
from subscription_services.web.pages import toolkit_routes
from subscription_services.web.routes import Route, RouteTable, get, post
from tests.web import house


def client(app: ASGIApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://localhost")


def application(actor: Actor | None = None) -> tuple[ASGIApp, house.Log]:
    site, log = house.make_site(actor)
    routes = RouteTable(
        [
            *house.ROUTES,
            *toolkit_routes(development=True),
            *api_routes(house.REGISTRY, product="Shop", version="1"),
        ]
    )
    return routes.application(site), log


async def ask(app: ASGIApp, method: str, path: str, **arguments: object) -> httpx.Response:
    async with client(app) as http:
        return await http.request(method, path, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "routes, reason",
    [
        ([get("/a", house.show_order, public="x"), get("/a", house.crash, public="x")], "is both"),
        ([get("/a/{id}", house.show_order, public="x"), get("/a/{name}", house.crash, public="x")], "is both"),
        ([Route("POST", "/a", house.show_order)], "names no operation"),
        ([get("/a", house.show_order)], "why anybody"),
        ([get("/a", house.show_order, house.order)], "would change something"),
        ([post("/a", house.show_order, house.find)], "changes nothing"),
        ([get("a", house.show_order, public="x")], "starts with a slash"),
        ([get("/a/", house.show_order, public="x")], "does not end with one"),
        ([Route("BREW", "/a", house.show_order, house.order)], "unknown method"),
    ],
)
def test_a_wrong_table_refuses_to_start(routes: list[Route], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        RouteTable(routes)


def test_find_answers_which() -> None:
    table = RouteTable([*house.ROUTES, get("/orders/new", house.show_order, public="x")])
    row = table.find("get", "/orders/ord_1")
    assert row is not None
    assert row.where == "tests.web.house.show_one"
    assert "subscriber, own account" in row.permission
    exact = table.find("GET", "/orders/new")
    assert exact is not None and exact.path == "/orders/new"
    assert table.find("GET", "/nowhere") is None
    assert table.find("DELETE", "/order") is None
    assert table.machine_paths() == {"/webhooks/test"}


def test_unknown_page_is_a_page_and_unknown_api_is_a_problem() -> None:
    app, _ = application()
    page = house.run(ask(app, "GET", "/nowhere"))
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "There is nothing here" in page.text
    api = house.run(ask(app, "GET", "/api/nowhere"))
    assert (api.status_code, api.headers["content-type"]) == (404, "application/problem+json")
    assert api.json()["type"] == "/problems/not-found"
    asked = house.run(ask(app, "GET", "/nowhere", headers={"accept": "application/json"}))
    assert asked.headers["content-type"] == "application/problem+json"
    liked = house.run(ask(app, "GET", "/x", headers={"accept": "application/json;q=0.5, text/html"}))
    assert liked.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("path", ["/orders/%FF%FE", "/orders/a%00b", "/%ff", "/orders/%ed%a0%80"])
def test_a_broken_path_is_not_found(path: str) -> None:
    app, _ = application(house.ADA)
    assert house.run(ask(app, "GET", path)).status_code == 404


def test_wrong_method_names_the_right_ones() -> None:
    app, _ = application()
    wrong = house.run(ask(app, "DELETE", "/order"))
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD, OPTIONS, POST")
    assert house.run(ask(app, "OPTIONS", "/order")).status_code == 204
    assert house.run(ask(app, "HEAD", "/problems")).status_code == 200
    assert house.run(ask(app, "PUT", "/api/shop.find")).json()["status"] == 405


def test_a_change_that_comes_by_get_says_why_and_no_head_makes_it() -> None:
    site, _ = house.make_site(None)
    row = Route("GET", "/back", house.show_order, house.order, "another site sends the browser here")
    app = RouteTable([row]).application(site)
    assert house.run(ask(app, "GET", "/back")).status_code == 200
    assert house.run(ask(app, "HEAD", "/back")).status_code == 405


def test_a_failure_tells_nothing_of_itself() -> None:
    app, _ = application()
    answer = house.run(ask(app, "GET", "/crash"))
    assert answer.status_code == 500
    assert "secret text" not in answer.text


def test_who_is_not_signed_in_is_sent_to_sign_in_and_back() -> None:
    app, _ = application()
    answer = house.run(ask(app, "GET", "/orders/ord_1?a=b%26c"))
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-in?next=/orders/ord_1%3Fa%3Db%2526c"
    api = house.run(ask(app, "GET", "/api/shop.mine"))
    assert (api.status_code, api.headers["www-authenticate"]) == (401, "Bearer")


def test_signed_in_sees_the_page() -> None:
    app, log = application(house.ADA)
    answer = house.run(ask(app, "GET", "/orders/ord_1"))
    assert (answer.status_code, answer.text) == (200, "acc_ada")
    assert [event.action for event in log.events] == ["shop.mine"]
    assert log.events[0].sealed["user_agent"]


FORM = {"email": "ada@example.org", "count": "2", "password": "hidden words"}


def test_a_good_form_is_carried_out_once_and_leads_on() -> None:
    app, log = application()

    async def twice() -> tuple[httpx.Response, httpx.Response]:
        async with client(app) as http:
            data = {**FORM, "idempotency_key": "idk_1", "csrf_token": "checked at the edge"}
            return await http.post("/order", data=data), await http.post("/order", data=data)

    first, second = house.run(twice())
    assert first.status_code == 303
    assert first.headers["location"] == second.headers["location"]
    assert "__Host-notice=test-ordered" in first.headers["set-cookie"]
    assert first.headers["location"].startswith("/orders/ord_")
    assert {event.action for event in log.events} == {"shop.order"}


@pytest.mark.parametrize(
    "change, status, errors, problem",
    [
        ({"count": "11"}, 422, {"count": "Enter a number that is at most 10."}, None),
        ({"count": "many"}, 422, {"count": "Enter a whole number."}, None),
        ({"count": ""}, 422, {"count": "Enter count."}, None),
        ({"fail": "field"}, 422, {"email": "This address is taken."}, None),
        ({"fail": "many"}, 429, {}, "Too many tries. Wait a little and try again."),
        ({"fail": "missing"}, 404, {}, "There is nothing here under that name, or it is not yours to see."),
    ],
)
def test_a_wrong_form_comes_back_with_what_was_typed(
    change: dict[str, str], status: int, errors: dict[str, str], problem: str | None
) -> None:
    app, _ = application()
    answer = house.run(ask(app, "POST", "/order", data={**FORM, **change}))
    assert answer.status_code == status
    state = answer.json()
    assert (state["errors"], state["problem"]) == (errors, problem)
    assert state["values"]["email"] == "ada@example.org"
    assert "hidden words" not in answer.text


def test_what_another_page_solves_leads_there() -> None:
    app, _ = application()
    answer = house.run(ask(app, "POST", "/order", data={**FORM, "fail": "step-up"}))
    assert answer.status_code == 401
    assert 'href="/confirm"' in answer.text


@pytest.mark.parametrize(
    "body, kind, status",
    [
        (b"email=%ff%fe&count=1", "application/x-www-form-urlencoded", 400),
        (b"email=\xff&count=1", "application/x-www-form-urlencoded", 400),
        (b"email=a%00b&count=1", "application/x-www-form-urlencoded", 400),
        (b"&".join(b"f%d=1" % number for number in range(500)), "application/x-www-form-urlencoded", 400),
        (b"{}", "application/json", 415),
        (b"x", "multipart/form-data; boundary=x", 415),
    ],
)
def test_an_unreadable_form_is_a_clear_problem(body: bytes, kind: str, status: int) -> None:
    app, _ = application()
    answer = house.run(ask(app, "POST", "/order", content=body, headers={"content-type": kind}))
    assert answer.status_code == status


def test_a_page_cannot_perform_a_change_that_its_route_does_not_declare() -> None:
    app, log = application()
    assert house.run(ask(app, "POST", "/order/wrong", data=FORM)).status_code == 500
    assert [(event.action, event.reason) for event in log.events] == [("shop.order", "error:LookupError")]


def test_the_notice_is_shown_once() -> None:
    app, _ = application()
    own = house.run(ask(app, "GET", "/order", headers={"cookie": "__Host-notice=test-ordered"}))
    assert "Your order is placed." in own.text
    assert "Max-Age=0" in own.headers["set-cookie"]
    forged = house.run(ask(app, "GET", "/order", headers={"cookie": "__Host-notice=<b>hello</b>"}))
    assert "hello" not in forged.text


def test_static_files_are_cached_for_ever_under_their_hash() -> None:
    app, _ = application()
    page = house.run(ask(app, "GET", "/problems")).text
    address = page.partition('rel="stylesheet" href="')[2].partition('"')[0]
    answer = house.run(ask(app, "GET", address))
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    again = house.run(ask(app, "GET", address, headers={"if-none-match": answer.headers["etag"]}))
    assert (again.status_code, again.content) == (304, b"")
    older = house.run(ask(app, "GET", "/static/0000000000000000/base.css"))
    assert (older.status_code, older.headers["cache-control"]) == (200, "no-cache")
    assert house.run(ask(app, "GET", "/static/0000000000000000/../render.py")).status_code == 404
    assert house.run(ask(app, "GET", "/static/0/%2e%2e/%2e%2e/render.py")).status_code == 404


def test_every_problem_type_is_documented() -> None:
    app, _ = application()
    for name in ("malformed", "invalid", "too-many", "internal"):
        answer = house.run(ask(app, "GET", f"/problems/{name}"))
        assert answer.status_code == 200 and f"/problems/{name}" in answer.text
    assert house.run(ask(app, "GET", "/problems/nonsense")).status_code == 404


def test_components_are_for_development_only() -> None:
    assert [row.path for row in toolkit_routes(development=False) if "development" in row.path] == []

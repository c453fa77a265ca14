"""The API: clear problems for whatever is wrong, never a server error; OpenAPI that says the truth."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from subscription_services.kernel.actors import ServiceAccount
from tests.web import house
from tests.web.test_routes import application, ask

GOOD: dict[str, Any] = {"email": "ada@example.org", "count": 2}


def send(body: bytes, kind: str = "application/json", **headers: str) -> httpx.Response:
    app, _ = application()
    answer: httpx.Response = house.run(
        ask(app, "POST", "/api/shop.order", content=body, headers={"content-type": kind, **headers})
    )
    return answer


def test_a_change_is_answered_and_logged() -> None:
    app, log = application()
    answer = house.run(ask(app, "POST", "/api/shop.order", json=GOOD))
    assert answer.status_code == 200
    assert answer.json()["email"] == "ada@example.org"
    assert log.events[0].action == "shop.order"


@pytest.mark.parametrize(
    "body, status, fields",
    [
        (b'{"email": "\xff", "count": 1}', 400, []),
        (b"{", 400, []),
        (b"[]", 400, []),
        (b"[" * 100_000, 400, []),
        (b'{"lines":' + b'[{"sku":' * 3000, 400, []),
        (b'{"email": "\\ud800", "count": 1}', 400, []),
        (b'{"email": "a\\u0000b", "count": 1}', 422, ["email"]),
        (b'{"email": "a", "count": 99999999999999999999}', 422, ["count"]),
        (b'{"email": "a", "count": 1e999}', 400, []),
        (b'{"email": "a", "count": "1"}', 422, ["count"]),
        (b'{"email": "a"}', 422, ["count"]),
        (b'{"email": "a", "count": 1, "admin": true}', 422, ["admin"]),
        (b'{"email": "a", "count": 1, "lines": [{"sku": "x", "price": 0}]}', 422, ["lines.price"]),
        (b"", 422, ["email"]),
    ],
)
def test_bad_json_is_a_clear_problem(body: bytes, status: int, fields: list[str]) -> None:
    answer = send(body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert [item["field"] for item in answer.json().get("errors", [])] == fields


def test_only_json_is_taken() -> None:
    assert send(b"email=a&count=1", "application/x-www-form-urlencoded").status_code == 415
    assert send(json.dumps(GOOD).encode(), "text/plain").status_code == 415


@pytest.mark.parametrize("fail, status", [("crash", 500), ("form", 503), ("many", 429), ("step-up", 401)])
def test_failures_are_mapped_once(fail: str, status: int) -> None:
    answer = send(json.dumps({**GOOD, "fail": fail}).encode())
    assert answer.status_code == status
    assert "secret text" not in answer.text
    assert ("retry-after" in answer.headers) == (fail in ("form", "many"))
    if fail == "step-up":
        assert "insufficient_user_authentication" in answer.headers["www-authenticate"]


@pytest.mark.parametrize("key, status", [('"abc"', 200), ("abc", 200), ("a b", 400), ("", 400), ("x" * 300, 400)])
def test_idempotency_keys_are_checked(key: str, status: int) -> None:
    assert send(json.dumps(GOOD).encode(), **{"idempotency-key": key}).status_code == status


def test_a_key_used_for_something_else_is_refused() -> None:
    app, _ = application()

    async def two() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://localhost") as http:
            headers = {"idempotency-key": "k"}
            requests = [GOOD, GOOD, {**GOOD, "count": 3}]
            return [await http.post("/api/shop.order", json=item, headers=headers) for item in requests]

    first, again, other = house.run(two())
    assert first.json() == again.json()
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-mismatch")


@pytest.mark.parametrize(
    "query, status",
    [
        ("text=a&limit=3&states=x&states=y", 200),
        ("limit=many", 422),
        ("limit=1&limit=2", 422),
        ("text=%ff", 400),
        ("text=a%00b", 422),
        ("limit=99999999999999999999", 422),
        ("unknown=1", 422),
    ],
)
def test_reads_take_a_query(query: str, status: int) -> None:
    app, _ = application()
    answer = house.run(ask(app, "GET", f"/api/shop.find?{query}"))
    assert answer.status_code == status, answer.text
    if status == 200:
        assert answer.json() == {"text": "a", "limit": 3, "states": ["x", "y"]}


def test_a_service_account_needs_the_scope() -> None:
    scoped, _ = application(ServiceAccount("svc_1", "tok_1", frozenset({"shop.mine"})))
    assert house.run(ask(scoped, "GET", "/api/shop.mine")).status_code == 200
    bare, _ = application(ServiceAccount("svc_1", "tok_1"))
    assert house.run(ask(bare, "GET", "/api/shop.mine")).json()["type"] == "/problems/refused"


def test_what_only_the_service_may_do_is_not_there() -> None:
    app, _ = application()
    assert house.run(ask(app, "POST", "/api/shop.sweep", json={})).status_code == 404


def test_openapi_describes_every_operation() -> None:
    app, _ = application()
    document = house.run(ask(app, "GET", "/api/openapi.json")).json()
    assert document["openapi"] == "3.1.0"
    assert sorted(document["paths"]) == ["/api/shop.find", "/api/shop.mine", "/api/shop.order"]
    change = document["paths"]["/api/shop.order"]["post"]
    assert change["parameters"][0]["name"] == "Idempotency-Key"
    assert change["security"] == [{"session": []}, {}]
    assert document["components"]["schemas"]["PlaceOrder"]["additionalProperties"] is False
    read = document["paths"]["/api/shop.mine"]["get"]
    assert {"token": []} in read["security"]
    assert [item["name"] for item in read["parameters"]] == ["text", "limit", "states"]
    for method in (change, read):
        assert {"400", "401", "403", "404", "422", "429", "500", "503"} <= set(method["responses"])

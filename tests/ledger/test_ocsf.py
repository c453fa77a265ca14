"""Every event that the house can make, as OCSF 1.8.0: each record has what its class requires."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from subscription_services import app
from subscription_services.identity.known import STUFFING
from subscription_services.kernel.events import Event, Outcome
from subscription_services.ledger.ocsf import Product, line, record

# names from github.com/ocsf/ocsf-schema at version 1.8.0: required attributes, and where one of several must be there
BASE = {"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"}
REQUIRED = {
    3001: BASE | {"user"}, 3002: BASE | {"user"}, 3004: BASE | {"entity"}, 6002: BASE | {"app"},
    6003: BASE | {"actor", "api", "src_endpoint"},
}  # fmt: skip
ONE_OF = {3002: {"service", "dst_endpoint"}}
ACTIVITIES = {
    3001: set(range(13)) | {99}, 3002: set(range(8)) | {99}, 3004: set(range(14)) | {99},
    6002: set(range(9)) | {99}, 6003: set(range(5)) | {99},
}  # fmt: skip
INSIDE = {"metadata": {"product", "version"}, "api": {"operation"}}
ONE_INSIDE = {
    "actor": {"process", "user", "invoked_by", "session", "app_name", "app_uid"}, "user": {"account", "name", "uid"},
    "entity": {"name", "uid", "device", "group", "org", "policy", "user"}, "app": {"name", "uid"},
    "src_endpoint": {"ip", "uid", "name", "hostname"}, "service": {"name", "uid"},
}  # fmt: skip
REGISTRY = {item.name: item for item in app.OPERATIONS}
PRODUCT = Product("Shop", "Shop Ltd", "1", lambda action: REGISTRY[action].changes if action in REGISTRY else None)
KINDS = ("subscriber", "team-member", "system", "service-account", "anonymous")


def events(action: str) -> Iterator[Event]:
    """Each outcome, with and without object, person, session and origin, by each kind of actor."""
    at = datetime(2026, 11, 24, 9, 30, 0, 123456, tzinfo=UTC)
    for number, outcome in enumerate(Outcome):
        for kind in KINDS:
            bare = Event(id="evt_1", at=at, action=action, outcome=outcome, actor_kind=kind, actor=f"acc_{number}")
            yield bare
            yield Event(
                id="evt_2", at=at, action=action, outcome=outcome, actor_kind=kind, actor="acc_1", session="ses_1",
                object_kind="sub", object="sub_1", subject="acc_2", reason="refused", count=3, details={"a": ["b"]},
                sealed={"address": "c2VhbGVk"}, sealed_for="acc_2", origin_index="ab12", correlation="req_1",
            )  # fmt: skip


def check(found: dict[str, Any]) -> None:
    kind = found["class_uid"]
    assert found.keys() >= REQUIRED[kind]
    assert not ONE_OF.get(kind) or found.keys() & ONE_OF[kind]
    assert found["activity_id"] in ACTIVITIES[kind]
    assert found["type_uid"] == kind * 100 + found["activity_id"]
    assert found["category_uid"] == kind // 1000
    assert found["severity_id"] in {1, 2, 3, 4, 5, 6}
    assert (found["status_id"], found["status"]) in {(1, "Success"), (2, "Failure")}
    assert found["metadata"]["version"] == "1.8.0"
    assert isinstance(found["time"], int)
    for name, needed in INSIDE.items():
        assert name not in found or found[name].keys() >= needed
    for name, some in ONE_INSIDE.items():
        assert name not in found or found[name].keys() & some, name


@pytest.mark.parametrize(
    "name", [*sorted(REGISTRY), "kernel.refusals", STUFFING, "web.no_such_place", "room.of_the_past"]
)
def test_every_operation_makes_whole_records(name: str) -> None:
    for event in events(name):
        text = line(event, 7, PRODUCT)
        found = json.loads(text)
        check(found)
        assert text.count(b"\n") == 1
        assert found["metadata"]["event_code"] == name
        assert found["actor"]["user"]["uid"] == event.actor
        assert (found["status_id"] == 1) is (event.outcome is Outcome.SUCCESS)
        assert "c2VhbGVk" not in text.decode()


@pytest.mark.parametrize("missing", ["metadata", "time", "user", "type_uid", "service"])
def test_a_record_that_lacks_something_is_noticed(missing: str) -> None:
    found = record(next(events("identity.sign_in")), None, PRODUCT)
    check(found)
    del found[missing]
    with pytest.raises((AssertionError, KeyError)):
        check(found)


@pytest.mark.parametrize(
    ("action", "type_uid"),
    [("identity.sign_in", 300201), ("identity.sign_out", 300202), ("identity.sign_up", 300101),
     ("identity.change_password", 300103), ("access.grant_role", 300107), ("access.issue_token", 300401),
     ("monitoring.record_start", 600203), ("monitoring.record_stop", 600204), ("access.audit_log", 600302),
     ("subscriptions.subscribe", 600301), ("billing.remove_payment_method", 600304),
     ("billing.set_details", 600303), ("room.of_the_past", 600399)],
)  # fmt: skip
def test_what_happened_has_its_own_type(action: str, type_uid: int) -> None:
    assert record(next(events(action)), None, PRODUCT)["type_uid"] == type_uid


def test_every_action_that_has_a_class_of_its_own_exists() -> None:
    from subscription_services.ledger.ocsf import _ACTIONS

    by_the_kernel = {STUFFING}
    assert _ACTIONS.keys() - REGISTRY.keys() == by_the_kernel


def test_the_time_is_in_milliseconds() -> None:
    found = record(next(events("identity.sign_in")), None, PRODUCT)
    assert found["time"] == 1795512600123
    assert found["metadata"]["original_time"] == "2026-11-24T09:30:00.123456+00:00"

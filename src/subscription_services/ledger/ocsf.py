"""Events in the words of the Open Cybersecurity Schema Framework, version 1.8.0: one JSON object a line.

Authentication (3002), Account Change (3001), Entity Management (3004), Application Lifecycle (6002), and API Activity
(6003) for everything else. Personal fields stay sealed: an origin is its keyed index.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from subscription_services.kernel.columns import to_microseconds
from subscription_services.kernel.events import Event, Outcome

VERSION = "1.8.0"
AUTHENTICATION, ACCOUNT_CHANGE, ENTITY_MANAGEMENT = 3002, 3001, 3004
API_ACTIVITY, APPLICATION_LIFECYCLE = 6003, 6002
OTHER = 99
_NAMES = {
    AUTHENTICATION: "Authentication", ACCOUNT_CHANGE: "Account Change", ENTITY_MANAGEMENT: "Entity Management",
    API_ACTIVITY: "API Activity", APPLICATION_LIFECYCLE: "Application Lifecycle",
}  # fmt: skip
_CATEGORIES = {3: "Identity & Access Management", 6: "Application Activity"}
CREATE, READ, UPDATE, DELETE = 1, 2, 3, 4

# what is none of these is API Activity
_ACTIONS: dict[str, tuple[int, int]] = {
    "identity.sign_in": (AUTHENTICATION, 1), "identity.sign_in_code": (AUTHENTICATION, 1),
    "identity.confirm_it_is_me": (AUTHENTICATION, OTHER), "identity.touch_session": (AUTHENTICATION, OTHER),
    "identity.stuffing_recognised": (AUTHENTICATION, OTHER),
    "identity.sign_out": (AUTHENTICATION, 2), "identity.end_session": (AUTHENTICATION, 2),
    "identity.end_other_sessions": (AUTHENTICATION, 2),
    "identity.sign_up": (ACCOUNT_CHANGE, 1), "identity.create_probe": (ACCOUNT_CHANGE, 1),
    "identity.verify_address": (ACCOUNT_CHANGE, 2), "identity.enrol": (ACCOUNT_CHANGE, 2),
    "identity.change_password": (ACCOUNT_CHANGE, 3), "identity.reset_password": (ACCOUNT_CHANGE, 4),
    "identity.close_account": (ACCOUNT_CHANGE, 6), "identity.confirm_totp": (ACCOUNT_CHANGE, 10),
    "identity.remove_totp": (ACCOUNT_CHANGE, 11), "identity.start_totp": (ACCOUNT_CHANGE, OTHER),
    "identity.new_recovery_codes": (ACCOUNT_CHANGE, OTHER), "identity.change_name": (ACCOUNT_CHANGE, OTHER),
    "identity.confirm_email_change": (ACCOUNT_CHANGE, OTHER), "identity.revert_email_change": (ACCOUNT_CHANGE, OTHER),
    "identity.finish_recovery": (ACCOUNT_CHANGE, OTHER),
    "access.bootstrap": (ACCOUNT_CHANGE, 1), "access.invite": (ACCOUNT_CHANGE, 1),
    "access.grant_role": (ACCOUNT_CHANGE, 7), "access.end_grant": (ACCOUNT_CHANGE, 8),
    "access.confirm_role": (ACCOUNT_CHANGE, 7),
    "access.permit_deployment": (ENTITY_MANAGEMENT, 1), "access.end_deployment": (ENTITY_MANAGEMENT, 4),
    "access.create_service_account": (ENTITY_MANAGEMENT, 1), "access.end_service_account": (ENTITY_MANAGEMENT, 4),
    "access.issue_token": (ENTITY_MANAGEMENT, 1), "access.revoke_token": (ENTITY_MANAGEMENT, 4),
    "monitoring.record_settings": (ENTITY_MANAGEMENT, 3), "ledger.keep_for": (ENTITY_MANAGEMENT, 3),
    "ledger.hold": (ENTITY_MANAGEMENT, 1), "ledger.release": (ENTITY_MANAGEMENT, 4),
    "subscriptions.create_plan": (ENTITY_MANAGEMENT, 1), "subscriptions.retire_plan": (ENTITY_MANAGEMENT, 4),
    "subscriptions.seed_catalogue": (ENTITY_MANAGEMENT, 1),
    "monitoring.record_start": (APPLICATION_LIFECYCLE, 3), "monitoring.record_stop": (APPLICATION_LIFECYCLE, 4),
    "monitoring.record_unclean_stop": (APPLICATION_LIFECYCLE, 4),
    "monitoring.record_part_ended": (APPLICATION_LIFECYCLE, 5),
    "monitoring.record_migration": (APPLICATION_LIFECYCLE, 8),
}  # fmt: skip
_CREATING = ("create", "add", "start", "open", "issue", "subscribe", "declare", "record", "receive", "export", "refund")
_DELETING = ("delete", "remove", "end", "close", "cancel", "revoke", "destroy", "prune", "tidy", "erase", "finish")
_MEDIUM = {"monitoring.record_unclean_stop", "monitoring.record_part_ended", "identity.stuffing_recognised"}
_SEVERE = {"access.break_glass"}
_USER_TYPES = {"subscriber": 1, "team-member": 2, "system": 3, "service-account": 4}
_encoder = msgspec.json.Encoder(order="sorted")


@dataclass(frozen=True, slots=True)
class Product:
    """What the records say they come from. `changes` tells of an operation whether it changes something, if known."""

    name: str
    vendor: str
    version: str
    changes: Callable[[str], bool | None] = lambda action: None


def line(event: Event, log_index: int | None, product: Product) -> bytes:
    """The event as one line of JSON."""
    return _encoder.encode(record(event, log_index, product)) + b"\n"


def record(event: Event, log_index: int | None, product: Product) -> dict[str, Any]:
    """The event as an OCSF record with every attribute that its class requires."""
    class_uid, activity = _ACTIONS.get(event.action) or (API_ACTIVITY, _activity(event.action, product))
    milliseconds = to_microseconds(event.at) // 1000
    common = {
        "class_uid": class_uid, "class_name": _NAMES[class_uid], "category_uid": class_uid // 1000,
        "category_name": _CATEGORIES[class_uid // 1000], "activity_id": activity,
        "type_uid": class_uid * 100 + activity, "severity_id": _severity(event), "time": milliseconds,
        "status_id": 1 if event.outcome is Outcome.SUCCESS else 2,
        "status": "Success" if event.outcome is Outcome.SUCCESS else "Failure",
        "count": event.count, "actor": _actor(event), "metadata": _metadata(event, log_index, product),
        "message": f"{event.action}: {event.outcome.value}", "unmapped": _unmapped(event),
    }  # fmt: skip
    if event.reason:
        common |= {"status_code": event.reason, "status_detail": event.outcome.value}
    if activity == OTHER:
        common["activity_name"] = event.action
    return common | _of_class(class_uid, event, product)


def _of_class(class_uid: int, event: Event, product: Product) -> dict[str, Any]:
    service = {"name": product.name, "version": product.version}
    origin = {"uid": event.origin_index} if event.origin_index else {"name": "internal"}
    match class_uid:
        case 3002:
            found = {"user": _user(event), "service": service, "src_endpoint": origin, "is_remote": True}
            return found | ({"session": {"uid": event.session}} if event.session else {})
        case 3001:
            return {"user": _user(event), "src_endpoint": origin}
        case 3004:
            entity = {"uid": event.object or event.action}
            return {"entity": entity | ({"type": event.object_kind} if event.object_kind else {})}
        case 6002:
            return {"app": {"name": product.name, "vendor_name": product.vendor, "version": product.version}}
        case _:
            found = {"api": {"operation": event.action, "service": service}, "src_endpoint": origin}
            named = [{"uid": uid, "type": kind} for uid, kind in _resources(event)]
            return found | ({"resources": named} if named else {})


def _activity(action: str, product: Product) -> int:
    changes = product.changes(action)
    if changes is None:
        return OTHER
    if not changes:
        return READ
    verb = action.rpartition(".")[2].partition("_")[0]
    return CREATE if verb in _CREATING else DELETE if verb in _DELETING else UPDATE


def _severity(event: Event) -> int:
    """Informational (1) for what went well; Low (2) for what did not; Medium (3) for what is an alarm; Critical (5)
    where somebody went past what others have to grant, High (4) where they tried."""
    if event.action in _SEVERE:
        return 5 if event.outcome is Outcome.SUCCESS else 4
    if event.action in _MEDIUM:
        return 3
    return 1 if event.outcome is Outcome.SUCCESS else 2


def _actor(event: Event) -> dict[str, Any]:
    user: dict[str, Any] = {"uid": event.actor, "type_id": _USER_TYPES.get(event.actor_kind, 0)}
    found: dict[str, Any] = {"user": user | {"type": event.actor_kind}}
    if event.session:
        found["session"] = {"uid": event.session}
    return found


def _user(event: Event) -> dict[str, Any]:
    """Whose account it is: the person concerned, else who acted."""
    return {"uid": event.subject or event.actor}


def _metadata(event: Event, log_index: int | None, product: Product) -> dict[str, Any]:
    found: dict[str, Any] = {
        "version": VERSION, "uid": event.id, "event_code": event.action, "log_name": "audit",
        "original_time": event.at.isoformat(),
        "product": {"name": product.name, "vendor_name": product.vendor, "version": product.version},
    }  # fmt: skip
    if event.correlation:
        found["correlation_uid"] = event.correlation
    if log_index is not None:
        found["sequence"] = log_index
    return found


def _resources(event: Event) -> list[tuple[str, str]]:
    named = [(event.object, event.object_kind)] if event.object else []
    return named + ([(event.subject, "person")] if event.subject and event.subject != event.object else [])


def _unmapped(event: Event) -> dict[str, Any]:
    found: dict[str, Any] = {"outcome": event.outcome.value, "details": dict(event.details)}
    for name in ("object", "object_kind", "subject"):
        if getattr(event, name):
            found[name] = getattr(event, name)
    return found

"""What the SCIM endpoint says of itself (RFC 7643, sections 5 to 7): the same for everybody."""

from __future__ import annotations

from typing import Any

from .operations.scim import MOST
from .scim import LIST, USER

_CORE = "urn:ietf:params:scim:schemas:core:2.0"


def service_provider_config(base: str) -> dict[str, Any]:
    """What is supported."""
    no = {"supported": False}
    return {
        "schemas": [f"{_CORE}:ServiceProviderConfig"],
        "patch": {"supported": True},
        "bulk": {"supported": False, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": True, "maxResults": MOST},
        "changePassword": no,
        "sort": no,
        "etag": no,
        "authenticationSchemes": [
            {
                "type": "oauthbearertoken", "name": "Token of a service account", "primary": True,
                "description": "Authorization: Bearer subs_sa_…, with the scopes access.scim_…",
                "specUri": "https://www.rfc-editor.org/info/rfc6750",
            }
        ],
        "meta": {"resourceType": "ServiceProviderConfig", "location": f"{base}/ServiceProviderConfig"},
    }  # fmt: skip


def resource_types(base: str) -> dict[str, Any]:
    """Users, and nothing else."""
    return _list([user_type(base)])


def user_type(base: str) -> dict[str, Any]:
    return {
        "schemas": [f"{_CORE}:ResourceType"], "id": "User", "name": "User", "endpoint": "/Users", "schema": USER,
        "description": "A person of the team",
        "meta": {"resourceType": "ResourceType", "location": f"{base}/ResourceTypes/User"},
    }  # fmt: skip


def schemas(base: str) -> dict[str, Any]:
    """The one schema."""
    return _list([user_schema(base)])


def user_schema(base: str) -> dict[str, Any]:
    """The attributes that are kept; others are passed over."""
    return {
        "schemas": [f"{_CORE}:Schema"], "id": USER, "name": "User", "description": "A person of the team",
        "attributes": [
            _attribute("userName", "The address that they sign in with.", "immutable", required=True, unique="server"),
            _attribute("externalId", "What the directory calls them.", "readWrite", unique="server", exact=True),
            _attribute("displayName", "How they are called.", "readWrite"),
            _attribute("active", "False takes everything from them, for good.", "readWrite", kind="boolean"),
            {
                **_attribute("name", "The parts of the name; kept as one.", "readWrite", kind="complex"),
                "subAttributes": [
                    _attribute(part, "A part of the name.", "readWrite")
                    for part in ("formatted", "givenName", "familyName")
                ],
            },
            {
                **_attribute("emails", "The same address as userName.", "readOnly", kind="complex"),
                "multiValued": True,
                "subAttributes": [
                    _attribute("value", "The address.", "readOnly"),
                    _attribute("type", "Always work.", "readOnly"),
                    _attribute("primary", "Always true.", "readOnly", kind="boolean"),
                ],
            },
        ],
        "meta": {"resourceType": "Schema", "location": f"{base}/Schemas/{USER}"},
    }  # fmt: skip


def _attribute(
    name: str, description: str, mutability: str, *, kind: str = "string", required: bool = False,
    unique: str = "none", exact: bool = False,
) -> dict[str, Any]:  # fmt: skip
    return {
        "name": name, "type": kind, "multiValued": False, "description": description, "required": required,
        "caseExact": exact, "mutability": mutability, "returned": "default", "uniqueness": unique,
    }  # fmt: skip


def _list(resources: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "schemas": [LIST], "totalResults": len(resources), "startIndex": 1, "itemsPerPage": len(resources),
        "Resources": resources,
    }  # fmt: skip

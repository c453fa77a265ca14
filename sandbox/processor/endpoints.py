"""Webhook endpoints, and the events that are read back."""

from sandbox.loopback import NotLoopback, check_url, token
from sandbox.processor.calls import Call, page
from sandbox.processor.errors import Json, Refusal, missing
from sandbox.processor.forms import Params
from sandbox.processor.settings import API_VERSION


def new_endpoint(call: Call, url: str, events: list[str], secret: str) -> Json:
    """Store an endpoint with its signing secret. Its answer carries the secret once."""
    endpoint: Json = {
        "id": call.new_id("we"),
        "object": "webhook_endpoint",
        "api_version": API_VERSION,
        "application": None,
        "created": call.second,
        "description": None,
        "enabled_events": events,
        "livemode": False,
        "metadata": {},
        "status": "enabled",
        "url": url,
    }
    call.store.put(endpoint, {"secret": secret})
    return {**endpoint, "secret": secret}


def _checked(url: str) -> str:
    try:
        return check_url(url)
    except NotLoopback as error:
        raise Refusal(f"Invalid URL: {error}", code="url_invalid", param="url") from error


def create(call: Call, params: Params) -> Json:
    """POST /v1/webhook_endpoints; on this machine only."""
    url = _checked(params.required("url"))
    events = params.strings("enabled_events")
    description, metadata = params.text("description"), params.metadata({})
    params.text("api_version")
    params.done()
    if not events:
        raise missing("enabled_events")
    created = new_endpoint(call, url, events, f"whsec_{token(32)}")
    shown = {**created, "description": description, "metadata": metadata}
    call.store.put({name: value for name, value in shown.items() if name != "secret"})
    return shown


def retrieve(call: Call, params: Params, endpoint: str) -> Json:
    """GET /v1/webhook_endpoints/{id}, without its secret."""
    params.done()
    return call.find("webhook_endpoint", endpoint, "webhook_endpoint")


def listing(call: Call, params: Params) -> Json:
    """GET /v1/webhook_endpoints."""
    listed = page(call, params, "webhook_endpoint", "/v1/webhook_endpoints")
    params.done()
    return listed


def update(call: Call, params: Params, endpoint: str) -> Json:
    """POST /v1/webhook_endpoints/{id}: its URL, events, and whether it is disabled."""
    found = call.find("webhook_endpoint", endpoint, "webhook_endpoint")
    url, events = params.text("url"), params.strings("enabled_events")
    disabled = params.flag("disabled") if params.has("disabled") else found["status"] == "disabled"
    params.done()
    changed = {
        **found,
        "url": found["url"] if url is None else _checked(url),
        "enabled_events": events or found["enabled_events"],
        "status": "disabled" if disabled else "enabled",
    }
    return call.store.put(changed)


def delete(call: Call, params: Params, endpoint: str) -> Json:
    """DELETE /v1/webhook_endpoints/{id}."""
    params.done()
    call.find("webhook_endpoint", endpoint, "webhook_endpoint")
    call.store.remove(endpoint)
    return {"id": endpoint, "object": "webhook_endpoint", "deleted": True}


def retrieve_event(call: Call, params: Params, event: str) -> Json:
    """GET /v1/events/{id}."""
    params.done()
    return call.find("event", event, "event")


def list_events(call: Call, params: Params) -> Json:
    """GET /v1/events, newest first."""
    listed = page(call, params, "event", "/v1/events", ("type",))
    params.done()
    return listed

"""What payment and setup intents share: how they are asked for, refused, authenticated and pointed back."""

from urllib.parse import urlencode, urlsplit

from sandbox.loopback import origin_of
from sandbox.processor.calls import Call
from sandbox.processor.cards import Authentication, Decline, refuse
from sandbox.processor.errors import Json, Refusal
from sandbox.processor.forms import Params
from sandbox.processor.methods import behaviour, is_set_up

OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")
AUTHENTICATION_REQUIRED = Decline(
    "authentication_required",
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
)


def read_types(params: Params) -> Json | None:
    """`automatic_payment_methods` and `payment_method_types`; cards only."""
    if [kind for kind in params.strings("payment_method_types") if kind != "card"]:
        raise Refusal("The sandbox takes cards only", param="payment_method_types")
    automatic = params.inner("automatic_payment_methods")
    redirects = automatic.one_of("allow_redirects", ("always", "never"), "always")
    return {"allow_redirects": redirects, "enabled": True} if automatic.flag("enabled") else None


def check_return_url(call: Call, url: str) -> str:
    """The URL itself when it leads to an embedder; Refusal otherwise, so that nobody is redirected elsewhere."""
    parts = urlsplit(url)
    plain = "@" not in parts.netloc and "\\" not in url and not any(ord(letter) < 33 for letter in url)
    if parts.scheme not in ("http", "https") or not plain or origin_of(url) not in call.settings.embedders:
        raise Refusal("Invalid return_url: it is not on an origin that embeds the card form", param="return_url")
    return url


def frame_url(call: Call, intent: Json, return_url: str) -> str:
    """Where the cardholder continues with an intent."""
    room = "payment" if intent["object"] == "payment_intent" else "setup"
    query = {
        "client_secret": intent["client_secret"],
        "return_url": return_url,
        "publishable_key": call.settings.publishable_key,
    }
    return f"{call.settings.public_url}/frame/{room}?{urlencode(query)}"


def next_action(call: Call, intent: Json, return_url: str | None) -> Json:
    """What the cardholder's browser does next; without a return URL that is the frame's business."""
    if return_url is None:
        return {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
    target = {"return_url": return_url, "url": frame_url(call, intent, return_url)}
    return {"redirect_to_url": target, "type": "redirect_to_url"}


def needs_authentication(call: Call, method: Json, *, off_session: bool) -> bool:
    """Whether the bank asks for 3-D Secure now."""
    wish = behaviour(call, method).authentication
    if wish is Authentication.UNLESS_SET_UP:
        return not (off_session and is_set_up(call, method))
    return wish is Authentication.ALWAYS


def check_owner(intent: Json, method: Json) -> None:
    """Refuse a payment method that is another customer's than the intent's."""
    if method["customer"] is not None and method["customer"] != intent["customer"]:
        message = (
            f"The provided PaymentMethod ({method['id']}) is attached to a Customer; "
            "name that Customer on the intent to use it."
        )
        raise Refusal(message, param="payment_method")


def failed_authentication(method: Json) -> Json:
    """The error left on an intent after a failed 3-D Secure challenge, without its code's prefix."""
    return {
        "message": "We are unable to authenticate your payment method. Choose a different payment method "
        "and try again.",
        "payment_method": method,
        "type": "invalid_request_error",
    }


def declined(decline: Decline, method: Json) -> Json:
    """The error left on an intent after a decline."""
    return {**refuse(decline).error(), "payment_method": method}

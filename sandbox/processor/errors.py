"""Refusals in the shape of Stripe's error object."""

from typing import Any

Json = dict[str, Any]


class Refusal(Exception):
    """An answer other than 2xx, as Stripe writes it.

    `kept` says whether what happened so far is committed and the answer remembered under its idempotency key:
    true once the request was executed (a decline), false when it was never begun (a wrong parameter).
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        decline_code: str | None = None,
        kept: bool = False,
        **objects: Any,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = kind
        self.code = code
        self.param = param
        self.decline_code = decline_code
        self.kept = kept
        self.objects = objects

    def error(self) -> Json:
        """The error object, without the intent or charge that a refusal of a payment carries."""
        named = {"code": self.code, "decline_code": self.decline_code, "param": self.param}
        error: Json = {name: value for name, value in named.items() if value is not None}
        if self.code:
            error["doc_url"] = f"https://stripe.com/docs/error-codes/{self.code.replace('_', '-')}"
        return {**error, "message": self.message, "type": self.kind}

    def body(self) -> Json:
        """The whole answer."""
        return {"error": {**self.error(), **self.objects}}


def missing(param: str) -> Refusal:
    """A required parameter that was not given."""
    return Refusal(f"Missing required param: {param}.", code="parameter_missing", param=param)


def no_such(kind: str, identifier: str, param: str = "id", *, status: int = 404) -> Refusal:
    """An id that names nothing here."""
    noun = kind.replace("_", " ")
    return Refusal(f"No such {noun}: '{identifier}'", status=status, code="resource_missing", param=param)


def unexpected_state(kind: str, message: str, **objects: Any) -> Refusal:
    """An intent in a status that does not allow the call; kept, since the call was executed."""
    return Refusal(message, code=f"{kind}_unexpected_state", kept=True, **objects)

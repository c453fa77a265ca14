"""The room's slice of the settings."""

from __future__ import annotations

from typing import Annotated

import msgspec

from subscription_services.kernel.settings import Says, Slice


class MailSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How letters leave the house."""

    host: Annotated[str, Says("Mail server that takes our letters.")] = "127.0.0.1"
    port: Annotated[int, Says("Its port. STARTTLS is used whenever the server offers it.")] = 25
    username: Annotated[
        str, Says("Name to sign in with; empty for none. With a name, TLS with a valid certificate is required.")
    ] = ""
    password: Annotated[str, Says("Password that goes with the name.", secret=True)] = ""
    sender: Annotated[str, Says("Address that letters come from. Its domain stands in every Message-ID.")] = (
        "no-reply@my-subscription-services.com"
    )
    require_tls: Annotated[
        bool, Says("Send nothing unless the server offers STARTTLS with a valid certificate; letters wait instead.")
    ] = False
    ca_file: Annotated[str, Says("Certificates to trust for the mail server; empty for those of the system.")] = ""
    timeout: Annotated[int, Says("Seconds to wait for each answer of the mail server, at most 45.")] = 20

    def __post_init__(self) -> None:
        if not 1 <= self.timeout <= 45:
            raise ValueError("the mail timeout is 1 to 45 seconds")
        if not 1 <= self.port <= 65535:
            raise ValueError("the mail port is 1 to 65535")


SETTINGS = Slice("mail", MailSettings)

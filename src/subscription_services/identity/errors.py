"""What can go wrong with accounts, in people's words."""

from __future__ import annotations

from subscription_services.kernel.errors import Conflict, Invalid, Refusal, Unavailable


class WrongCredentials(Refusal):
    code = "wrong-credentials"
    message = "The e-mail address or the password is not right."


class NotVerified(Refusal):
    code = "not-verified"
    message = "This address is not verified yet. Open the link in the letter that we sent, or ask for a new one."


class WrongCode(Refusal):
    code = "wrong-code"
    message = "That code is not right, or it was used before. Wait for the next one and check your device's clock."


class ChallengeEnded(Refusal):
    code = "sign-in-ended"
    message = "This sign-in took too long or had too many wrong codes. Start again with your password."


class TooManyCodes(Refusal):
    code = "too-many-codes"
    message = "Too many wrong codes for this account. Wait an hour, then sign in again."


class LinkInvalid(Refusal):
    code = "link-invalid"
    message = "This link is not valid. Copy it whole from the newest letter, or ask for a new one."


class LinkExpired(Refusal):
    code = "link-expired"
    message = "This link has expired. Ask for a new one."


class LinkUsed(Refusal):
    code = "link-used"
    message = "This link was used already. If that was you, simply sign in."


class NotTheBeginner(Refusal):
    code = "not-the-beginner"
    message = "Type the password that was chosen when the account was begun."


class WeakPassword(Invalid):
    code = "weak-password"
    message = "Choose another password."


class BadAddress(Invalid):
    code = "bad-address"
    message = "That does not look like an e-mail address."


class AddressTaken(Conflict):
    code = "address-taken"
    message = "There is an account with this address."


class AlreadyOn(Conflict):
    code = "second-factor-on"
    message = "Two-factor sign-in is on already."


class NotStarted(Conflict):
    code = "second-factor-not-started"
    message = "Start setting up two-factor sign-in first."


class Compulsory(Refusal):
    code = "second-factor-compulsory"
    message = "Two-factor sign-in is compulsory for team members."


class BadProof(Invalid):
    code = "bad-proof"
    message = "That is no proof of a key: a JWS of type dbsc+jwt, ES256, that signs our challenge."


class StaleProof(Refusal):
    """`challenge` is what is to be signed instead."""

    code = "stale-proof"
    message = "The proof signs another challenge than the one that is open."

    def __init__(self, challenge: str = "") -> None:
        super().__init__()
        self.challenge = challenge


class WrongKey(Refusal):
    code = "wrong-key"
    message = "Another key than the session's own signed. The session is ended."


class SignOnOff(Refusal):
    code = "sign-on-off"
    message = "Single sign-on is not set up here. Sign in with your password."


class SignOnRequired(Refusal):
    code = "sign-on-required"
    message = "Team members sign in with single sign-on here. Use its button on the page for signing in."


class SignOnFailed(Refusal):
    """The text says what to do; what exactly was wrong stands in the log."""

    code = "sign-on-failed"
    message = "Single sign-on did not work, and nobody is signed in. Start again from the page for signing in."


class ProviderSilent(Unavailable):
    code = "provider-silent"
    message = "The sign-on provider does not answer as it should. Nobody is signed in; try again shortly."

"""What can go wrong with accounts, in people's words."""

from __future__ import annotations

from collections.abc import Mapping

from subscription_services.kernel.errors import Conflict, Invalid, Refusal, Unavailable

from .passwords import Strength


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
    """`strength` is for the page: how strong it looks, and what would make it stronger."""

    code = "weak-password"
    message = "Choose another password."

    def __init__(
        self, message: str | None = None, *, fields: Mapping[str, str] | None = None, strength: Strength | None = None
    ) -> None:
        super().__init__(message, fields=fields)
        self.strength = strength


class BadAddress(Invalid):
    code = "bad-address"
    message = "That does not look like an e-mail address."


class AddressTaken(Conflict):
    code = "address-taken"
    message = "There is an account with this address."


class NotStarted(Conflict):
    code = "second-factor-not-started"
    message = "Start setting up two-factor sign-in first."


class Compulsory(Refusal):
    code = "second-factor-compulsory"
    message = "Two-factor sign-in is compulsory for team members. Add another passkey or authenticator app first."


class WrongPasskey(Refusal):
    """One answer for whatever is wrong, so that it does not tell whether an account or a passkey exists."""

    code = "wrong-passkey"
    message = "That did not work with this passkey. Try once more, or choose another way."


class PasskeyCopied(Refusal):
    code = "passkey-copied"
    message = (
        "This passkey counts its uses, and it counted fewer than we did, as a copy of it would. We refused it. "
        "Sign in another way and remove it, unless you know why."
    )


class PasskeyKnown(Conflict):
    code = "passkey-known"
    message = "This passkey is registered already."


class TooManyFactors(Conflict):
    code = "too-many-factors"
    message = "You have ten of them already. Remove one that you no longer use first."


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


class SameAddress(Invalid):
    code = "same-address"
    message = "That is your address already."


class ChangeOver(Refusal):
    code = "email-change-over"
    message = "This change of address is over: it was stopped, replaced by a newer one, or took too long."


class NothingLost(Conflict):
    code = "nothing-lost"
    message = "This account has no second factor. A new password is enough to get in."


class ConfirmNewFirst(Conflict):
    code = "confirm-new-first"
    message = "Open the letter at the new address and confirm it first."


class RecoveryOver(Refusal):
    code = "recovery-over"
    message = "This request is over: it was stopped, decided, used, or took too long."


class TooEarly(Refusal):
    code = "recovery-too-early"
    message = "The waiting time is not over, or our team has not approved the request yet."


class OwnRecovery(Refusal):
    code = "own-recovery"
    message = "Somebody else has to decide about your own account."


class OtherRecovery(Refusal):
    code = "other-recovery"
    message = "An administrator decides about the account of a team member, support and security about all others."


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

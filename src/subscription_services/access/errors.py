"""What can go wrong with roles, tokens and approvals, in the domain's words."""

from __future__ import annotations

from subscription_services.kernel.errors import ApprovalNeeded, Conflict, Invalid, Refusal


class AlreadyBootstrapped(Conflict):
    code = "already-bootstrapped"
    message = "The first administrators were made already. Ask an administrator for an invitation."


class NotToOneself(Refusal):
    code = "not-to-oneself"
    message = "Nobody grants a role to themselves. Ask another administrator."


class NotATeamMember(Conflict):
    code = "not-a-team-member"
    message = "Roles are for open accounts of team members. Invite the person first."


class RoleHeld(Conflict):
    code = "role-held"
    message = "This person holds the role already. End the present grant first to change it."


class GrantEnded(Conflict):
    code = "grant-ended"
    message = "This grant has ended already."


class LastAdministrator(Conflict):
    code = "last-administrator"
    message = "This is the last administrator. Make another one first, or nobody could manage the team."


class LimitsForged(Conflict):
    code = "limits-forged"
    message = (
        "The stored limits of roles are not as this service left them, so roles allow nothing but what puts that right."
        " Let somebody approve that all limits are taken back, then set them anew."
    )


class ChangedMeanwhile(Conflict):
    code = "changed-meanwhile"
    message = "Somebody else changed this a moment ago. Look at it again."


class LimitRefused(Invalid):
    code = "limit-refused"
    message = "A role can only lose what code allows it and what is not taken from it already."


class ServiceAccountEnded(Conflict):
    code = "service-account-ended"
    message = "This service account has ended."


class NameTaken(Conflict):
    code = "name-taken"
    message = "Another service account has this name."


class TokenRevoked(Conflict):
    code = "token-revoked"
    message = "This token is revoked already."


class NothingLeft(Conflict):
    code = "nothing-left"
    message = "A token that may do nothing is of no use. Revoke it instead."


class HandedOver(Conflict):
    code = "handed-over"
    message = "This person answers for it already."


class ScopeRefused(Invalid):
    code = "scope-refused"
    message = "A token can only be scoped to operations that service accounts may do."


class NotIndependent(Refusal):
    code = "not-independent"
    message = "Somebody independent of the person who asks has to decide this."


class NotSigned(Refusal):
    code = "not-signed"
    message = "An approval needs your passkey. Add one to your account, then approve again."


class ApprovalForged(ApprovalNeeded):
    code = "approval-forged"
    message = (
        "A stored approval is not one that this service wrote. Nothing was done; the record of this is in the log."
    )


class ApprovalWaits(ApprovalNeeded):
    code = "approval-waits"


class NothingToApprove(Conflict):
    code = "nothing-to-approve"
    message = "This needs no approval. Carry it out directly."


class ApprovalAsked(Conflict):
    code = "approval-asked"
    message = "You have asked for exactly this already. It is in your list of requests."


class RequestEnded(Conflict):
    code = "request-ended"
    message = "This request has ended: it was used, refused, withdrawn, or its time is up."


class AlreadyApproved(Conflict):
    code = "already-approved"
    message = "You have approved this already."


class OtherWords(Conflict):
    code = "other-words"
    message = "What you would approve now reads differently from what you were shown. Read it again."


class NothingToConfirm(Conflict):
    code = "nothing-to-confirm"
    message = "This role does not lapse: its holder did not get another one, or it was confirmed already."


class AlreadyPermitted(Conflict):
    code = "already-permitted"
    message = "This release is permitted in this environment already."


class TaskEnded(Conflict):
    code = "task-ended"
    message = "This task has ended, or its time is up."


class TaskGranted(Conflict):
    code = "task-granted"
    message = "This was granted already."


class TaskRefused(Invalid):
    code = "task-refused"
    message = "That cannot be lent for a task."


class AlreadyLeft(Conflict):
    code = "already-left"
    message = "This account is deactivated already."


class NoWayBack(Conflict):
    code = "no-way-back"
    message = (
        "This account was deactivated: its password, second factor and roles are gone. Let an administrator invite the "
        "person anew, with a new account."
    )


class ExternalIdTaken(Conflict):
    code = "external-id-taken"
    message = "Another person on the team has this externalId."


class UserNameFixed(Invalid):
    code = "user-name-fixed"
    message = "The userName is the address that a person signs in with; only they change it, with a proof."


class NothingSealed(Conflict):
    code = "nothing-sealed"
    message = "There is no sealed code. Seal one, together with somebody else, and keep it in an envelope."


class WrongGlassCode(Refusal):
    code = "wrong-glass-code"
    message = "This is not the sealed code. Everybody who looks after access was told of the attempt."


class GlassReviewOpen(Refusal):
    code = "glass-review-open"
    message = "You broke the glass before, and what you did then is not reviewed yet. Somebody has to close that first."


class GlassClosed(Conflict):
    code = "glass-closed"
    message = "This review is closed already."


class GlassStillBroken(Conflict):
    code = "glass-still-broken"
    message = "The glass is still broken. End the access first, or wait until its time is up; then review it."


class NothingToUnmask(Invalid):
    code = "nothing-to-unmask"
    message = "Choose what you need to see."


class UnmaskingRefused(Refusal):
    code = "unmasking-refused"
    message = "Your role does not need this. Ask for a task that does."


class ReviewForged(Conflict):
    code = "review-forged"
    message = "What is stored of this review is not what this service wrote. Tell security."


class ReviewOver(Conflict):
    code = "review-over"
    message = "This review is over: everything was decided, its time is up, or it was void."


class ReviewOpen(Conflict):
    code = "review-open"
    message = "The record is there once the review is over."


class Decided(Conflict):
    code = "decided"
    message = "This was decided already."


class LapsedMeanwhile(Conflict):
    code = "lapsed-meanwhile"
    message = "This has ended in the meantime. There is nothing left to decide."


class ShownOtherwise(Conflict):
    code = "shown-otherwise"
    message = "What you would decide about now reads differently from what you were shown. Read it again."


class NotDueYet(Conflict):
    code = "not-due-yet"
    message = "It is not time for this yet."

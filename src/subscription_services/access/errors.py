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


class ServiceAccountEnded(Conflict):
    code = "service-account-ended"
    message = "This service account has ended."


class NameTaken(Conflict):
    code = "name-taken"
    message = "Another service account has this name."


class TokenRevoked(Conflict):
    code = "token-revoked"
    message = "This token is revoked already."


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

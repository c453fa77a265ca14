"""Everything that verification can raise."""


class VerifierError(Exception):
    """What was given is not verified. The message says why, in one line."""


class Malformed(VerifierError):
    """The input is not in the one form that its standard allows."""


class TooLarge(Malformed):
    """The input is larger than this verifier accepts."""


class BadSignature(VerifierError):
    """A signature is wrong, or there is none of a trusted key."""


class BadProof(VerifierError):
    """A proof does not lead to the signed root."""


class NotWitnessed(VerifierError):
    """Fewer witnesses cosigned than the policy demands."""


class Tampered(VerifierError):
    """Published entries or tiles are missing or are not those that were signed."""


class Unreadable(VerifierError):
    """A file is not there, is not a plain file, or cannot be read."""

"""Verifies a transparency log in the C2SP formats, offline, from what the log published alone.

An independent reading of the standards: nothing here is shared with the server whose log it checks. Verification
raises a `VerifierError`; it never returns a truth value that somebody could forget to look at.
"""

from .checkpoint import Checkpoint, Head, open_checkpoint, parse_checkpoint
from .errors import BadProof, BadSignature, Malformed, NotWitnessed, Tampered, TooLarge, Unreadable, VerifierError
from .folder import FolderReport, verify_folder
from .merkle import leaf_hash, verify_consistency, verify_inclusion
from .note import Key, parse_key
from .policy import Policy, parse_policy, policy_of_key
from .proof import ConsistencyProof, InclusionProof, parse_consistency, parse_inclusion
from .statement import Statement, compare_with_status, verify_statement

__all__ = [
    "BadProof", "BadSignature", "Checkpoint", "ConsistencyProof", "FolderReport", "Head", "InclusionProof", "Key",
    "Malformed", "NotWitnessed", "Policy", "Statement", "Tampered", "TooLarge", "Unreadable", "VerifierError",
    "compare_with_status", "leaf_hash", "open_checkpoint", "parse_checkpoint", "parse_consistency", "parse_inclusion",
    "parse_key", "parse_policy", "policy_of_key", "verify_consistency", "verify_folder", "verify_inclusion",
    "verify_statement",
]  # fmt: skip

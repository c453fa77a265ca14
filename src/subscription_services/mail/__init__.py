"""Email security: every letter goes out over the best encryption that the receiver offers, once, and is accounted for."""

from .letters import Letter, LetterKind, SendLetter, SiteFacts

__all__ = ["Letter", "LetterKind", "SendLetter", "SiteFacts"]

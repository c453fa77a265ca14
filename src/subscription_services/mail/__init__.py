"""Email security: letters go out over the best encryption that the receiver offers, and each is accounted for."""

from .letters import Letter, LetterKind, SendLetter, SiteFacts

__all__ = ["Letter", "LetterKind", "SendLetter", "SiteFacts"]

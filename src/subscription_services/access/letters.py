"""Letters of this room: none. The letter that enrols an invited person is identity's."""

from __future__ import annotations

from subscription_services.mail import LetterKind

LETTERS: tuple[LetterKind, ...] = ()

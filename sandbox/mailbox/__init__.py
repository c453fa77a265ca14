"""A mail server that keeps what it receives in memory, and pages to read it. Delivers nothing."""

from sandbox.mailbox.server import Addresses, MailboxSettings, mailbox, run

__all__ = ["Addresses", "MailboxSettings", "mailbox", "run"]

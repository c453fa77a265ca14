"""A small witness, C2SP tlog-witness: it remembers the newest checkpoint of each log that it was told to watch, checks
that the next one extends it, and cosigns only what it has made durable. So a log cannot show it two histories.

Its memory is its state folder. Whoever puts an old copy of that folder back makes the witness forget.
"""

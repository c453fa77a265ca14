"""What `subs` does for a person at a terminal: each command signs in as somebody and goes through operations."""

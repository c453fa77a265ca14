"""What `subs` does for a person at a terminal."""

"""Every operation of the room, by subject."""

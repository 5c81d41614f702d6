"""The configured backends: how they are, and which one takes a new key."""

"""Backends: found by their metadata, loaded one at a time, opened on first use, and called behind guards."""

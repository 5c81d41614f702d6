"""Keyclave's keys in the types of other libraries."""

"""A test plugin that must never be imported."""

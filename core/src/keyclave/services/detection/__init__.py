"""Where we run (FR-002)."""

"""A second backend signs while the first is away (FR-024)."""

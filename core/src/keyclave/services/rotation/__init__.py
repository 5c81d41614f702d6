"""New versions of keys (FR-017, FR-022), by hand or when they are due."""

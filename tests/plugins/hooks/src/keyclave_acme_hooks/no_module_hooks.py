"""It offers nothing."""

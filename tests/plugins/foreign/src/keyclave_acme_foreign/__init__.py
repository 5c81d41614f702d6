"""A test plugin with keys on disk: those of Keyclave, and those of others that it can adopt."""

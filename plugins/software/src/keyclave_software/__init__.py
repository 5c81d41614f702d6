"""Keys in software: an encrypted keystore on disk, for development and as the embedded default."""

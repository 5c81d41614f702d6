"""Keys in a hardware security module, reached through PKCS#11."""

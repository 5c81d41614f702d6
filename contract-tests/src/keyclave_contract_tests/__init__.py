"""The contract test suite for Keyclave backends. This version installs, and has no checks yet."""

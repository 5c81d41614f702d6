"""Backends that are wrong on purpose, one module for each group of checks."""

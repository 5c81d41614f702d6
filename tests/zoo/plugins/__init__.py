"""Modules of plugins that are wrong on purpose, and the right one that they are made from."""

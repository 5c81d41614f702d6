"""Modules of plugins that are wrong on purpose. They are loaded in processes of their own."""

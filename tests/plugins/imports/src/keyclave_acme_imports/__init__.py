"""Test plugins whose import harms, each in its own way."""

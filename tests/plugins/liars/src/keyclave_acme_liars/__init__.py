"""Test plugins that look healthy, and whose hooks lie, hang or change what they are given."""

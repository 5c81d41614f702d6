"""Test plugins that import well and break the contract of hooks, each in its own way."""

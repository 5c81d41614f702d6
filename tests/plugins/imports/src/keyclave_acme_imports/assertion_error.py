"""Its import fails with the exception that stevedore lets through."""

raise AssertionError("canary-in-the-text")

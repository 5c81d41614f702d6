"""What a run found, written down: JSON, JUnit, a page, a badge, and what changed since another run."""

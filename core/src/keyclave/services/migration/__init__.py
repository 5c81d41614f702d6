"""Keys go from one backend to another (FR-012), a file for each step and what the steps share."""

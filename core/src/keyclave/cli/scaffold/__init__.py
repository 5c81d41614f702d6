"""What ``keyclave new-backend`` writes, and how."""

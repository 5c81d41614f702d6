"""What is done with one key, a file for each use case."""

"""A healthy test plugin: keys in memory, gone when it is closed."""

"""Its module: importing it is the failure that a test looks for."""

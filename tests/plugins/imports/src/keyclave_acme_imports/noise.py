"""Its import writes more to standard output and standard error than a pipe holds, and then fails."""

import os
import sys

for descriptor in (1, 2):
    os.write(descriptor, b"noise" * 100_000)
sys.stdout.write("noise" * 100_000)
raise RuntimeError("canary-in-the-text")

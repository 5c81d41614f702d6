"""Its import writes to standard output what looks like the answer of a probe, and ends the process."""

import json
import os
import sys

sys.stdout.write(json.dumps({"nonce": "0" * 32, "outcome": ""}))
sys.stdout.flush()
os._exit(0)

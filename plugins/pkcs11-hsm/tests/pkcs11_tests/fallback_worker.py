"""An application of its own that signs until it is refused, or until the token signs: ``fallback_worker.py CONFIG``.

It prints a JSON object for each attempt: when it was made, and what came of it.
"""

from __future__ import annotations

import json
import sys
import time

import keyclave
from keyclave.errors import BackendUnavailable
from pkcs11_tests.test_end_to_end import MESSAGE


def main() -> None:
    with keyclave.open(sys.argv[1], principal="worker") as clave:
        while True:
            at = time.time()
            try:
                result = clave.keys.sign("release", MESSAGE)
            except BackendUnavailable as error:
                answer: dict[str, object] = {"refused": error.next_step}
            else:
                answer = {"version": result.version, "fallback": result.fallback, "signature": result.signature.hex()}
            print(json.dumps({"at": at, **answer}), flush=True)  # noqa: T201  the program's answer
            if not answer.get("fallback"):
                return
            time.sleep(0.1)


if __name__ == "__main__":
    main()

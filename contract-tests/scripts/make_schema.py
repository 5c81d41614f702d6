"""Write the JSON Schema of the contract report to the documentation.

python contract-tests/scripts/make_schema.py
"""

from __future__ import annotations

from pathlib import Path

from keyclave_contract_tests.report import schema

TARGET = Path(__file__).parents[2] / "docs/reference/contract-report.schema.json"

if __name__ == "__main__":
    TARGET.write_text(schema.text(), encoding="utf-8")

"""Time callables against each other, in turns, so that what disturbs one disturbs all."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["interleave", "ratio", "row"]


def interleave(
    cases: Mapping[str, Callable[[], object]],
    *,
    number: int,
    rounds: int = 15,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Return, for each case, the seconds per call of every round. A round runs ``number`` calls of each case."""
    samples: dict[str, list[float]] = {name: [] for name in cases}
    for case in cases.values():
        case()
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, case in cases.items():
                started = clock()
                for _ in range(number):
                    case()
                samples[name].append((clock() - started) / number)
    finally:
        gc.enable()
    return samples


def ratio(samples: Mapping[str, list[float]], case: str, floor: str) -> float:
    """Return the median over the rounds of case divided by floor."""
    return statistics.median(a / b for a, b in zip(samples[case], samples[floor], strict=True))


def row(identifier: str, value: float, unit: str, target: str, *, met: bool | None) -> dict[str, Any]:
    """Return one row of the report. ``met`` is ``None`` for a figure without a target."""
    return {"id": identifier, "value": round(value, 3), "unit": unit, "target": target, "met": met}

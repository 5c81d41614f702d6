"""What a number of clean operations shows, and when a count is too far from what chance gives."""

from __future__ import annotations

from functools import cache
from math import comb

__all__ = ["largest_lean", "largest_rate", "suspicious_count"]

_RULE_OF_THREE = 3
_FALSE_ALARMS = 10**9


def largest_rate(clean: int) -> float:
    """Return the rate of failures that ``clean`` operations without one exclude with 95 % confidence.

    The rule of three: (1 - 3/n)^n is about e^-3, 5 %.

    Examples:
        >>> largest_rate(6000)
        0.0005
    """
    return min(1.0, _RULE_OF_THREE / clean)


@cache
def suspicious_count(tosses: int, coins: int) -> int | None:
    """Return how many heads, or tails, of one of several fair coins happen by chance once in 10^9 runs or less.

    Args:
        tosses: of each coin.
        coins: how many there are; the chance is that any of them shows so many.

    Returns:
        The smallest such number, by the exact binomial distribution; ``None`` where no number of tosses is so rare.

    Examples:
        >>> suspicious_count(60, 256)
        56
        >>> suspicious_count(5, 256) is None
        True
    """
    tail, found = 0, None
    for heads in range(tosses, tosses // 2, -1):
        tail += comb(tosses, heads)
        if 2 * tail * coins * _FALSE_ALARMS > 2**tosses:
            break
        found = heads
    return found


@cache
def largest_lean(tosses: int, limit: int) -> int:
    """Return how often, in percent, a coin may show one side and not be suspected, with 95 % confidence.

    Args:
        tosses: of the coin.
        limit: what `suspicious_count` returned.

    Returns:
        The smallest whole percentage at which ``limit`` or more are 95 % probable, exactly.

    Examples:
        >>> largest_lean(60, 56)
        97
        >>> largest_lean(1000, 606)
        64
    """
    whole = 100**tosses
    for percent in range(50, 100):
        tail = sum(comb(tosses, n) * percent**n * (100 - percent) ** (tosses - n) for n in range(limit, tosses + 1))
        if 20 * tail >= 19 * whole:
            return percent
    return 100

"""What counts show."""

from __future__ import annotations

import random

from keyclave_contract_tests.evidence import largest_lean, largest_rate, suspicious_count


def test_no_operation_shows_nothing_and_few_show_little() -> None:
    assert largest_rate(1) == 1.0
    assert largest_rate(120) == 0.025


def test_the_limit_is_where_the_exact_tail_falls_below_the_rate() -> None:
    assert suspicious_count(40, 1) == 39  # 2 * (1 + 40) / 2^40 is 7.5e-11; with 38 it is 1.5e-9
    assert suspicious_count(30, 1) is None  # 2 / 2^30 is 1.9e-9


def test_more_coins_need_more_heads() -> None:
    one, many = suspicious_count(1000, 1), suspicious_count(1000, 384)
    assert one is not None
    assert many is not None
    assert 500 < one < many < 1000


def test_what_escapes_is_less_the_more_is_looked_at() -> None:
    leans = []
    for tosses in (60, 120, 1000):
        limit = suspicious_count(tosses, 256)
        assert limit is not None
        leans.append(largest_lean(tosses, limit))
    assert leans == sorted(leans, reverse=True)
    assert largest_lean(40, 40) == 100  # even 99 % shows one side forty times in two of three tries only


def test_fair_coins_stay_below_the_limit() -> None:
    limit = suspicious_count(200, 256)
    drawn = random.Random(1)
    worst = max(drawn.getrandbits(200).bit_count() for _ in range(256))
    assert limit is not None
    assert worst < limit

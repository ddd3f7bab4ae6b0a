"""The shipped rates are whole, and the combination takes what is known."""

from __future__ import annotations

import pytest

from livepuppet.evidence.measurement import CLUES, too_little
from livepuppet.evidence.rates import Combination, shipped_benchmark
from livepuppet.evidence.report import TEXTS


def test_the_shipped_rates_are_whole() -> None:
    benchmark = shipped_benchmark()
    assert benchmark.people >= 2
    assert set(benchmark.clues) <= set(CLUES) <= set(TEXTS)
    for rates in [*benchmark.clues.values(), benchmark.combined]:
        assert 0 <= rates.false_alarms <= 1 and 0 <= rates.misses <= 1
        assert rates.area_interval[0] <= rates.area <= rates.area_interval[1]
        assert rates.usual[0] <= rates.usual[1]
        assert rates.recordings > 0 and rates.puppets > 0


def test_a_clue_without_a_value_counts_as_undecided() -> None:
    combine = Combination({"new_pixels": (0.0, 1.0, 2.0), "background": (0.0, 1.0, 1.0)})
    both = combine({"new_pixels": 5.0, "background": 5.0})
    one = combine({"new_pixels": 5.0, "background": None})
    assert both is not None and one is not None and both == pytest.approx(1.5 * one)
    assert combine({"new_pixels": None, "background": None}) is None
    assert shipped_benchmark().combine(too_little("nobody")) is None

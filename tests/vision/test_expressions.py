"""Expressions by name: sides, nonsense, and the mirror."""

from __future__ import annotations

import math

import numpy as np

from livepuppet.types import ExpressionFrame
from livepuppet.vision.expressions import EXPRESSION_UNITS, mirrored_expression, unit_weights


def test_a_name_without_its_side_means_both() -> None:
    weights = dict(zip(EXPRESSION_UNITS, unit_weights({"mouthSmile": 0.5, "jawOpen": 0.25}), strict=True))
    assert weights["mouthSmileLeft"] == weights["mouthSmileRight"] == 0.5 and weights["jawOpen"] == 0.25
    assert sum(weights.values()) == 1.25


def test_nonsense_counts_as_nothing_and_too_much_as_all() -> None:
    weights = unit_weights({"jawOpen": math.nan, "mouthPucker": 7.0, "mouthFunnel": -1.0, "tailWag": 1.0})
    assert weights.sum() == 1.0 and weights[EXPRESSION_UNITS.index("mouthPucker")] == 1.0


def test_a_mirror_swaps_the_sides_and_twice_is_as_before() -> None:
    rng = np.random.default_rng(1)
    frame = ExpressionFrame(rng.uniform(size=52), 3, 4.0, 5.0, rng.normal(size=3), rng.normal(size=3), rng.normal(size=2))
    other = mirrored_expression(frame)
    assert other.weights[EXPRESSION_UNITS.index("jawLeft")] == frame.weights[EXPRESSION_UNITS.index("jawRight")]
    assert (other.index, other.captured_at, other.media_time) == (3, 4.0, 5.0)
    again = mirrored_expression(other)
    assert all(np.array_equal(getattr(again, name), getattr(frame, name)) for name in ("weights", "head", "shift", "gaze"))

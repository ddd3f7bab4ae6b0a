"""Expressions at a key: they come, stay, and go, and are added to whatever drives."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from livepuppet.errors import UsageError
from livepuppet.live.expression_keys import ATTACK_S, EXPRESSIONS, RELEASE_S, ExpressionKeys
from livepuppet.vision.expressions import EXPRESSION_UNITS, unit_weights

SMILE = EXPRESSION_UNITS.index("mouthSmileLeft")


def level(keys: ExpressionKeys, seconds: float) -> float:
    weights = keys.weights(seconds)
    return 0.0 if weights is None else float(weights[SMILE]) / EXPRESSIONS["smile"]["mouthSmile"]


def test_a_smile_comes_within_the_attack_and_goes_within_the_release() -> None:
    keys = ExpressionKeys()
    assert keys.weights(0.0) is None
    keys.hold("smile")
    assert keys.held == {"smile"}
    rising = [level(keys, i / 100) for i in range(1, 30)]
    assert all(b >= a for a, b in pairwise(rising)) and 0 < rising[2] < 0.5
    assert level(keys, 0.3) == 1.0 and level(keys, 5.0) == 1.0
    keys.hold("smile", False)
    falling = [level(keys, 5 + i / 100) for i in range(1, 60)]
    assert all(b <= a for a, b in pairwise(falling))
    assert level(keys, 5.0) > 0 or falling[10] > 0
    assert falling[int(100 * RELEASE_S) + 1] == 0.0 and ATTACK_S < RELEASE_S
    assert keys.weights(10.0) is None


def test_two_at_once_add_up_and_stay_weights() -> None:
    keys = ExpressionKeys(attack_s=0.01)
    assert keys.toggle("surprise") and keys.toggle("o") and keys.toggle("brows")
    keys.weights(0.0)
    weights = keys.weights(1.0)
    assert weights is not None and weights.max() <= 1.0
    assert weights[EXPRESSION_UNITS.index("jawOpen")] == pytest.approx(0.62)
    assert not keys.toggle("surprise") and keys.held == {"o", "brows"}


def test_all_that_are_named_are_made_of_units_that_there_are() -> None:
    assert {"smile", "surprise", "wink", "brows", "sadness", "o"} <= EXPRESSIONS.keys()
    for units in EXPRESSIONS.values():
        assert all(unit_weights({name: 1.0}).any() for name in units)
        assert np.all(unit_weights(units) <= 1)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="choose one of smile"):
        ExpressionKeys().hold("grin")


def test_time_that_jumps_back_loses_nothing() -> None:
    keys = ExpressionKeys()
    keys.hold("smile")
    keys.weights(100.0)
    assert level(keys, 101.0) == 1.0
    assert level(keys, 0.0) == 1.0

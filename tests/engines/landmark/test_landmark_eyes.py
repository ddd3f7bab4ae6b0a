"""Lids and gaze: closed when the driver's are, open when they look down, and not narrowed by a turn of the head."""

from __future__ import annotations

import numpy as np
import pytest

from livepuppet.engines.landmark import retarget
from livepuppet.engines.landmark.eyes import GAZE_LIMIT, Eyes, measure_eyes, retarget_eyes
from livepuppet.engines.landmark.face_model import IRIS, LOWER_LID, UPPER_LID
from livepuppet.engines.landmark.retarget import MODEL, rotation_matrix
from livepuppet.types import Floats

REST = measure_eyes(MODEL)


def narrowed(share: float) -> Floats:
    """The average face with both eyes open by this share."""
    shape = MODEL.copy()
    for upper, lower in zip(UPPER_LID, LOWER_LID, strict=True):
        shape[upper[1:-1]] = shape[lower[1:-1]] + share * (shape[upper[1:-1]] - shape[lower[1:-1]])
    return np.asarray(shape)


@pytest.mark.parametrize("share", [1.0, 0.6, 0.2])
def test_the_opening_is_measured(share: float) -> None:
    assert measure_eyes(narrowed(share)).opening == pytest.approx(share * REST.opening)


@pytest.mark.parametrize("yaw", [-0.5, 0.3, 0.5])
def test_turning_the_head_closes_no_eye(yaw: float) -> None:
    turned = 140 * MODEL @ rotation_matrix(np.array([0.1, yaw, 0.05])).T + [300, 200, 0]
    assert measure_eyes(retarget.fit_head_pose(turned).shape).opening == pytest.approx(REST.opening, rel=1e-6)


@pytest.mark.parametrize(
    ("share", "low", "high"), [(0.2, 0.95, 1.0), (0.5, 0.3, 0.7), (0.9, 0.05, 0.2), (1.0, 0.0, 0.0), (1.2, -0.3, -0.1)]
)
def test_a_blink_closes_and_looking_down_does_not(share: float, low: float, high: float) -> None:
    closing = retarget_eyes(REST, REST, measure_eyes(narrowed(share)), 1.0)[:2]
    assert (closing >= low).all() and (closing <= high).all()


def test_closing_follows_the_opening_without_jumps() -> None:
    path = np.array([retarget_eyes(REST, REST, measure_eyes(narrowed(s)), 1.0)[0] for s in np.linspace(0, 1.3, 200)])
    assert (np.diff(path) <= 1e-9).all()
    assert np.abs(np.diff(path)).max() < 0.03


def test_gaze_is_shared_by_both_eyes_and_small_changes_are_noise() -> None:
    shape = MODEL.copy()
    shape[list(IRIS), 0] += 0.03
    gaze = retarget_eyes(REST, REST, measure_eyes(shape), 1.0)[2:].reshape(2, 2)
    assert (gaze[0] == gaze[1]).all()
    assert gaze[0, 0] > 0.05 and abs(gaze[0, 1]) < 0.02
    shape = MODEL.copy()
    shape[list(IRIS), 0] += 0.001
    assert not retarget_eyes(REST, REST, measure_eyes(shape), 1.0)[2:].any()


def test_gaze_and_gain_have_limits() -> None:
    wild = Eyes(REST.opening * 3, REST.gaze + 5)
    out = retarget_eyes(REST, REST, wild, 2.0)
    assert out[:2].min() >= -0.5
    assert (np.abs(out[2:].reshape(2, 2)) <= GAZE_LIMIT).all()

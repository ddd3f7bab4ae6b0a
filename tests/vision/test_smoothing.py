"""Smoothing calms what rests, is not late on what moves, does not depend on the frame rate, and can be turned off."""

from __future__ import annotations

import numpy as np
import pytest

from livepuppet.types import Floats, Motion
from livepuppet.vision.smoothing import MotionFilter, smooth_window

NOISE = 0.003


def motion(value: float | Floats) -> Motion:
    vector = np.atleast_1d(np.asarray(value, dtype=np.float64))
    return Motion(vector, vector.copy())


def resting(count: int, seed: int = 3) -> list[Motion]:
    noise = np.random.default_rng(seed).normal(0, NOISE, (count, 6))
    return [motion(row) for row in noise]


def tremble(motions: list[Motion]) -> float:
    return float(np.abs(np.diff([m.pose for m in motions], n=2, axis=0)).mean())


def test_a_resting_face_trembles_less() -> None:
    smooth = MotionFilter()
    raw = resting(90)
    assert tremble([smooth(m, i / 30) for i, m in enumerate(raw)][10:]) < 0.5 * tremble(raw[10:])


def test_a_fast_turn_is_hardly_late() -> None:
    smooth = MotionFilter()
    path = [0.0] * 10 + list(np.linspace(0, 0.6, 13)) + [0.6] * 10  # 0.6 radians in 0.4 s
    out = [smooth(motion(x), i / 30).pose[0] for i, x in enumerate(path)]
    assert max(abs(a - b) for a, b in zip(out, path, strict=True)) < 0.06
    assert out[-1] == pytest.approx(0.6, abs=0.005)


def test_the_same_motion_at_another_rate_comes_out_alike() -> None:
    def end(fps: float) -> float:
        smooth = MotionFilter()
        value = 0.0
        for i in range(int(fps * 0.8) + 1):
            value = float(smooth(motion(0.2 * np.sin(4 * i / fps)), i / fps).pose[0])
        return value

    assert end(60) == pytest.approx(end(25), abs=0.012)


def test_strength_zero_changes_nothing() -> None:
    smooth = MotionFilter(0.0)
    for i, m in enumerate(resting(20)):
        assert np.array_equal(smooth(m, i / 30).pose, m.pose)


def test_strength_can_change_while_it_runs() -> None:
    calm, loose = MotionFilter(), MotionFilter()
    calm.strength = 4.0
    raw = resting(90)
    assert tremble([calm(m, i / 30) for i, m in enumerate(raw)]) < tremble([loose(m, i / 30) for i, m in enumerate(raw)])


def test_after_a_reset_or_a_long_pause_the_next_motion_passes_unchanged() -> None:
    smooth = MotionFilter()
    smooth(motion(0.0), 0.0)
    smooth.reset()
    assert smooth(motion(0.5), 1 / 30).pose[0] == 0.5
    assert smooth(motion(0.9), 5.0).pose[0] == 0.9


def test_motions_of_another_size_start_afresh() -> None:
    smooth = MotionFilter()
    smooth(motion(np.zeros(3)), 0.0)
    assert smooth(motion(np.ones(5)), 0.03).pose.tolist() == [1.0] * 5


def test_what_is_not_smoothed_passes_through() -> None:
    detail = object()
    given = Motion(np.zeros(2), np.zeros(2), np.ones(3), np.ones((4, 2)), detail)
    out = MotionFilter()(given, 0.0)
    assert out.detail is detail and np.array_equal(out.view, given.view) and np.array_equal(out.points, given.points)


def test_a_window_smooths_without_delay() -> None:
    times = [i / 30 for i in range(60)]
    path = [0.3 * np.sin(3 * t) for t in times]
    noisy = [motion(x + n.pose[0]) for x, n in zip(path, resting(60), strict=True)]
    out = [smooth_window(noisy, times, i).pose[0] for i in range(60)]
    lag = [float(np.mean([(out[i] - path[i - k]) ** 2 for i in range(10, 50)])) for k in (-1, 0, 1)]
    assert lag[1] < lag[0] and lag[1] < lag[2], "neither early nor late"
    assert np.mean((np.array(out) - path) ** 2) < np.mean([(m.pose[0] - x) ** 2 for m, x in zip(noisy, path, strict=True)])


def test_a_window_keeps_a_blink() -> None:
    path = [0.0] * 20 + [0.1, 0.1] + [0.0] * 20
    times = [i / 30 for i in range(len(path))]
    assert smooth_window([motion(x) for x in path], times, 20).expression[0] > 0.09


def test_a_window_looks_only_at_what_is_near() -> None:
    motions, times = [motion(0.0), motion(0.0), motion(0.001)], [0.0, 0.03, 9.0]
    assert smooth_window(motions, times, 2).pose[0] == 0.001
    assert smooth_window(motions, times, 0, 0.0) is motions[0]

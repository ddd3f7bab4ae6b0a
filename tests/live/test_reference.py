"""Arming takes the best frame of the hold, and not one with the eyes shut."""

from __future__ import annotations

import numpy as np

from livepuppet.live.reference import BetterReference, HoldStill
from livepuppet.types import Motion


def looking(yaw: float = 0.0, shut: float = 0.0) -> Motion:
    return Motion(np.array([yaw]), np.array([shut]), np.array([yaw, 0.0, 0.0]))


def distance(motion: Motion) -> float:
    return float(np.abs(motion.pose).sum() + np.abs(motion.expression).sum())


def test_the_frame_most_like_the_portrait_is_taken() -> None:
    hold = HoldStill(0.7)
    chosen = None
    for i in range(40):
        blinking = 1.0 if i in (18, 19, 20, 21, 22) else 0.1
        chosen = chosen or hold.watch(looking(shut=blinking), i / 30, distance)
    assert chosen is not None and chosen.expression[0] == 0.1


def test_looking_aside_does_not_arm_at_first() -> None:
    hold = HoldStill(0.7)
    assert all(hold.watch(looking(yaw=0.6), i / 30, distance) is None for i in range(30))
    assert hold.progress == 0.0


def test_losing_the_face_starts_the_hold_again() -> None:
    hold = HoldStill(0.7)
    for i in range(15):
        hold.watch(looking(), i / 30, distance)
    assert hold.progress > 0.5
    hold.lost()
    assert hold.progress == 0.0
    assert hold.watch(looking(), 0.6, distance) is None


def test_no_hold_takes_the_first_frame_that_looks_ahead() -> None:
    first = looking()
    assert HoldStill(0.0).watch(first, 0.0, distance) is first


def test_search_wants_clearly_better() -> None:
    search = BetterReference(1.0)
    assert not search.watch(looking(yaw=0.95), distance)
    assert search.watch(looking(yaw=0.5), distance)
    assert not search.watch(looking(yaw=0.48), distance)

"""From the driver's motions to the avatar's, for a video whose future is known: gaps are bridged from both sides."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from livepuppet.rendering.tracking import DriverFrame
from livepuppet.types import AnyEngine, Avatar, Motion, Tuning

EASE_S = 0.5
"""How long the avatar takes from the last motion seen to idling, and back; a shorter gap is bridged straight across."""


@dataclass(frozen=True, eq=False)
class RetargetedFrame:
    """One frame of the avatar's: its motion, at the driver's moment.

    Attributes:
        seen: whether the driver was in the picture.
    """

    driver_frame: DriverFrame
    motion: Motion
    seen: bool


def retarget_frames(
    engine: AnyEngine, avatar: Avatar, driver_frames: Iterable[DriverFrame], references: list[tuple[int, Motion]], tuning: Tuning
) -> Iterator[RetargetedFrame]:
    """The avatar's motion for every moment.

    Args:
        references: (pts from which it counts, the driver's motion at rest), in order, at least one.
    """
    window: deque[tuple[DriverFrame, Motion | None]] = deque()
    coming = iter(driver_frames)
    last: tuple[float, Motion] | None = None
    ended = False
    while True:
        while not ended and (not window or window[-1][0].seconds - window[0][0].seconds <= EASE_S):
            driver_frame = next(coming, None)
            if driver_frame is None:
                ended = True
            else:
                window.append((driver_frame, _transferred(engine, avatar, driver_frame, references, tuning)))
        if not window:
            return
        driver_frame, motion = window.popleft()
        if motion is not None:
            last = (driver_frame.seconds, motion)
            yield RetargetedFrame(driver_frame, motion, True)
        else:
            following = next(((m.seconds, found) for m, found in window if found is not None), None)
            yield RetargetedFrame(driver_frame, _bridge(engine, avatar, driver_frame.seconds, last, following), False)


def _transferred(
    engine: AnyEngine, avatar: Avatar, driver_frame: DriverFrame, references: list[tuple[int, Motion]], tuning: Tuning
) -> Motion | None:
    if driver_frame.motion is None:
        return None
    reference = references[0][1]
    for since, motion in references:
        if since > driver_frame.pts:
            break
        reference = motion
    return engine.transfer(avatar, reference, driver_frame.motion, tuning)


def _bridge(
    engine: AnyEngine, avatar: Avatar, now: float, last: tuple[float, Motion] | None, following: tuple[float, Motion] | None
) -> Motion:
    """The motion while nobody is seen. last, following: (seconds, motion) on both sides of the gap, the latter within EASE_S."""
    if last is not None and following is not None and following[0] - last[0] <= EASE_S:
        return last[1].blend(following[1], _smoothstep((now - last[0]) / (following[0] - last[0])))
    motion = engine.idle(avatar, now)
    if last is not None:
        motion = last[1].blend(motion, _smoothstep((now - last[0]) / EASE_S))
    if following is not None:
        motion = motion.blend(following[1], _smoothstep(1 - (following[0] - now) / EASE_S))
    return motion


def _smoothstep(share: float) -> float:
    share = min(1.0, max(0.0, share))
    return share * share * (3 - 2 * share)

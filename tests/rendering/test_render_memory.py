"""What a render holds at once is bounded by bytes, not by a number of frames."""

from __future__ import annotations

import weakref
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from livepuppet.rendering.pipeline import IN_FLIGHT_BYTES, WORK_BYTES_PER_PX, workers_for
from livepuppet.rendering.tracking import DriverFrame, shrink_image, smooth_driver_frames
from livepuppet.types import Motion
from livepuppet.vision.smoothing import WINDOW_SECONDS


def test_fewer_large_frames_are_drawn_at_once() -> None:
    assert workers_for(np.broadcast_to(np.uint8(0), (2160, 3840, 3))) == 1
    for height, width in ((256, 256), (1080, 1920), (1440, 2560), (4096, 4096)):
        workers = workers_for(np.broadcast_to(np.uint8(0), (height, width, 3)))
        assert 1 <= workers <= 4
        assert workers == 1 or workers * height * width * WORK_BYTES_PER_PX <= IN_FLIGHT_BYTES


def test_images_to_compare_wait_only_until_their_frame_is_out() -> None:
    """The motions of a window's past are needed for smoothing, their images are not."""
    alive: list[weakref.ref[NDArray[np.uint8]]] = []

    def frames() -> Iterator[DriverFrame]:
        for i in range(60):
            image = np.zeros((4, 4, 3), np.uint8)
            alive.append(weakref.ref(image))
            yield DriverFrame(i, i / 30, 0, Motion(np.zeros(2), np.zeros(2)), image)

    ahead = round(WINDOW_SECONDS * 30)
    most = 0
    for frame in smooth_driver_frames(frames(), 1.0):
        assert frame.image is not None
        most = max(most, sum(one() is not None for one in alive))
    assert most <= ahead + 4


def test_images_to_compare_wait_no_larger_than_they_are_shown() -> None:
    large, small = np.zeros((1080, 1920, 3), np.uint8), np.zeros((200, 300, 3), np.uint8)
    assert shrink_image(large, (910, 512)).shape == (512, 910, 3)
    assert shrink_image(small, (910, 512)) is small

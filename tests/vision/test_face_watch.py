"""What is before a face is not taken for the face, and no visible face is taken for a hidden one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from livepuppet.types import Image
from livepuppet.video.reader import VideoReader
from livepuppet.vision.face_landmarks import FaceTracker, Landmarks
from livepuppet.vision.face_watch import Texture, correlation, sample_texture
from livepuppet.vision.portrait import ASSETS
from livepuppet.vision.windows import bounding_box

CASES = Path(__file__).parents[1] / "cases"
PERFORMANCE = ASSETS / "performance.mp4"


@pytest.fixture
def tracker() -> Iterator[FaceTracker]:
    tracker = FaceTracker()
    yield tracker
    tracker.close()


@pytest.fixture(scope="module")
def performance() -> list[Image]:
    return [frame.image for frame in islice(VideoReader(PERFORMANCE, limit=480), 75)]


@pytest.fixture(scope="module")
def truth(performance: list[Image]) -> list[Landmarks]:
    tracker = FaceTracker()
    found = [tracker.track(image) for image in performance]
    tracker.close()
    return [landmarks for landmarks in found if landmarks is not None]


def skin(image: Image, landmarks: Landmarks) -> list[int]:
    return [int(level) for level in np.median([image[round(y), round(x)] for x, y in landmarks[[50, 280, 205, 425], :2]], axis=0)]


def hide(image: Image, landmarks: Landmarks, what: str, share: float) -> Image:
    """The image with something before the face that has come `share` (0 … 1) of its way."""
    x, y, side = bounding_box(landmarks)
    out, low = image.copy(), y + 1.6 * side
    if what == "hand":
        top, finger = low + (y - 0.45 * side - low) * share, 0.16 * side
        for k, shorter in enumerate((0.1, 0.0, 0.03, 0.12)):
            left = x + (k - 2) * 1.06 * finger
            ends = (int(left), int(top + shorter * side)), (int(left + 0.94 * finger), image.shape[0])
            cv2.rectangle(out, *ends, [round(0.92 * level) for level in skin(image, landmarks)], -1)
    elif what == "book":
        top = low + (y - 0.3 * side - low) * share
        cv2.rectangle(out, (int(x - 0.65 * side), int(top)), (int(x + 0.65 * side), int(top + 1.2 * side)), (140, 40, 35), -1)
        for line in range(5):
            row = int(top + (0.15 + 0.2 * line) * side)
            cv2.rectangle(out, (int(x - 0.4 * side), row), (int(x + 0.3 * side), row + int(0.06 * side)), (230, 220, 200), -1)
    elif what == "telephone":
        box = cv2.boxPoints(((x + 0.1 * side, low + (y + 0.3 * side - low) * share), (0.45 * side, 0.9 * side), 12.0))
        cv2.fillConvexPoly(out, box.astype(np.int32), (25, 26, 30))
    elif what == "microphone":
        centre = int(x), int(low + (y + 0.28 * side - low) * share)
        cv2.circle(out, centre, int(0.22 * side), (45, 45, 48), -1)
    return out


@pytest.mark.parametrize("what", ["hand", "book", "telephone", "microphone"])
def test_what_comes_before_a_face_hides_it_and_what_leaves_shows_it(
    tracker: FaceTracker, performance: list[Image], truth: list[Landmarks], what: str
) -> None:
    """It comes within 0.3 s, stays for 0.8 s and goes."""
    shares = [0.0] * 25 + [k / 9 for k in range(1, 9)] + [1.0] * 24 + [k / 9 for k in range(8, 0, -1)] + [0.0] * 10
    seen, worst = [], 0.0
    for image, landmarks, share in zip(performance, truth, shares, strict=True):
        found = tracker.track(hide(image, landmarks, what, share) if share else image)
        seen.append(found is not None)
        if found is not None:
            side = bounding_box(landmarks)[2]
            worst = max(worst, float(np.linalg.norm((found - landmarks)[:, :2], axis=1).mean() / side))
    assert all(seen[:25]) and sum(seen[35:57]) <= 2 and all(seen[-8:])
    assert worst < 0.04, "no grimace on the way"


@pytest.mark.parametrize(("name", "hidden", "visible"), [("hand_before_face", range(30, 45), 30), ("hand_over_face", range(48, 104), 32)])
def test_hands_in_the_videos_of_people_who_complained(tracker: FaceTracker, name: str, hidden: range, visible: int) -> None:
    images = [frame.image for frame in VideoReader(CASES / f"{name}.mp4")]
    found = [tracker.track(image) for image in images]
    assert all(landmarks is not None for landmarks in found[:visible]) and found[-1] is not None
    assert sum(found[i] is not None for i in hidden) <= 2
    sides = [bounding_box(landmarks)[2] for landmarks in found if landmarks is not None]
    assert max(sides) < 1.15 * min(sides), "neither swollen nor shrunk"


def test_no_frame_of_a_visible_face_is_lost(tracker: FaceTracker) -> None:
    """Turns, blinks, laughter: the whole performance; and a clip that fades to another light."""
    assert all(tracker.track(frame.image) is not None for frame in VideoReader(PERFORMANCE, limit=480))


def test_light_that_changes_hides_nobody(tracker: FaceTracker, performance: list[Image]) -> None:
    for k, image in enumerate(performance):
        lit = image.astype(float) * (0.55 + 0.45 * np.cos(k / 9)) * [1.0, 1.0 - 0.004 * k, 1.0 - 0.006 * k] if k > 20 else image
        assert tracker.track(np.clip(lit, 0, 255).astype(np.uint8)) is not None or np.max(lit) < 60, f"frame {k}"


def test_a_mask_that_stays_is_got_used_to(tracker: FaceTracker, performance: list[Image], truth: list[Landmarks]) -> None:
    def masked(k: int) -> Image:
        image = performance[k % 20].copy()
        points = truth[k % 20][[234, 93, 132, 58, 172, 136, 150, 152, 379, 365, 397, 288, 361, 323, 454, 197], :2]
        cv2.fillConvexPoly(image, cv2.convexHull(np.round(points).astype(np.int32)), (150, 190, 215))
        return image

    for k in range(20):
        assert tracker.track(performance[k]) is not None
    seen = [tracker.track(masked(k)) is not None for k in range(160)]
    assert not any(seen[5:60]) and all(seen[130:])


def test_another_shot_begins_with_whoever_is_in_it(tracker: FaceTracker, performance: list[Image]) -> None:
    for image in performance[:20]:
        assert tracker.track(image) is not None
    other = np.asarray(cv2.cvtColor(np.asarray(cv2.imread(str(ASSETS / "avatars/chidi.jpg"))), cv2.COLOR_BGR2RGB), np.uint8)
    other = np.asarray(cv2.resize(other, performance[0].shape[1::-1], interpolation=cv2.INTER_AREA), np.uint8)
    assert tracker.track(other) is not None


def test_who_comes_out_from_behind_a_hand_is_who_was_behind_it(
    tracker: FaceTracker, performance: list[Image], truth: list[Landmarks]
) -> None:
    """The driver on the left is covered for a second; somebody else, on the right, is not taken instead."""
    height, width = performance[0].shape[:2]
    elin = np.asarray(cv2.cvtColor(np.asarray(cv2.imread(str(ASSETS / "avatars/elin.jpg"))), cv2.COLOR_BGR2RGB), np.uint8)
    other = cv2.resize(elin, (height // 2, height // 2), interpolation=cv2.INTER_AREA)
    seen = []
    for k in range(70):
        image = np.concatenate([performance[k], np.full((height, height // 2, 3), 100, np.uint8)], axis=1)
        if k >= 20:
            image[height // 4 :, width:][: height // 2] = other
        if 20 <= k < 50:
            x, y, side = (round(number) for number in bounding_box(truth[k]))
            image[max(0, y - side) : y + side, x - side : x + side] = skin(performance[k], truth[k])
        seen.append(tracker.track(image))
    assert all(found is not None and found[:, 0].mean() < width for found in [*seen[:20], *seen[52:]])
    assert not any(found is not None for found in seen[20:50])


def test_what_was_seen_before_a_restart_counts_for_nothing(tracker: FaceTracker, performance: list[Image], truth: list[Landmarks]) -> None:
    """The same frames give the same answers when they are looked at again, whatever was looked at in between."""
    clip = [hide(performance[k], truth[k], "hand", min(1.0, k / 30)) for k in range(40)]
    first = [tracker.track(image) for image in clip]
    tracker.restart()
    second = [tracker.track(image) for image in clip]
    assert [found is None for found in first] == [found is None for found in second]
    assert all(np.allclose(a, b, atol=1.0) for a, b in zip(first, second, strict=True) if a is not None and b is not None)


def test_a_driver_who_is_not_upright_is_refused_and_told_once(tracker: FaceTracker, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "livepuppet"):
        images = islice(VideoReader(CASES / "upside_down.mp4"), 40)
        assert not [i for i, frame in enumerate(images) if tracker.track(frame.image) is not None]
    assert [record.getMessage() for record in caplog.records if "not upright" in record.getMessage()].__len__() == 1


def test_texture_knows_a_face_in_another_light_and_not_something_else(performance: list[Image], truth: list[Landmarks]) -> None:
    first = sample_texture(performance[0], truth[0], bounding_box(truth[0]))
    dim = sample_texture((performance[0] * 0.6).astype(np.uint8), truth[0], bounding_box(truth[0]))
    assert first.likeness(first).min() > 0.9 and first.likeness(dim).min() > 0.85
    wall = sample_texture(np.full_like(performance[0], 150), truth[0], bounding_box(truth[0]))
    assert np.abs(first.likeness(wall)).max() < 0.1
    outside = Texture(first.colours, np.zeros(478, bool))
    assert np.isnan(first.likeness(outside)).all()
    assert outside.blended(first, 0.05).shown.all() and np.allclose(outside.blended(first, 0.05).colours, first.colours)
    ramp = np.arange(30.0)[:, None] * [1, 2, 3]
    assert correlation(ramp, 90 - ramp) == pytest.approx(-1, abs=0.15) and correlation(ramp, 0.5 * ramp) == pytest.approx(1, abs=0.2)

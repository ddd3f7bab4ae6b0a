"""The landmark engine keeps its contract, on the avatars that livepuppet ships."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from itertools import pairwise

import cv2
import numpy as np
import pytest

from livepuppet.engines.landmark import LandmarkEngine
from livepuppet.engines.landmark.engine import LandmarkAvatar
from livepuppet.engines.landmark.face_model import COUNT
from livepuppet.errors import NoFaceError
from livepuppet.types import Avatar, Image, Motion, Tuning

TUNING = Tuning()


def picture(name: str, side: int = 512) -> Image:
    path = files("livepuppet") / f"assets/avatars/{name}.jpg"
    image = cv2.resize(np.asarray(cv2.imread(str(path))), (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)


@pytest.fixture(scope="module")
def engine() -> Iterator[LandmarkEngine]:
    engine = LandmarkEngine()
    yield engine
    engine.close()
    engine.close()


@pytest.fixture(scope="module")
def avatar(engine: LandmarkEngine) -> LandmarkAvatar:
    return engine.prepare(picture("ada"))


@pytest.fixture(scope="module")
def driver(engine: LandmarkEngine) -> Motion:
    motion = engine.observe(picture("elin"))
    assert motion is not None
    return motion


def moved(motion: Motion, pose: dict[int, float]) -> Motion:
    new = motion.pose.copy()
    for i, amount in pose.items():
        new[i] += amount
    return replace(motion, pose=new)


def test_zero_motion_returns_the_portrait_bit_for_bit(engine: LandmarkEngine, avatar: LandmarkAvatar, driver: Motion) -> None:
    assert isinstance(avatar, Avatar)
    assert np.array_equal(engine.render(avatar, avatar.neutral, TUNING), avatar.image)
    resting = engine.transfer(avatar, driver, driver, TUNING)
    assert np.array_equal(engine.render(avatar, resting, TUNING), avatar.image)


def test_a_hardly_moved_picture_hardly_differs(engine: LandmarkEngine, avatar: LandmarkAvatar) -> None:
    tiny = replace(avatar.neutral, pose=avatar.neutral.pose + np.eye(avatar.neutral.pose.size)[0] * 1e-4)
    assert np.abs(engine.render(avatar, tiny, TUNING).astype(int) - avatar.image).mean() < 0.2


def test_the_same_motion_gives_the_same_picture(engine: LandmarkEngine, avatar: LandmarkAvatar, driver: Motion) -> None:
    motion = engine.transfer(avatar, driver, moved(driver, {1: 0.2, 3: 0.05}), TUNING)
    assert np.array_equal(engine.render(avatar, motion, TUNING), engine.render(avatar, motion, TUNING))


@pytest.mark.parametrize(("axis", "angle", "view"), [(1, -0.3, 0), (1, 0.3, 0), (0, 0.2, 1), (0, -0.2, 1), (2, 0.3, 2)])
def test_the_head_turns_as_the_driver_turned(
    engine: LandmarkEngine, avatar: LandmarkAvatar, driver: Motion, axis: int, angle: float, view: int
) -> None:
    """Seen by MediaPipe in the rendered picture."""
    motion = engine.transfer(avatar, driver, moved(driver, {axis: angle}), TUNING)
    before, after = (engine.prepare(image).neutral.view[view] for image in (avatar.image.copy(), engine.render(avatar, motion, TUNING)))
    expected = -angle if axis == 1 else angle
    assert after - before == pytest.approx(expected, abs=0.12)


def test_the_face_shifts_as_the_driver_shifted(engine: LandmarkEngine, avatar: LandmarkAvatar, driver: Motion) -> None:
    motion = engine.transfer(avatar, driver, moved(driver, {3: 0.1 * np.exp(driver.pose[5])}), TUNING)
    again = engine.prepare(engine.render(avatar, motion, TUNING))
    shift = (again.landmarks - avatar.landmarks)[:, 0].mean() / avatar.likeness.placed.scale
    assert shift == pytest.approx(0.1, abs=0.02)


def test_no_gain_is_no_motion(engine: LandmarkEngine, avatar: LandmarkAvatar, driver: Motion) -> None:
    still = engine.transfer(avatar, driver, moved(driver, {1: 0.3, 3: 0.2}), replace(TUNING, gain=0.0))
    assert np.array_equal(engine.render(avatar, still, TUNING), avatar.image)


def test_lids_close(engine: LandmarkEngine, avatar: LandmarkAvatar) -> None:
    expression = avatar.neutral.expression.copy()
    expression[COUNT * 3 : COUNT * 3 + 2] = 1.0
    shut = engine.prepare(engine.render(avatar, replace(avatar.neutral, expression=expression), TUNING))
    assert (shut.likeness.eyes.opening < 0.75 * avatar.likeness.eyes.opening).all()


@pytest.mark.parametrize("mouth", ["driver", "avatar", "none"])
def test_an_open_mouth_is_dark_inside_and_stays_in_its_place(
    engine: LandmarkEngine, avatar: LandmarkAvatar, driver: Motion, mouth: str
) -> None:
    expression = avatar.neutral.expression.copy()
    change = expression[: COUNT * 3].reshape(COUNT, 3)
    change[[95, 88, 178, 87, 14, 317, 402, 318, 324, 17, 84, 314, 181, 405, 152], 1] = 0.12
    motion = Motion(avatar.neutral.pose, expression, detail=driver.detail)
    out = engine.render(avatar, motion, replace(TUNING, mouth=mouth))  # type: ignore[arg-type]
    assert out.shape == avatar.image.shape
    above = slice(0, int(avatar.landmarks[33, 1]))
    assert np.abs(out[above].astype(int) - avatar.image[above]).mean() < 1.0


@pytest.mark.parametrize("size", [(1280, 720), (640, 480), (480, 640), (256, 256)])
def test_any_frame_is_filled_and_shows_the_whole_face(engine: LandmarkEngine, size: tuple[int, int]) -> None:
    avatar = engine.prepare(picture("juno_toon"), size)
    assert avatar.image.shape == (size[1], size[0], 3)
    low, high = avatar.landmarks[:, :2].min(0), avatar.landmarks[:, :2].max(0)
    assert (low > 0).all() and (high < size).all()


def test_without_a_size_the_portrait_keeps_its_shape(engine: LandmarkEngine) -> None:
    tall = np.asarray(cv2.copyMakeBorder(picture("bruno", 1200), 400, 400, 0, 0, cv2.BORDER_REPLICATE), dtype=np.uint8)
    assert engine.prepare(tall).image.shape == (1280, 768, 3)


def test_a_picture_of_nobody_says_what_to_do(engine: LandmarkEngine) -> None:
    with pytest.raises(NoFaceError, match="choose"):
        engine.prepare(np.full((300, 300, 3), 128, np.uint8))
    assert engine.observe(np.full((300, 300, 3), 128, np.uint8)) is None


def test_the_driver_who_looks_like_the_portrait_is_nearest(engine: LandmarkEngine, avatar: LandmarkAvatar) -> None:
    alike = avatar.likeness.observed
    assert engine.distance(avatar, alike) == pytest.approx(0, abs=1e-9)
    assert engine.distance(avatar, moved(alike, {1: 0.5})) > engine.distance(avatar, moved(alike, {1: 0.2})) > 0


def test_idling_is_small_and_smooth(engine: LandmarkEngine, avatar: LandmarkAvatar) -> None:
    path = [engine.idle(avatar, t / 30) for t in range(300)]
    assert max(np.abs(m.pose).max() for m in path) < 0.03
    assert max(np.abs(b.pose - a.pose).max() for a, b in pairwise(path)) < 0.003
    shut = [m.expression[COUNT * 3] for m in path]
    assert max(shut) > 0.9 and min(shut) == 0.0
    assert engine.render(avatar, path[40], TUNING).shape == avatar.image.shape

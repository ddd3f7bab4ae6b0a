"""What every engine promises, whatever moves the picture. A new engine is covered by adding its name to registry.py."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from blob_engine import BlobEngine, driver, portrait

from livepuppet.errors import MissingPartError, NoFaceError
from livepuppet.factory import open_engine
from livepuppet.registry import PARTS
from livepuppet.types import AnyEngine, Avatar, Frame, Image, Motion, Tuning
from livepuppet.vision.portrait import load_portrait, shipped_avatars

NAMES = ["blob", *sorted(PARTS["engine"])]


@pytest.fixture(scope="module", params=NAMES)
def engine(request: pytest.FixtureRequest) -> Iterator[AnyEngine]:
    if request.param == "blob":
        yield BlobEngine()
        return
    try:
        made = open_engine(request.param, "cpu")
    except MissingPartError as error:
        pytest.skip(str(error))
    yield made
    made.close()


@pytest.fixture(scope="module")
def image(engine: AnyEngine) -> Image:
    return portrait() if engine.name == "blob" else load_portrait(shipped_avatars()[0], 512)


@pytest.fixture(scope="module")
def avatar(engine: AnyEngine, image: Image) -> Avatar:
    prepared: Avatar = engine.prepare(image)
    return prepared


@pytest.fixture(scope="module")
def performance(engine: AnyEngine) -> list[Image]:
    """Every third frame of four seconds in which the driver talks and turns."""
    if engine.name == "blob":
        return [driver(0.4 + 0.004 * i) for i in range(40)]
    from livepuppet.factory import open_source

    source = open_source("demo", paced=False)
    frames = [source.read() for _ in range(120)]
    source.close()
    return [frame.image for frame in frames[::3] if isinstance(frame, Frame)]


@pytest.fixture(scope="module")
def motions(engine: AnyEngine, performance: list[Image]) -> list[Motion]:
    found = [engine.observe(image) for image in performance]
    assert all(motion is not None for motion in found)
    return [motion for motion in found if motion is not None]


def test_it_says_its_name_and_where_it_computes(engine: AnyEngine) -> None:
    assert engine.name in NAMES and "cpu" in engine.device.lower()


def test_neutral_motion_gives_the_portrait_bit_for_bit(engine: AnyEngine, avatar: Avatar) -> None:
    image = engine.render(avatar, avatar.neutral, Tuning())
    assert image.dtype == np.uint8 and image.flags.c_contiguous
    assert np.array_equal(image, avatar.image)


def test_no_motion_since_the_reference_is_neutral(engine: AnyEngine, avatar: Avatar, motions: list[Motion]) -> None:
    moved = engine.transfer(avatar, motions[0], motions[0], Tuning())
    assert np.allclose(moved.pose, avatar.neutral.pose, atol=1e-6)
    assert np.allclose(moved.expression, avatar.neutral.expression, atol=1e-6)


def test_no_gain_is_no_motion(engine: AnyEngine, avatar: Avatar, motions: list[Motion]) -> None:
    moved = engine.transfer(avatar, motions[0], motions[-1], Tuning(gain=0.0))
    assert np.allclose(moved.pose, avatar.neutral.pose, atol=1e-6)


def test_the_driver_moves_the_picture(engine: AnyEngine, avatar: Avatar, motions: list[Motion]) -> None:
    images = [engine.render(avatar, engine.transfer(avatar, motions[0], motion, Tuning()), Tuning()) for motion in motions[::8]]
    assert all(image.shape == avatar.image.shape and image.dtype == np.uint8 for image in images)
    assert max(float(np.abs(image.astype(int) - avatar.image).mean()) for image in images) > 0.5


def test_rendering_changes_no_input_and_repeats_itself(engine: AnyEngine, avatar: Avatar, motions: list[Motion]) -> None:
    moved = engine.transfer(avatar, motions[0], motions[-1], Tuning())
    before = avatar.image.copy()
    once = engine.render(avatar, moved, Tuning()).copy()
    engine.render(avatar, avatar.neutral, Tuning())
    assert np.array_equal(once, engine.render(avatar, moved, Tuning()))
    assert np.array_equal(before, avatar.image)


def test_motions_are_plain_numbers_of_one_shape_and_blend(engine: AnyEngine, motions: list[Motion]) -> None:
    for motion in motions:
        assert motion.pose.shape == motions[0].pose.shape and motion.pose.ndim == 1
        assert motion.expression.shape == motions[0].expression.shape and motion.expression.ndim == 1
        assert motion.pose.dtype == motion.expression.dtype == np.float64
        assert np.isfinite(motion.pose).all() and np.isfinite(motion.expression).all()
        assert motion.view.shape == (3,) and motion.points.ndim == 2 and motion.points.shape[1] == 2
    half = motions[0].blend(motions[-1], 0.5)
    assert np.allclose(half.pose, (motions[0].pose + motions[-1].pose) / 2)
    assert motions[0].blend(motions[-1], 0.0) is motions[0] and motions[0].blend(motions[-1], 1.0) is motions[-1]


def test_units_do_not_depend_on_the_size_of_the_camera_picture(engine: AnyEngine, performance: list[Image]) -> None:
    import cv2

    whole = engine.observe(performance[0])
    if engine.name == "blob":
        half = engine.observe(driver(0.4, side=128))
    else:
        half = engine.observe(np.asarray(cv2.resize(performance[0], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8))
    assert whole is not None and half is not None
    assert np.abs(whole.pose - half.pose).max() < 0.12


def test_a_picture_without_a_driver_is_none(engine: AnyEngine) -> None:
    if engine.name == "fomm":
        pytest.importorskip("mediapipe")
    assert engine.observe(np.zeros((240, 320, 3), np.uint8)) is None


def test_a_portrait_of_nobody_is_refused_in_words(engine: AnyEngine) -> None:
    with pytest.raises(NoFaceError) as refusal:
        engine.prepare(np.zeros((256, 256, 3), np.uint8))
    assert len(str(refusal.value)) > 20 and "\n" not in str(refusal.value)


def test_the_output_has_the_size_asked_for(engine: AnyEngine, image: Image) -> None:
    wide = engine.prepare(image, (640, 360))
    assert wide.image.shape == (360, 640, 3)
    assert engine.render(wide, wide.neutral, Tuning()).shape == (360, 640, 3)


def test_distance_knows_the_frame_that_is_nearest(engine: AnyEngine, avatar: Avatar, motions: list[Motion]) -> None:
    distances = [engine.distance(avatar, motion) for motion in motions]
    assert all(np.isfinite(distances)) and min(distances) >= 0 and max(distances) > min(distances)


def test_idling_is_small_and_smooth(engine: AnyEngine, avatar: Avatar) -> None:
    steps = [engine.idle(avatar, i / 30) for i in range(150)]
    poses = np.array([step.pose for step in steps])
    assert np.abs(np.diff(poses, axis=0)).max() < 0.03
    assert 0 < np.abs(poses - avatar.neutral.pose).max() < 0.2


def test_preparing_in_another_thread_does_not_disturb_the_frames(
    engine: AnyEngine, avatar: Avatar, performance: list[Image], image: Image
) -> None:
    results: list[Avatar] = []
    preparing = threading.Thread(target=lambda: results.append(engine.prepare(image)))
    preparing.start()
    seen = [engine.observe(driving) for driving in performance[:10]]
    preparing.join()
    assert len(results) == 1 and all(motion is not None for motion in seen)
    assert np.array_equal(results[0].image, avatar.image)


def test_many_threads_render_what_one_would(engine: AnyEngine, image: Image, motions: list[Motion], performance: list[Image]) -> None:
    """Two avatars in turn, other motions in every thread, while the next frame is observed and another portrait prepared."""
    avatars = [engine.prepare(image), engine.prepare(np.ascontiguousarray(image[:, ::-1]))]
    moved = [(avatar, engine.transfer(avatar, motions[0], motion, Tuning())) for motion in motions[::3] for avatar in avatars]
    alone = [engine.render(avatar, motion, Tuning()) for avatar, motion in moved]
    with ThreadPoolExecutor(5) as pool:
        preparing = pool.submit(engine.prepare, image)
        drawing = [pool.submit(engine.render, avatar, motion, Tuning()) for avatar, motion in moved]
        assert all(engine.observe(driving) is not None for driving in performance[:5])
        together = [one.result() for one in drawing]
        assert np.array_equal(preparing.result().image, avatars[0].image)
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))


def test_closing_twice_is_fine() -> None:
    for name in NAMES:
        if name == "blob":
            continue
        try:
            made = open_engine(name, "cpu")
        except MissingPartError:
            continue
        made.close()
        made.close()

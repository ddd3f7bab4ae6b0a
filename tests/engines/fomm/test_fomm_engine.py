"""The neural engine beyond the contract: crops that rest, motions that saturate, a paste that begins where the portrait was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from livepuppet.engines.fomm import FommEngine
from livepuppet.engines.fomm import model_store as artifacts
from livepuppet.engines.fomm import motion as motions
from livepuppet.engines.fomm.crop import Crop, SteadyCrop, face_crop, whole_crop
from livepuppet.engines.fomm.paste import build_paste_region, paste_back
from livepuppet.engines.fomm.runtime.interface import Array, PreparedSource, RuntimeOutput
from livepuppet.errors import FrameError, ModelError, UsageError
from livepuppet.live.puppet import Puppet
from livepuppet.types import Floats, Image, Motion, Tuning
from livepuppet.vision.portrait import load_portrait, shipped_avatars

STILL = Tuning()
RANDOM = np.random.default_rng(5)


def face(x: float = 320, y: float = 240, side: float = 200, noise: float = 0.0) -> Floats:
    """Landmarks that fill a square."""
    points = np.zeros((478, 3))
    points[:, :2] = RANDOM.uniform(-0.5, 0.5, (478, 2))
    points[:4, :2] = [[-0.5, -0.5], [0.5, 0.5], [-0.5, 0.5], [0.5, -0.5]]
    points[:, :2] = points[:, :2] * side + [x, y] + RANDOM.normal(0, noise, 2)
    return points


def points_of(motion: Motion) -> Floats:
    return motion.pose.reshape(-1, 2)


# The crop


def test_the_crop_does_not_wobble_with_the_landmarks() -> None:
    steady = SteadyCrop(1.9)
    crops = {steady.follow(face(noise=4.0), (640, 480)) for _ in range(50)}
    assert len(crops) == 1


def test_the_crop_glides_after_a_face_that_leaves_and_rests_again() -> None:
    steady = SteadyCrop(1.9)
    start = steady.follow(face(320), (640, 480))
    moves = [steady.follow(face(420), (640, 480)) for _ in range(60)]
    steps = np.diff([start.x, *(crop.x for crop in moves)])
    assert moves[-1].x == pytest.approx(420, abs=8) and moves[-1] == moves[-2]
    assert (steps >= 0).all() and steps.max() < 0.2 * 100  # never a jump


def test_another_face_or_another_picture_is_taken_at_once() -> None:
    steady = SteadyCrop(1.9)
    steady.follow(face(100, side=60), (640, 480))
    assert steady.follow(face(500, side=60), (640, 480)).x == pytest.approx(500)
    assert steady.follow(face(250, side=30), (320, 240)).x == pytest.approx(250)


def test_a_crop_shows_the_pixels_it_says() -> None:
    image = np.zeros((200, 300, 3), np.uint8)
    image[100:140, 150:190] = 255
    cut = Crop(170, 120, 40).cut(image, 64)
    assert cut.shape == (64, 64, 3) and cut[2:-2, 2:-2].min() == 255
    assert Crop(170, 120, 80).cut(image, 32)[..., 0].mean() == pytest.approx(255 / 4, abs=6)
    assert Crop(170, 120, 160).cut(image, 32)[..., 0].mean() == pytest.approx(255 / 16, abs=4)


def test_the_whole_picture_is_in_the_whole_crop() -> None:
    image = np.zeros((100, 300, 3), np.uint8)
    image[:, :3], image[:, -3:] = (255, 0, 0), (0, 255, 0)
    cut = whole_crop(image).cut(image, 100)
    assert cut[50, 0, 0] > 200 and cut[50, -1, 1] > 200


def test_the_margin_is_the_models() -> None:
    assert face_crop(face(side=100), 2.5).side == pytest.approx(250)


# Motions


def own(points: Floats, frames: Floats | None = None) -> Motion:
    flat = np.eye(2)[None].repeat(len(points), 0) if frames is None else frames
    return Motion(points.ravel(), flat.ravel())


SOURCE = own(np.asarray(RANDOM.uniform(-0.4, 0.4, (8, 2)), np.float64), np.eye(2) + RANDOM.normal(0, 0.1, (8, 2, 2)))
DRIVER = own(np.asarray(RANDOM.uniform(-0.4, 0.4, (8, 2)), np.float64), np.eye(2) + RANDOM.normal(0, 0.1, (8, 2, 2)))


def test_small_motions_are_carried_over_exactly() -> None:
    """Equation 16 of the paper, to the last digit, as long as nothing is near a limit."""
    step, turn = RANDOM.normal(0, 0.01, (8, 2)), np.eye(2) + RANDOM.normal(0, 0.02, (8, 2, 2))
    frames = DRIVER.expression.reshape(-1, 2, 2)
    now = own(points_of(DRIVER) + step, turn @ frames)
    moved = motions.transfer_motion(SOURCE, DRIVER, now, 1.3, STILL)
    assert np.allclose(points_of(moved), points_of(SOURCE) + 1.3 * step)
    assert np.allclose(moved.expression.reshape(-1, 2, 2), turn @ SOURCE.expression.reshape(-1, 2, 2))


def test_large_motions_saturate() -> None:
    for size in (0.5, 2.0, 50.0):
        step = np.full((8, 2), size)
        wild = RANDOM.normal(0, size, (8, 2, 2))
        moved = motions.transfer_motion(SOURCE, DRIVER, own(points_of(DRIVER) + step, wild), 1.0, STILL)
        shift = points_of(moved) - points_of(SOURCE)
        assert np.linalg.norm(shift, axis=1).max() <= motions.SHIFT_LIMIT + 1e-9
        change = moved.expression.reshape(-1, 2, 2) @ np.linalg.inv(SOURCE.expression.reshape(-1, 2, 2))
        assert np.linalg.svd(change)[1].max() <= motions.STRETCH_LIMIT + 1e-9
        assert np.linalg.svd(change)[1].min() >= 1 / motions.STRETCH_LIMIT - 1e-9
        angle = np.arctan2(change[:, 1, 0] - change[:, 0, 1], change[:, 0, 0] + change[:, 1, 1])
        assert np.abs(angle).max() <= motions.TURN_LIMIT_RAD + 1e-9
        assert (np.linalg.det(change) > 0).all()


def test_saturation_is_smooth_and_ordered() -> None:
    lengths = np.linspace(0, 3, 400)
    bounded = np.linalg.norm(motions.saturate(np.stack((lengths, np.zeros(400)), -1), 0.35), axis=1)
    assert (np.diff(bounded) >= -1e-12).all() and np.abs(np.diff(bounded)).max() <= 3 / 399 + 1e-9
    assert np.allclose(bounded[lengths < 0.2], lengths[lengths < 0.2]) and bounded.max() <= 0.35


def test_where_the_crop_is_does_not_matter() -> None:
    """The same keypoints seen through two crops are one motion."""
    pixels = RANDOM.uniform(200, 300, (8, 2))
    frames = np.eye(2) + RANDOM.normal(0, 0.1, (8, 2, 2))
    seen = []
    for crop in (Crop(250, 240, 180), Crop(230, 260, 260)):
        value = ((pixels - [crop.x, crop.y]) / (crop.side / 2)).astype(np.float32)[None]
        jacobian = (frames / crop.side).astype(np.float32)[None]
        seen.append(motions.motion_from_keypoints(value, jacobian, crop, 640, 480, np.zeros(3)))
    assert np.allclose(seen[0].pose, seen[1].pose, atol=1e-6)
    assert np.allclose(seen[0].expression, seen[1].expression, atol=1e-6)
    assert np.allclose(seen[0].points, pixels, atol=1e-4)


def test_absolute_motion_puts_the_keypoints_where_the_drivers_are() -> None:
    """In the crop, as the original does it, whatever the reference (within the limits)."""
    value = (points_of(SOURCE) + RANDOM.normal(0, 0.02, (8, 2))).astype(np.float32)[None]
    jacobian = SOURCE.expression.astype(np.float32).reshape(1, 8, 2, 2)
    driving = motions.motion_from_keypoints(value, jacobian, Crop(300, 200, 220), 640, 480, np.zeros(3))
    moved = motions.transfer_motion(SOURCE, DRIVER, driving, 9.9, replace(STILL, relative=False))
    assert np.allclose(points_of(moved), value[0], atol=1e-6)
    assert np.allclose(moved.expression, SOURCE.expression, atol=1e-6)
    relative = motions.transfer_motion(SOURCE, driving, driving, 9.9, STILL)
    assert np.allclose(relative.pose, SOURCE.pose)


def test_a_driver_twice_as_near_moves_the_avatar_no_more() -> None:
    """The scale takes out how large the driver is in the picture."""
    step = RANDOM.normal(0, 0.005, (8, 2))
    near = own(2.0 * points_of(DRIVER)), own(2.0 * (points_of(DRIVER) + step))
    far = own(points_of(DRIVER)), own(points_of(DRIVER) + step)
    moved = [motions.transfer_motion(SOURCE, *pair, motions.span(SOURCE.pose) / motions.span(pair[0].pose), STILL) for pair in (near, far)]
    assert np.allclose(moved[0].pose, moved[1].pose)


def test_distance_ignores_place_and_size() -> None:
    assert motions.motion_distance(SOURCE, own(3 * points_of(SOURCE) + 5)) == pytest.approx(0, abs=1e-6)
    assert motions.motion_distance(SOURCE, DRIVER) > 0.3


def test_the_view_is_the_heads() -> None:
    straight = np.zeros((478, 3))
    straight[[10, 152, 33, 263]] = [[0, -60, 0], [0, 60, 0], [-40, -20, 0], [40, -20, 0]]
    assert np.allclose(motions.view_of(straight), 0)
    angle = 0.3
    cos, sin = np.cos(angle), np.sin(angle)
    for axis, turn in enumerate(
        (
            [[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]],  # towards the picture's right: its right side goes away from the camera
            [[1, 0, 0], [0, cos, -sin], [0, sin, cos]],  # downwards: the forehead comes nearer
            [[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]],  # clockwise
        )
    ):
        view = motions.view_of(straight @ np.array(turn).T)
        assert view[axis] == pytest.approx(angle, abs=1e-6) and np.abs(np.delete(view, axis)).max() < 1e-6


# The paste


def texture(height: int = 300, width: int = 400) -> Image:
    coarse = RANDOM.integers(0, 255, (height // 10, width // 10, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def identity(cells: int = 64) -> Array:
    ticks = np.linspace(-1, 1, cells, dtype=np.float32)
    return np.stack(np.meshgrid(ticks, ticks), -1)


def at_rest(shown: Image) -> RuntimeOutput:
    """What a soft model makes of a portrait at rest: blurred, and a little too dark."""
    soft = cv2.GaussianBlur(shown, (0, 0), 3).astype(np.float32) - 12
    return RuntimeOutput(np.clip(soft, 0, 255).astype(np.uint8), True, identity(), np.full((64, 64), 0.8, np.float32))


def test_at_rest_the_paste_is_the_portrait() -> None:
    image, crop = texture(), Crop(200, 150, 160)
    shown = crop.cut(image, 256)
    rest = at_rest(shown)
    out = paste_back(image, build_paste_region(image, crop, shown, rest), rest)
    assert np.abs(out.astype(int) - image).max() <= 1


@pytest.mark.parametrize("crop", [Crop(200, 150, 160), Crop(30, 20, 160), Crop(390, 290, 220), Crop(200, 150, 900)], ids=str)
def test_outside_the_square_nothing_changes_and_its_edge_does_not_show(crop: Crop) -> None:
    image = texture()
    shown = crop.cut(image, 256)
    rest = at_rest(shown)
    place = build_paste_region(image, crop, shown, rest)
    now = RuntimeOutput(np.bitwise_not(rest.image), True, identity() + np.float32(0.2), np.full((64, 64), 0.1, np.float32))
    out = paste_back(image, place, now)
    (left, top), (rows, columns) = place.corner, place.inside
    left, right, top, bottom = left + columns.start, left + columns.stop, top + rows.start, top + rows.stop
    outside = np.ones(image.shape[:2], bool)
    outside[top:bottom, left:right] = False
    assert np.array_equal(out[outside], image[outside])
    assert np.abs(out.astype(int) - image).max() > 60
    edge = np.abs(out.astype(int) - image)[top:bottom, left:right]
    if left > 0 and right < image.shape[1]:
        assert edge[:, 0].max() <= 6 and edge[:, -1].max() <= 6


def test_what_moves_keeps_its_sharpness() -> None:
    """Shifted by a warp, the middle shows the portrait's own pixels at full resolution, not the model's soft ones."""
    image, crop = texture(600, 800), Crop(400, 300, 512)
    shown = crop.cut(image, 256)
    rest = at_rest(shown)
    shift = np.float32(16 / 256)  # 16 px of the portrait to the left
    moved = cv2.warpAffine(rest.image, np.array([[1.0, 0, -8], [0, 1, 0]]), (256, 256), borderMode=cv2.BORDER_REPLICATE)
    now = RuntimeOutput(np.asarray(moved, np.uint8), True, identity() + np.array([shift, 0], np.float32), rest.occlusion)
    out = paste_back(image, build_paste_region(image, crop, shown, rest), now)
    middle = (slice(230, 370), slice(330, 470))
    wanted = image[230:370, 346:486]
    assert np.abs(out[middle].astype(int) - wanted).mean() < 2.5


def sharpness(image: NDArray[np.uint8]) -> float:
    return float(cv2.Laplacian(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY), cv2.CV_32F).var())


def test_what_is_not_hidden_is_about_as_sharp_as_the_photo() -> None:
    """Between two pixels too, and in a square four times the model's size; the model's own picture has nothing of it."""
    photo = np.asarray(cv2.GaussianBlur(RANDOM.integers(0, 255, (1200, 1200, 3)).astype(np.uint8), (0, 0), 1.5), np.uint8)
    crop = Crop(600, 600, 1024)
    shown = crop.cut(photo, 256)
    rest = at_rest(shown)
    step = np.float32(2 * 4.5 / 1024)
    soft = np.asarray(cv2.warpAffine(rest.image, np.array([[1.0, 0, -4.5 / 4], [0, 1, 0]]), (256, 256)), np.uint8)
    now = RuntimeOutput(soft, True, identity() + np.array([step, 0], np.float32), rest.occlusion)
    out = paste_back(photo, build_paste_region(photo, crop, shown, rest), now)
    middle = (slice(450, 750), slice(450, 750))
    alone = np.asarray(cv2.resize(soft, (1024, 1024)), np.uint8)
    assert sharpness(out[middle]) > 0.5 * sharpness(photo[middle])
    assert sharpness(alone[362:662, 362:662]) < 0.1 * sharpness(photo[middle])


def test_what_was_hidden_is_the_models_in_the_portraits_colours() -> None:
    image, crop = texture(), Crop(200, 150, 160)
    shown = crop.cut(image, 256)
    rest = at_rest(shown)
    now = RuntimeOutput(rest.image, True, rest.deformation, np.zeros((64, 64), np.float32))
    out = paste_back(image, build_paste_region(image, crop, shown, rest), now)
    middle = (slice(120, 180), slice(170, 230))
    assert abs(float(out[middle].mean()) - float(image[middle].mean())) < 4  # not 12 darker
    assert np.abs(out[middle].astype(int) - image[middle]).mean() > 4  # soft, as the model has it


# The engine as a whole


@pytest.fixture(scope="module")
def portrait() -> Image:
    return load_portrait(shipped_avatars()[0], 384)


@pytest.fixture(scope="module")
def engine() -> Iterator[FommEngine]:
    made = FommEngine("cpu")
    yield made
    made.close()


def test_the_shipped_model_is_as_it_was_made_and_says_that_it_is_experimental(caplog: pytest.LogCaptureFixture) -> None:
    artifacts.read_manifest(artifacts.shipped_models_folder() / "fomm-synth-256").verify()
    with caplog.at_level("INFO", "livepuppet"):
        made = FommEngine("cpu")
    made.close()
    assert [message for message in caplog.messages if "is experimental: " in message and "landmark engine" in message]


def test_the_device_names_everything(engine: FommEngine) -> None:
    assert all(word in engine.device for word in ("cpu", "float32", "CPUExecutionProvider", "fomm-synth-256"))


def test_unknown_models_and_devices() -> None:
    with pytest.raises(UsageError, match=r"no model named 'nope' \(known: .*fomm-synth-256"):
        FommEngine("cpu", "nope")
    with pytest.raises(UsageError, match="no device named 'abacus'"):
        FommEngine("abacus")


class Broken:
    """A model that computes NaN after `good` frames: on GPUs, half precision overflows; here the real graphs are asked to."""

    def __init__(self, engine: FommEngine, good: int) -> None:
        self.inner, self.good, self.device = engine._graphs, good, engine.device

    def prepare(self, portrait: Image) -> PreparedSource:
        return self.inner.prepare(portrait)

    def detect(self, driving: Image) -> tuple[Array, Array]:
        value, jacobian = self.inner.detect(driving)
        self.good -= 1
        return (value, jacobian) if self.good >= 0 else (value * np.float32("nan"), jacobian)

    def render(
        self, prepared: PreparedSource, value: Array, jacobian: Array, reference: tuple[Array, Array] | None = None, scale: float = 1.0
    ) -> RuntimeOutput:
        self.good -= 1
        return self.inner.render(prepared, value if self.good >= 0 else value * np.float32("nan"), jacobian, reference, scale)

    def close(self) -> None:
        self.inner.close()


def test_a_frame_that_is_nan_holds_the_picture_before_and_warns_once(portrait: Image, caplog: pytest.LogCaptureFixture) -> None:
    engine = FommEngine("cpu")
    avatar = engine.prepare(portrait)
    engine._graphs = Broken(engine, 1)
    good = engine.render(avatar, engine.idle(avatar, 3.0), STILL)
    with caplog.at_level("WARNING", "livepuppet"):
        for _ in range(5):
            with pytest.raises(FrameError, match="computed NaN"):
                engine.render(avatar, engine.idle(avatar, 4.0), STILL)
        assert engine.observe(portrait) is None
    assert not np.array_equal(good, avatar.image)
    assert len(caplog.messages) == 1 and "holding the last picture" in caplog.messages[0]
    engine.close()


def test_the_puppet_shows_the_picture_before_a_frame_that_is_nan(portrait: Image) -> None:
    engine = FommEngine("cpu")
    avatar = engine.prepare(portrait)
    with Puppet(engine, avatar, STILL, hold_s=0.0) as puppet:
        puppet.rest(0, 0.0)
        puppet.rest(1, 8.0)  # from here on it eases to its idle motion
        engine._graphs = Broken(engine, 1)
        moved = puppet.rest(2, 12.0).image
        assert not np.array_equal(moved, avatar.image)
        assert np.array_equal(puppet.rest(3, 12.5).image, moved)


def test_a_portrait_whose_features_are_nan_is_refused(portrait: Image) -> None:
    engine = FommEngine("cpu")
    engine._graphs = Broken(engine, 0)
    with pytest.raises(ModelError, match="cannot animate this portrait"):
        engine.prepare(portrait)
    engine.close()


def test_spans_are_found_once_per_reference(engine: FommEngine, portrait: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    avatar = engine.prepare(portrait)
    seen = engine.observe(portrait)
    assert seen is not None
    calls: list[Floats] = []
    real = motions.span

    def counted(points: Floats) -> float:
        calls.append(points)
        return real(points)

    monkeypatch.setattr(motions, "span", counted)
    for gain in (0.2, 0.5, 1.0):
        engine.transfer(avatar, seen, seen, Tuning(gain=gain))
    assert len(calls) == 1


def grey_middle(image: Image) -> NDArray[np.float32]:
    height, width = image.shape[:2]
    middle = image[height // 4 : height * 3 // 4, width // 4 : width * 3 // 4]
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(middle), cv2.COLOR_RGB2GRAY), np.float32)


def test_a_portrait_drives_itself_to_where_it_is(engine: FommEngine, portrait: Image) -> None:
    """Absolute motion by the portrait's own picture leaves it nearly as it is: crop, keypoints and units agree on both sides."""
    avatar = engine.prepare(portrait)
    engine._crop = SteadyCrop(engine._manifest.margin)
    seen = engine.observe(portrait)
    assert seen is not None
    moved = engine.transfer(avatar, seen, seen, Tuning(relative=False))
    off = np.abs(moved.pose - avatar.neutral.pose).max()
    assert off < 0.04  # the tracker finds the face, and with it the crop, not quite where the detector of portraits does
    image = engine.render(avatar, moved, STILL)
    shift, _ = cv2.phaseCorrelate(grey_middle(avatar.image), grey_middle(image))
    assert np.linalg.norm(shift) <= (off * avatar.square.side / 2) + 1  # no further than the keypoints are off: pixels
    assert np.abs(image.astype(int) - avatar.image).mean() < 6


def body_model(folder: Path) -> Path:
    """The shipped graphs as a model that is shown the whole picture."""
    source = artifacts.read_manifest(artifacts.shipped_models_folder() / "fomm-synth-256")
    folder.mkdir()
    for name in source.manifest.files:
        (folder / name).write_bytes(source.file(name).read_bytes())
    (folder / "model.json").write_text(replace(source.manifest, crop="none", name="body").text())
    return folder


def test_a_model_of_bodies_needs_no_face(tmp_path: Path) -> None:
    engine = FommEngine("cpu", str(body_model(tmp_path / "body")))
    image = texture(240, 320)
    avatar = engine.prepare(image)
    assert avatar.image.shape == (240, 320, 3)
    seen = engine.observe(image)
    assert seen is not None and engine._tracker is None
    assert np.abs(seen.points - [160, 120]).max() <= 170
    moved = engine.transfer(avatar, seen, seen, STILL)
    assert np.allclose(moved.pose, avatar.neutral.pose)
    shifted: NDArray[np.uint8] = np.ascontiguousarray(np.roll(image, 12, 1))
    now = engine.observe(shifted)
    assert now is not None and engine.render(avatar, engine.transfer(avatar, seen, now, STILL), STILL).shape == avatar.image.shape
    assert engine.prepare(image, (200, 200)).image.shape == (200, 200, 3)
    engine.close()

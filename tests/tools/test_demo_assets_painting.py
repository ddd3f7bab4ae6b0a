"""The shipped people's rooms, paintings and performance: drawn once, but not by chance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from livepuppet.errors import UsageError
from livepuppet.synthetic.acting import Acting
from livepuppet.types import Image
from tools.demo_assets.painting import Buffers, developed, oil, pencil, toon, watercolour
from tools.demo_assets.rooms import ROOMS, draw_room
from tools.demo_assets.script import BLINKS, FPS, SECONDS, acting_at
from tools.demo_assets.strokes import linear_colour, smeared, stroke_directions

SIZE = 96
UNITS = (
    "browDownLeft", "browInnerUp", "browOuterUpLeft", "cheekSquintLeft", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft",
    "eyeLookUpLeft", "eyeSquintLeft", "eyeWideLeft", "jawOpen", "mouthPucker", "mouthSmileLeft", "mouthSmileRight",
)  # fmt: skip
Painter = Callable[[Image, int], Image]


def everywhere(value: float) -> NDArray[np.float32]:
    return np.full((SIZE, SIZE), value, np.float32)


@pytest.fixture(scope="module")
def image() -> Image:
    """A room, and a head-shaped blot with a fine pattern in it."""
    picture = developed(draw_room("living", 4, SIZE, SIZE))
    rows, columns = np.mgrid[:SIZE, :SIZE]
    person = oval()
    pattern = ((rows // 2 + columns // 2) % 2 * 60 + 90)[..., None] * np.array([1.0, 0.8, 0.7])
    picture[person > 0.5] = pattern.astype(np.uint8)[person > 0.5]
    return picture


def oval() -> NDArray[np.float32]:
    rows, columns = np.mgrid[:SIZE, :SIZE] / SIZE * 2 - 1
    return np.asarray((columns / 0.4) ** 2 + (rows / 0.5) ** 2 < 1, np.float32)


def gap(one: NDArray[np.generic], other: NDArray[np.generic]) -> float:
    return float(np.abs(one.astype(np.float64) - other.astype(np.float64)).mean())


PAINTERS: dict[str, Painter] = {
    "oil": lambda image, seed: oil(image, oval(), seed),
    "watercolour": lambda image, seed: watercolour(image, oval(), seed),
    "pencil": lambda image, seed: pencil(image, oval(), seed),
}


@pytest.mark.parametrize("kind", ROOMS)
def test_a_room_is_calm_and_always_the_same(kind: str) -> None:
    room = draw_room(kind, 3, 320, 240)
    assert room.shape == (240, 320, 3) and room.dtype == np.float32
    assert room.min() >= 0 and room.max() <= 2 and room.std() > 0.005
    assert np.array_equal(room, draw_room(kind, 3, 320, 240))
    assert np.abs(np.diff(room, axis=1)).max() < 0.2, "out of focus: nothing sharp behind a face"


def test_rooms_differ_from_each_other() -> None:
    rooms = [draw_room(kind, 3, 64, 64) for kind in ROOMS]
    assert min(gap(one, other) for i, one in enumerate(rooms) for other in rooms[:i]) > 0.02


@pytest.mark.parametrize("kind", ["living", "studio", "garden", "cafe", "library"])
def test_another_seed_is_another_room_of_its_kind(kind: str) -> None:
    assert gap(draw_room(kind, 1, 64, 64), draw_room(kind, 2, 64, 64)) > 1e-3


def test_a_room_keeps_its_proportions_in_any_format() -> None:
    """The wide picture shows more to the sides, and the same in the middle, away from where the square one's blur meets its border."""
    square, wide = draw_room("office", 0, 120, 120), draw_room("office", 0, 180, 120)
    assert np.allclose(wide[:, 50:130], square[:, 20:100], atol=0.002)


def test_the_studio_has_the_wall_it_is_given() -> None:
    wall = draw_room("studio", 3, 64, 64, ("a04040", "200808"))
    assert wall[..., 0].mean() > 2 * wall[..., 1].mean()
    assert wall[28, 28].sum() > 1.5 * wall[-1, -1].sum(), "the first colour where light falls, the second in the corners"
    assert np.array_equal(draw_room("office", 3, 64, 64, ("a04040", "200808")), draw_room("office", 3, 64, 64))


def test_an_unknown_room_names_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        draw_room("dungeon", 0, 64, 64)
    assert "dungeon" in str(caught.value) and all(kind in str(caught.value) for kind in ROOMS)


def test_colours_are_read_as_displays_show_them() -> None:
    assert linear_colour("ff0080") == pytest.approx([1, 0, (128 / 255) ** 2.2], abs=1e-6)


@pytest.mark.parametrize("name", PAINTERS)
def test_a_seed_paints_one_picture_and_leaves_the_original_alone(name: str, image: Image) -> None:
    before = image.copy()
    painted = PAINTERS[name](image, 5)
    assert painted.shape == image.shape and painted.dtype == np.uint8
    assert np.array_equal(painted, PAINTERS[name](image, 5))
    assert not np.array_equal(painted, PAINTERS[name](image, 6))
    assert np.array_equal(image, before)
    assert gap(painted, image) > 3


def test_oil_keeps_what_the_detail_map_asks_for(image: Image) -> None:
    """The fine pattern survives the fine brush, and not the broad one."""
    inside = np.s_[SIZE // 2 - 8 : SIZE // 2 + 8, SIZE // 2 - 8 : SIZE // 2 + 8]

    def contrast(picture: Image) -> float:
        return float(np.abs(np.diff(picture[inside].astype(float).mean(2), n=2, axis=1)).mean())

    fine, broad = (oil(image, everywhere(detail), 3) for detail in (1.0, 0.0))
    assert contrast(fine) > 0.4 * contrast(image)
    assert contrast(broad) < 0.5 * contrast(fine)


def test_oil_is_varnished(image: Image) -> None:
    grey = np.full_like(image, 128)
    painted = oil(grey, everywhere(1.0), 3).astype(float).mean((0, 1))
    assert painted[0] > painted[1] > painted[2] + 5, "warm"


def test_watercolour_leaves_paper_outside_the_mask(image: Image) -> None:
    """The background's wash ends before the corners; a person's paint may reach them."""
    dark = np.full_like(image, 60)
    background, person = (watercolour(dark, everywhere(mask), 5).astype(float) for mask in (0.0, 1.0))
    corner = np.s_[:6, :6]
    assert background[corner].mean() > 225
    assert person[corner].mean() < 150
    assert background[SIZE // 2, SIZE // 2].mean() < 0.8 * background[corner].mean()


def test_pencil_hatches_shadows_on_the_person_only(image: Image) -> None:
    dark = np.full_like(image, 40)
    half = everywhere(0.0)
    half[:, : SIZE // 2] = 1
    drawn = pencil(dark, half, 5).astype(float)
    left, right = drawn[:, 8 : SIZE // 2 - 8], drawn[:, SIZE // 2 + 8 : -8]
    assert right.mean() > 1.3 * left.mean()
    assert drawn[..., 0].mean() > drawn[..., 2].mean(), "on warm paper"


def test_strokes_follow_the_forms() -> None:
    """Vertical stripes are painted from top to bottom, and smearing that way keeps them."""
    stripes = np.zeros((SIZE, SIZE, 3), np.uint8)
    stripes[:, ::8] = stripes[:, 1::8] = 255
    angle = stroke_directions(stripes, 4)
    assert np.abs(np.sin(angle[20:-20, 20:-20])).min() > 0.99
    assert gap(smeared(stripes, angle, 6), stripes) < 1
    assert gap(smeared(stripes, angle + np.float32(np.pi / 2), 6), stripes) > 50


def test_developing_keeps_black_and_the_order_of_brightness() -> None:
    ramp = np.repeat(np.linspace(0, 6, 200, dtype=np.float32)[None, :, None], 3, 2)
    shown = developed(ramp)[0]
    assert shown[0].max() == 0 and shown[-1].min() > 235
    assert (np.diff(shown.astype(int), axis=0) >= 0).all()
    assert (developed(ramp, exposure=0.5)[0] <= shown).all()
    red = np.array([[[0.5, 0.1, 0.1]]], np.float32)
    grey = developed(red, saturation=0.0)[0, 0].astype(int)
    assert np.ptp(grey) <= 1 < np.ptp(developed(red)[0, 0].astype(int))


def rendered(strand: int = 0) -> Buffers:
    """A disc of skin, lit from the left, with a patch of hair on it."""
    size = 2 * SIZE
    rows, columns = np.mgrid[:size, :size] / size * 2 - 1
    inside = np.hypot(rows, columns) < 0.7
    light = np.where(columns < 0, 1.0, 0.2)[..., None] * np.ones(3)
    albedo = np.ones((size, size, 3)) * np.array([0.6, 0.4, 0.3])
    return Buffers(
        material=np.where(inside, 0, -1).astype(np.int8),
        strand=np.where(inside & (rows < -0.3), strand, 0).astype(np.int32),
        albedo=albedo.astype(np.float32),
        light=light.astype(np.float32),
        linear=(albedo * light).astype(np.float32),
        depth=np.where(inside, 11 - np.sqrt(np.clip(1 - rows**2 - columns**2, 0, 1)), 1e9).astype(np.float32),
    )


def test_toon_has_two_tones_and_ink() -> None:
    hair, background = np.array([0.2, 0.05, 0.02], np.float32), np.full((SIZE, SIZE, 3), 0.8, np.float32)
    drawn = toon(rendered(), hair, background)
    assert drawn.shape == (SIZE, SIZE, 3) and drawn.dtype == np.float32
    row = drawn[SIZE // 2]
    lit, shade = row[SIZE // 4 : SIZE // 2 - 8], row[SIZE // 2 + 8 : 3 * SIZE // 4]
    assert np.ptp(lit, axis=0).max() < 0.01 and np.ptp(shade, axis=0).max() < 0.01
    assert (lit.mean(0) > 1.5 * shade.mean(0)).all()
    assert row.min() < 0.1, "a line around the head"
    assert np.allclose(drawn[:4, :4], 0.8, atol=1e-3)


def test_toon_hair_is_flat_and_in_its_own_colour() -> None:
    hair, background = np.array([0.1, 0.1, 0.5], np.float32), np.full((SIZE, SIZE, 3), 0.8, np.float32)
    patch = np.s_[SIZE // 4 : SIZE // 4 + 6, SIZE // 2 - 20 : SIZE // 2 - 6]
    bald, haired = (toon(rendered(strand), hair, background)[patch].mean((0, 1)) for strand in (0, 1))
    assert bald[0] > bald[2] and haired[2] > 2 * haired[0]


def features(acting: Acting) -> NDArray[np.float64]:
    return np.concatenate([acting.weights(UNITS).numpy(), acting.gaze, acting.head, acting.shoulders, acting.shift]).astype(np.float64)


def weight(seconds: float, unit: str) -> float:
    return float(acting_at(seconds).weights((unit,))[0])


@pytest.mark.parametrize("seconds", [0.0, 0.5, 1.0, SECONDS - 0.2, SECONDS, SECONDS + 1])
def test_the_actor_is_neutral_and_still_at_both_ends(seconds: float) -> None:
    acting = acting_at(seconds)
    assert acting.head == acting.shoulders == acting.shift == pytest.approx((0, 0, 0))
    assert acting.gaze == pytest.approx((0, 0))
    assert features(acting) == pytest.approx(features(acting_at(0.0)))
    assert float(acting.weights(UNITS).max()) < 0.15


def test_blinks_close_both_lids_and_nothing_else_does() -> None:
    for blink in BLINKS:
        assert weight(blink + 0.12, "eyeBlinkLeft") == weight(blink + 0.12, "eyeBlinkRight") == pytest.approx(1)
        assert weight(blink + 0.12, "eyeWideLeft") == 0
        assert weight(blink - 0.01, "eyeBlinkLeft") == weight(blink + 0.35, "eyeBlinkLeft") == 0


def test_the_performance_shows_what_it_promises() -> None:
    played = [acting_at(frame / FPS) for frame in range(round(FPS * SECONDS))]
    yaw, pitch, roll = np.degrees([acting.head for acting in played]).T
    gaze = np.array([acting.gaze[0] for acting in played])
    for angles, reach in ((yaw, 16), (pitch, 8), (roll, 9)):
        assert angles.max() > reach and angles.min() < -reach
    assert gaze.max() > 0.4 and gaze.min() < -0.4
    assert weight(4.5, "mouthSmileRight") > weight(4.5, "mouthSmileLeft") > 0.9
    assert weight(5.2, "browOuterUpLeft") > 0.8 and weight(9.05, "jawOpen") > 0.9 and weight(2.01, "mouthPucker") > 0.3
    assert len({weight(time, "jawOpen") for time in np.arange(1.5, 4.0, 0.1)}) > 20, "speech"


def test_only_lids_and_eyes_are_quick() -> None:
    quick = [UNITS.index("eyeBlinkLeft"), UNITS.index("eyeBlinkRight"), len(UNITS), len(UNITS) + 1]
    played = np.array([features(acting_at(frame / FPS)) for frame in range(round(FPS * SECONDS))])
    steps = np.abs(np.diff(played, axis=0)).max(0)
    assert np.delete(steps, quick).max() < 0.25
    assert steps[quick].min() > 0.01

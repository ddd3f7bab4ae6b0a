"""The puppet's state: arming, resetting and searching the reference, losing and finding the face, changing the avatar."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from blob_engine import SIDE, BlobEngine, driver, frame, portrait

from livepuppet.live.assembly import open_puppet
from livepuppet.live.puppet import BLEND_S, HOLD_S, SETTLE_S, Puppet
from livepuppet.types import Frame, Image, Tuning
from livepuppet.video.reader import VideoReader
from livepuppet.vision.portrait import ASSETS

CASES = Path(__file__).parents[1] / "cases"
UNSMOOTHED = Tuning(smoothing=0.0)


@pytest.fixture
def puppet() -> Puppet:
    engine = BlobEngine()
    return Puppet(engine, engine.prepare(portrait()), UNSMOOTHED)


def shift(image: Image) -> int:
    """How far the portrait was moved, in pixels."""
    row = image[0, :, 0].astype(int)
    rest = portrait()[0, :, 0].astype(int)
    return min(range(-SIDE // 2, SIDE // 2), key=lambda dx: int(np.abs(np.roll(rest, dx) - row).sum()))


def drive(puppet: Puppet, places: list[float], start: int = 0) -> list[int]:
    return [shift(puppet.animate(frame(start + i, x)).image) for i, x in enumerate(places)]


def test_nothing_moves_before_the_reference_is_armed_and_then_by_what_the_driver_moved(puppet: Puppet) -> None:
    before = drive(puppet, [0.4] * 10)
    assert set(before) == {0} and not puppet.condition.referenced and 0 < puppet.condition.armed < 1
    drive(puppet, [0.4] * 20, 10)
    assert puppet.condition.referenced
    moved = drive(puppet, [0.4 + 8 / SIDE] * 15, 30)
    assert moved[-1] == pytest.approx(8, abs=1)
    assert drive(puppet, [0.4], 45) == [0]


def test_holding_still_means_still(puppet: Puppet) -> None:
    wobble = [0.3 + 0.4 * (i % 2) for i in range(30)]
    drive(puppet, wobble)
    assert not puppet.condition.referenced


def test_patience_ends_so_that_a_restless_driver_gets_a_puppet_too(puppet: Puppet) -> None:
    drive(puppet, [0.45 + 0.1 * (i % 2) for i in range(300)])
    assert puppet.condition.referenced


def test_frame_keeps_index_and_capture_time(puppet: Puppet) -> None:
    out = puppet.animate(Frame(driver(0.5), 17, 123.25, 4.5))
    assert (out.index, out.captured_at, out.media_time) == (17, 123.25, 4.5)


def test_reset_blends_instead_of_jumping(puppet: Puppet) -> None:
    drive(puppet, [0.5] * 25)
    assert drive(puppet, [0.5 + 12 / SIDE] * 12, 25)[-1] == pytest.approx(12, abs=1)
    puppet.reset_reference()
    after = drive(puppet, [0.5 + 12 / SIDE] * 15, 37)
    assert after[-1] == 0
    steps = np.abs(np.diff([12, *after]))
    assert steps.max() <= 4, after  # 12 px over 0.3 s = 9 frames
    assert len([s for s in after if s]) >= BLEND_S * 30 - 4


def test_search_takes_a_frame_that_is_more_like_the_portrait(puppet: Puppet) -> None:
    drive(puppet, [0.2] * 300)  # far from the middle, where the portrait is
    assert puppet.condition.referenced
    puppet.search_reference(True)
    drive(puppet, [0.5] * 20, 300)
    assert drive(puppet, [0.5], 320) == [0]
    puppet.search_reference(False)
    assert drive(puppet, [0.5 + 10 / SIDE] * 12, 321)[-1] == pytest.approx(10, abs=1)


def test_lost_face_is_held_then_settles_and_comes_back_without_a_jump(puppet: Puppet) -> None:
    drive(puppet, [0.5] * 25)
    drive(puppet, [0.5 + 16 / SIDE] * 12, 25)
    lost = drive(puppet, [-1.0] * 90, 37)
    held = int(HOLD_S * 30) - 1
    assert set(lost[:held]) == {16}
    assert abs(lost[int((HOLD_S + SETTLE_S) * 30) + 2]) <= 2  # idle
    assert np.abs(np.diff(lost)).max() <= 2
    back = drive(puppet, [0.5 + 16 / SIDE] * 15, 127)
    assert np.abs(np.diff([lost[-1], *back])).max() <= 4
    assert back[-1] == pytest.approx(16, abs=1)


def test_rest_never_shows_anything_but_the_avatar(puppet: Puppet) -> None:
    drive(puppet, [0.5] * 30)
    for i in range(60):
        out = puppet.rest(29, 1.0 + i / 30)
        assert sorted(np.unique(out.image)) == sorted(np.unique(portrait()))
    assert not puppet.condition.face


def test_new_avatar_cross_fades(puppet: Puppet) -> None:
    drive(puppet, [0.5] * 30)
    other = puppet.engine.prepare(np.full((SIDE, SIDE, 3), 200, np.uint8))
    puppet.wear(other)
    images = [puppet.animate(frame(30 + i, 0.5)).image for i in range(15)]
    spread = [int(image.max()) - int(image.min()) for image in images]
    assert spread[0] > 200 and spread[-1] == 0 and all(np.diff(spread) <= 0)
    assert any(0 < s < 200 for s in spread)


def test_avatar_of_another_size_is_refused(puppet: Puppet) -> None:
    with pytest.raises(ValueError, match="same size"):
        puppet.wear(puppet.engine.prepare(portrait(32)))


def test_a_recording_that_begins_again_does_not_confuse_the_clock(puppet: Puppet) -> None:
    for lap in range(3):
        for i in range(40):
            out = puppet.animate(Frame(driver(0.5), lap * 40 + i, lap * 2 + i / 30, i / 30))
    assert shift(out.image) == 0 and puppet.condition.referenced


def test_gain_scales_the_motion(puppet: Puppet) -> None:
    drive(puppet, [0.5] * 25)
    puppet.tuning = replace(UNSMOOTHED, gain=0.5)
    assert drive(puppet, [0.5 + 16 / SIDE] * 12, 25)[-1] == pytest.approx(8, abs=1)


def test_leaving_the_with_block_frees_the_engine() -> None:
    engine = BlobEngine()
    with Puppet(engine, engine.prepare(portrait())):
        pass
    assert engine.closed == 1


def test_a_hand_before_the_face_makes_the_portrait_hold_and_come_back_without_a_jump() -> None:
    """The real engine, live: what the portrait does while the driver's face is covered for half a second, and when it is back."""
    images = [frame.image for frame in VideoReader(CASES / "hand_before_face.mp4")]
    with open_puppet(ASSETS / "avatars" / "ada.jpg", size=(128, 128), tuning=Tuning(smoothing=0.0)) as puppet:
        shown, seen = [], []
        for k, image in enumerate(images):
            shown.append(puppet.animate(Frame(image, k, k / 30, k / 30)).image.astype(int))
            seen.append(puppet.condition.face)
    assert all(seen[:30]) and not any(seen[30:45]) and all(seen[47:])
    steps = [float(np.abs(a - b).mean()) for a, b in pairwise(shown)]
    assert max(steps[31:44]) == 0, "it holds"
    assert max(steps[44:60]) <= max(steps[:29]) * 1.5, "it comes back as gently as it moved before"

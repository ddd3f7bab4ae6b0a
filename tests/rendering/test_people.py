"""Several people in a video: the largest and steadiest drives, or whom --face names; through cuts, and nobody else is ever looked at."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from blob_engine import BlobEngine
from PIL import Image as PILImage
from rendering_fixtures import blob_job, frame_times, run_render, write_blob_video

from livepuppet.engines.landmark import LandmarkEngine
from livepuppet.errors import UsageError
from livepuppet.rendering.driver_view import FrameView
from livepuppet.rendering.people import Track, colour_histograms, detection_distance, find_people, group_tracks, similarity
from livepuppet.rendering.person_tracks import Detection, PeopleTracks, PersonTracks
from livepuppet.rendering.pipeline import RenderPipeline
from livepuppet.rendering.tracking import DriverFrame, track_driver
from livepuppet.types import Floats, Image, Motion
from livepuppet.video.reader import VideoReader
from livepuppet.video.writer import VideoWriter, h264
from livepuppet.vision.portrait import ASSETS, load_portrait

AVATARS = ASSETS / "avatars"
FPS = 10


@pytest.fixture(scope="module")
def faces() -> dict[str, Image]:
    return {name: load_portrait(AVATARS / f"{name}.jpg", 240) for name in ("ada", "bruno", "chidi")}


def scene(left: Image | None, right: Image | None, small: bool = False) -> Image:
    """Two people side by side; the right one smaller if asked."""
    image = np.full((240, 480, 3), 90, np.uint8)
    if left is not None:
        image[:, :240] = left
    if right is not None and small:
        image[100:220, 300:420] = right[::2, ::2]
    elif right is not None:
        image[:, 240:] = right
    return image


def film_of(path: Path, scenes: list[tuple[Image, int]]) -> Path:
    writer = VideoWriter(path, (480, 240), format=h264(".mp4", "veryfast"), fps=FPS, time_base=Fraction(1, FPS * 100))
    at = 0
    for image, frames in scenes:
        for _ in range(frames):
            writer.write(image, at * 100)
            at += 1
    writer.close()
    return path


def test_the_largest_and_steadiest_drives(tmp_path: Path, faces: dict[str, Image], caplog: pytest.LogCaptureFixture) -> None:
    video = film_of(tmp_path / "d.mp4", [(scene(faces["ada"], faces["bruno"], small=True), 20)])
    with caplog.at_level(logging.INFO, "livepuppet"):
        cast = find_people(str(video), None)
    assert cast is not None and len(cast.people) == 2 and cast.driver == 0
    assert "2 people" in caplog.text and "the largest and steadiest drives" in caplog.text
    first, second = (person.places[0] for person in cast.people)
    assert first.x < 0.5 < second.x and first.side > 1.5 * second.side
    image = scene(faces["ada"], faces["bruno"], small=True)
    seen = cast.alone(image, 0)
    assert np.array_equal(seen[:, :240], image[:, :240]) and not np.array_equal(seen, image)
    other = find_people(str(video), 2)
    assert other is not None and not np.array_equal(other.alone(image, 0)[:, :240], image[:, :240])
    with pytest.raises(UsageError, match="only 2 people are seen"):
        find_people(str(video), 3)


def test_one_person_needs_no_choice(tmp_path: Path, faces: dict[str, Image]) -> None:
    video = film_of(tmp_path / "d.mp4", [(scene(faces["ada"], None), 20)])
    assert find_people(str(video), None) is None and find_people(str(video), 1) is None
    with pytest.raises(UsageError, match="only 1 person"):
        find_people(str(video), 2)


def test_the_driver_is_recognised_after_cuts(tmp_path: Path, faces: dict[str, Image]) -> None:
    """Ada and Bruno; a cut; they have changed places; a cut; Chidi alone."""
    scenes = [
        (scene(faces["ada"], faces["bruno"]), 20),
        (scene(faces["bruno"], faces["ada"]), 15),
        (scene(faces["chidi"], None), 12),
    ]
    video = film_of(tmp_path / "d.mp4", scenes)
    clock = VideoReader(video)
    tick = round(Fraction(1, FPS) / clock.time_base)  # one frame
    clock.close()
    whereabouts = set()
    for face in (1, 2, 3):
        cast = find_people(str(video), face)
        assert cast is not None and len(cast.people) == 3
        places = cast.people[cast.driver].places
        lefts = [{p.x < 0.5 for p in places if a * tick <= p.pts < b * tick} for a, b in ((0, 20), (20, 35), (35, 47))]
        whereabouts.add("".join({frozenset(): "-", frozenset({True}): "L", frozenset({False}): "R"}[frozenset(side)] for side in lefts))
        black = np.zeros((240, 480, 3), np.uint8)
        others_painted = [bool((cast.alone(black, frame * tick) == 128).any()) for frame in (5, 40)]
        assert others_painted == ([True, False] if lefts[2] else [True, True])
    assert whereabouts == {"LR-", "RL-", "--L"}


def test_places_between_two_looks() -> None:
    person = PersonTracks([Detection(0, 0.2, 0.2, 0.1), Detection(10, 0.4, 0.2, 0.3), Detection(100, 0.9, 0.9, 0.1)])
    middle = person.at(5, 20)
    assert middle is not None and middle.x == pytest.approx(0.3) and middle.side == pytest.approx(0.2)
    assert person.at(50, 20) is None and person.at(95, 20) == person.places[2] and person.at(12, 20) == person.places[1]


def test_of_heads_close_together_each_keeps_its_half() -> None:
    cast = PeopleTracks([PersonTracks([Detection(0, 0.4, 0.5, 0.2)]), PersonTracks([Detection(0, 0.55, 0.5, 0.2)])], 0, 10, [0])
    seen = cast.alone(np.zeros((100, 100, 3), np.uint8), 0)
    assert seen[50, 40].max() == 0 and seen[50, 46].max() == 0 and seen[50, 49].min() == 128 and seen[50, 60].min() == 128


def test_who_is_put_together() -> None:
    red, blue = np.zeros((100, 100, 3), np.uint8), np.zeros((100, 100, 3), np.uint8)
    red[..., 0] = blue[..., 2] = 200

    def seen(image: Image, start: int, x: float) -> Track:
        appearance = Track(0)
        for pts in range(start, start + 10):
            appearance.add(Detection(pts, x, 0.4, 0.3), colour_histograms(image, Detection(pts, x, 0.4, 0.3)))
        return appearance

    assert len(group_tracks([seen(red, 0, 0.3), seen(red, 20, 0.7)])) == 1
    assert len(group_tracks([seen(red, 0, 0.3), seen(red, 5, 0.7)])) == 2, "nobody is in two places at once"
    assert len(group_tracks([seen(red, 0, 0.3), seen(blue, 20, 0.3)])) == 2
    assert detection_distance(Detection(0, 0.3, 0.3, 0.2), Detection(0, 0.5, 0.3, 0.2)) == pytest.approx(1.0)


def test_a_face_cannot_be_asked_of_a_motion(tmp_path: Path) -> None:
    video = write_blob_video(tmp_path / "d.mp4", [0.5] * 5)
    RenderPipeline(blob_job(tmp_path, video, motion=tmp_path / "m.npz"), BlobEngine()).run()
    with pytest.raises(UsageError, match="one person's motion"):
        RenderPipeline(blob_job(tmp_path, tmp_path / "m.npz", face=1), BlobEngine()).run()


def test_the_second_person_drives(tmp_path: Path, faces: dict[str, Image]) -> None:
    """With the real engine: the portrait is the left person; the one on the right, who moves, drives when asked."""
    still, scenes = scene(faces["ada"], faces["bruno"]), []
    for i in range(15):
        moved = still.copy()
        shift = round(12 * np.sin(i / 3))
        moved[:, 240:] = np.roll(faces["bruno"], shift, axis=1)
        scenes.append((moved, 1))
    video = film_of(tmp_path / "d.mp4", scenes)
    moves = {}
    for face in ("1", "2"):
        out = tmp_path / f"o{face}.mp4"
        arguments = ("--avatar", AVATARS / "chidi.jpg", "--driving", video, "--output", out, "--size", "128x128", "--reference", "first")
        assert run_render(*arguments, "--face", face, "--quiet") == 0
        assert len(frame_times(out)) == 15
        images = [p.image.astype(int) for p in VideoReader(out)]
        moves[face] = max(float(np.abs(image - images[0]).mean()) for image in images)
    assert max(moves.values()) > 3 * min(moves.values())


CASES = Path(__file__).parents[1] / "cases"


def driver_frames(path: Path, cast: PeopleTracks | None, start: float = 0.0, end: float | None = None) -> list[DriverFrame]:
    """What the real engine sees of the driver."""
    video = VideoReader(path, limit=640)
    with LandmarkEngine() as engine:
        found = list(track_driver(engine, video, view=FrameView(cast=cast), start=start, end=end))
    video.close()
    return found


def centres(frames: list[DriverFrame]) -> Floats:
    """Columns of the driver's face; NaN where they are not seen."""
    return np.array([np.nan if f.motion is None else f.motion.points[:, 0].mean() for f in frames])


@pytest.mark.slow
@pytest.mark.parametrize(("face", "begins", "ends"), [(None, 118, 500), (1, 118, 500), (2, 519, 117)])
def test_who_crosses_another_stays_the_driver(face: int | None, begins: int, ends: int) -> None:
    """The man walks from the left to the right, the woman behind him from the right to the left."""
    path = CASES / "two_people_cross.mp4"
    cast = find_people(str(path), face)
    assert cast is not None and len(cast.people) == 2
    frames = driver_frames(path, cast)
    at = centres(frames)
    assert abs(np.nanmedian(at[:12]) - begins) < 12 and abs(np.nanmedian(at[-3:]) - ends) < 20
    seen = np.flatnonzero(~np.isnan(at))
    assert np.abs(np.diff(at[seen]) / np.diff(seen)).max() < 15, "no step from one person to the other"
    hidden = np.isnan(at)
    assert hidden.sum() == 0 if face != 2 else 8 <= hidden.sum() <= 24, "only she is behind him, for half a second"


def test_somebody_else_after_a_cut_is_not_the_driver() -> None:
    """A woman until 7 s; then a man, in the same place."""
    path = CASES / "two_people_in_turn.mp4"
    cast = find_people(str(path), None)
    assert cast is not None and len(cast.people) == 2
    frames = driver_frames(path, cast, start=6.0, end=8.5)
    seen = [f.motion is not None for f in frames]
    cut = next(i for i, frame in enumerate(frames) if frame.shot > frames[0].shot)
    assert frames[cut].seconds == pytest.approx(7.0, abs=0.11)
    assert all(seen[:cut]) and not any(seen[cut:])
    second = driver_frames(path, find_people(str(path), 2), start=6.0, end=8.5)
    assert [f.motion is not None for f in second] == [i >= cut for i in range(len(second))]


def test_a_range_has_its_own_people_and_costs_only_itself(tmp_path: Path) -> None:
    path, looked = CASES / "two_people_in_turn.mp4", []
    assert find_people(str(path), None, lambda: looked.append(1), spans=[(7.1, 10.8)]) is None, "he is alone there"
    assert len(looked) <= 57
    out = tmp_path / "o.mp4"
    arguments = ("--avatar", AVATARS / "ada.jpg", "--driving", path, "--output", out, "--size", "96x96", "--reference", "first")
    assert run_render(*arguments, "--start", "7.1", "--end", "8.1", "--quiet") == 0
    images = [frame.image.astype(int) for frame in VideoReader(out)]
    assert len(images) == 15 and max(np.abs(image - images[0]).mean() for image in images) > 1, "he moves it"


def test_who_is_seen_too_briefly_to_count_does_not_drive(tmp_path: Path, faces: dict[str, Image]) -> None:
    video = film_of(
        tmp_path / "d.mp4", [(scene(faces["ada"], None), 20), (scene(faces["bruno"], None), 7), (scene(faces["ada"], None), 15)]
    )
    cast = find_people(str(video), None)
    assert cast is not None and len(cast.people) == 1 and len(cast.passers_by) == 1
    assert [f.motion is not None for f in driver_frames(video, cast)] == [True] * 20 + [False] * 7 + [True] * 15


def test_the_search_stops_at_once_when_asked(tmp_path: Path) -> None:
    stop, looked = threading.Event(), []

    def advance() -> None:
        looked.append(1)
        stop.set()

    assert find_people(str(CASES / "two_people_in_turn.mp4"), None, advance, stop=stop) is None
    assert len(looked) == 1


def test_a_reference_outside_the_range_is_looked_at_too(tmp_path: Path) -> None:
    job = blob_job(tmp_path, tmp_path / "d.mp4", start=20.0, end=30.0, reference=5.0)
    assert job.spans == [(20.0, 30.0), (5.0, 7.0)]
    assert blob_job(tmp_path, tmp_path / "d.mp4", start=20.0, end=30.0, reference=19.0).spans == [(20.0, 30.0), (19.0, 20.0)]
    assert blob_job(tmp_path, tmp_path / "d.mp4", start=20.0, reference=25.0).spans == [(20.0, None)]


def test_who_is_behind_somebody_else_is_nowhere() -> None:
    """She is seen at 0 and 40 on the left, missed at 10 to 30, when he is in front of her."""
    her = PersonTracks([Detection(pts, 0.4, 0.4, 0.2) for pts in (0, 40)])
    him = PersonTracks([Detection(pts, x, 0.4, 0.2) for pts, x in ((0, 0.1), (10, 0.3), (20, 0.4), (30, 0.5), (40, 0.8))])
    cast = PeopleTracks([her, him], 0, 50, [0, 10, 20, 30, 40])
    assert [cast.place(pts) is not None for pts in (0, 4, 20, 36, 40)] == [True, True, False, True, True]
    alone = PeopleTracks([her], 0, 50, [0, 10, 20, 30, 40])
    assert alone.place(20) is not None, "a detector that missed her says little where nobody else is"


def test_places_do_not_hold_beyond_a_cut() -> None:
    cast = PeopleTracks([PersonTracks([Detection(0, 0.3, 0.4, 0.2), Detection(9, 0.3, 0.4, 0.2)])], 0, 50, [0, 9, 10, 20], [], (0, 10))
    assert cast.place(9) is not None and cast.place(10) is None


def test_a_mirrored_driver_is_found_on_the_other_side() -> None:
    cast = PeopleTracks([PersonTracks([Detection(0, 0.25, 0.5, 0.3)]), PersonTracks([Detection(0, 0.8, 0.5, 0.3)])], 0, 10, [0])
    left = np.zeros((64, 64, 3), np.uint8)
    left[30:35, 14:19] = 255
    there = BlobEngine().observe(left)
    assert there is not None
    assert cast.is_driver(np.array([[11.0, 27.0], [21.0, 37.0]]), 64, 0) and not cast.is_driver(
        np.array([[46.0, 27.0], [56.0, 37.0]]), 64, 0
    )

    class Pointing(BlobEngine):
        def observe(self, image: Image) -> Motion | None:
            motion = super().observe(image)
            if motion is None:
                return None
            y, x = np.argwhere(image[..., 0] > 200).mean(axis=0)
            return replace(motion, points=np.array([[x - 6, y - 6], [x + 6, y + 6]]))

    assert FrameView(mirror=True, cast=cast).observe(Pointing(), left, 0) is not None
    assert FrameView(mirror=True, cast=cast).observe(Pointing(), np.ascontiguousarray(left[:, ::-1]), 0) is None


def test_clothes_outside_the_picture_say_nothing() -> None:
    image = np.full((100, 100, 3), 200, np.uint8)
    cut, whole = colour_histograms(image, Detection(0, 0.5, 0.75, 0.4)), colour_histograms(image, Detection(0, 0.5, 0.3, 0.2))
    assert not cut[2].any() and whole[2].sum() == pytest.approx(1)
    assert (
        similarity(cut, whole) == pytest.approx(1)
        and similarity(cut, colour_histograms(np.full_like(image, 66), Detection(0, 0.5, 0.3, 0.2))) == 0
    )


def test_an_upside_down_driver_is_turned_and_drives_as_the_same_one_upright(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = CASES / "upside_down.mp4"
    with caplog.at_level(logging.INFO, "livepuppet"):
        cast = find_people(str(path), None)
    assert cast is not None and cast.quarters == 2 and "upside down: turned by 180" in caplog.text
    frames = driver_frames(path, cast, end=1.0)
    assert all(f.motion is not None and f.motion.points[152, 1] > f.motion.points[10, 1] for f in frames)
    out = tmp_path / "o.mp4"
    arguments = ("--avatar", AVATARS / "ada.jpg", "--driving", path, "--output", out, "--size", "96x96", "--reference", "first")
    assert run_render(*arguments, "--end", "0.3", "--compare", "--quiet") == 0
    beside = next(iter(VideoReader(out))).image
    upright = cv2.resize(next(iter(VideoReader(path))).image[::-1, ::-1], (128, 96), interpolation=cv2.INTER_AREA)
    assert np.abs(beside[:, :128].astype(int) - upright).mean() < 6, "the driver is shown upright, too"


def test_the_face_of_a_portrait_of_two_is_chosen(tmp_path: Path, faces: dict[str, Image]) -> None:
    PILImage.fromarray(scene(faces["ada"], faces["bruno"], small=True)).save(tmp_path / "two.png")
    moved = {}
    for face in ("1", "2"):
        out = tmp_path / f"o{face}.mp4"
        arguments = ("--avatar", tmp_path / "two.png", "--driving", CASES / "hand_before_face.mp4", "--output", out, "--reference", "first")
        assert run_render(*arguments, "--avatar-face", face, "--end", "0.8", "--quiet") == 0
        images = [frame.image.astype(int) for frame in VideoReader(out)]
        change = np.max([np.abs(image - images[0]).mean(axis=2) for image in images], axis=0)
        moved[face] = change[:, :240].mean() > change[:, 300:420].mean()
    assert moved == {"1": True, "2": False}
    assert run_render(*arguments, "--avatar-face", "3", "--quiet") == 2

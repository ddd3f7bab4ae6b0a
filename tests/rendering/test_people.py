"""Several people in a video: the largest and steadiest drives, or whom --face names; through cuts, and nobody else is ever looked at."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from blob_engine import BlobEngine
from rendering_fixtures import blob_job, frame_times, run_render, write_blob_video

from livepuppet.errors import UsageError
from livepuppet.rendering.people import (
    Detection,
    PeopleTracks,
    PersonTracks,
    Track,
    colour_histograms,
    detection_distance,
    find_people,
    group_tracks,
)
from livepuppet.rendering.pipeline import RenderPipeline
from livepuppet.types import Image
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
    with pytest.raises(UsageError, match="only 1 people"):
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


def test_heads_close_together_stay_whole() -> None:
    cast = PeopleTracks([PersonTracks([Detection(0, 0.4, 0.5, 0.2)]), PersonTracks([Detection(0, 0.55, 0.5, 0.2)])], 0, 10)
    seen = cast.alone(np.zeros((100, 100, 3), np.uint8), 0)
    assert seen[50, 40].max() == 0 and seen[50, 49].max() == 0 and seen[50, 60].min() == 128


def test_who_is_put_together() -> None:
    red, blue = np.zeros((100, 100, 3), np.uint8), np.zeros((100, 100, 3), np.uint8)
    red[..., 0] = blue[..., 2] = 200

    def seen(image: Image, start: int, x: float) -> Track:
        appearance = Track(0)
        for pts in range(start, start + 10):
            appearance.add(Detection(pts, x, 0.4, 0.3), colour_histograms(image, Detection(pts, x, 0.4, 0.3)))
        return appearance

    assert len(group_tracks([seen(red, 0, 0.3), seen(red, 20, 0.7)], 5)) == 1
    assert len(group_tracks([seen(red, 0, 0.3), seen(red, 5, 0.7)], 5)) == 2, "nobody is in two places at once"
    assert len(group_tracks([seen(red, 0, 0.3), seen(blue, 20, 0.3)], 5)) == 2
    assert len(group_tracks([seen(red, 0, 0.3)], 50)) == 0, "too short to count"
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

"""A voice drives a video: its length, its sound, its seed; with another video's head; and what cannot be, in a line."""

from __future__ import annotations

from fractions import Fraction
from importlib.resources import files
from pathlib import Path

import av
import numpy as np
import pytest
from blob_engine import BlobEngine

from livepuppet.engines.landmark import LandmarkEngine
from livepuppet.errors import UsageError
from livepuppet.rendering.chunks import split_into_chunks
from livepuppet.rendering.job import RenderJob
from livepuppet.rendering.render import render
from livepuppet.rendering.speech_driver import SpeechDriver
from livepuppet.rendering.tracking import DriverFrame
from livepuppet.types import Floats

CASES = Path(__file__).parents[1] / "cases"
VOICE = CASES / "voice.mp3"
AVATAR = Path(str(files("livepuppet") / "assets/avatars/ada.jpg"))
SMALL = (160, 160)


@pytest.fixture(scope="module")
def engine() -> LandmarkEngine:
    return LandmarkEngine()


def expressions(driver: SpeechDriver, engine: LandmarkEngine, start: float, end: float | None) -> Floats:
    found = [m.motion for m in driver.driver_frames(engine, start, end, 0.0)]
    return np.stack([np.concatenate([motion.pose, motion.expression]) for motion in found if motion is not None])


def times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [float(frame.time or 0.0) for frame in container.decode(video=0)]


def test_a_video_as_long_as_the_sound_with_the_sound_as_it_is(tmp_path: Path, engine: LandmarkEngine) -> None:
    out = tmp_path / "talk.mp4"
    result = render(AVATAR, VOICE, out, engine=engine, size=SMALL, watermark=False, end=2.0)
    assert result.whole and result.frames == 50 and result.lost == 0
    assert np.allclose(times(out), np.arange(50) / 25, atol=1e-3)
    with av.open(str(out)) as made, av.open(str(VOICE)) as given:
        kinds = [s.codec_context.name for s in (made.streams.audio[0], given.streams.audio[0])]
        packets = [[bytes(p) for p in c.demux(audio=0) if p.size] for c in (made, given)]
    assert kinds[0].startswith("mp3") and kinds[1].startswith("mp3")
    first = packets[1].index(packets[0][0])
    assert first <= 2, "only what the codec's delay makes silent may be missing"
    assert packets[0] == packets[1][first : first + len(packets[0])] and len(packets[0]) > 20


def test_as_many_pictures_a_second_as_are_asked_for() -> None:
    driver = SpeechDriver(str(VOICE), 30.0)
    assert driver.fps == 30.0 and driver.count(0.0, None) == pytest.approx(180, abs=2) and driver.count(1.0, 2.0) == 30
    assert (driver.first_pts(1.0) - driver.start_pts) * driver.time_base == Fraction(1)
    with pytest.raises(UsageError, match="ends before 60 s"):
        driver.first_pts(60.0)


def test_the_same_every_time_and_wherever_it_begins(engine: LandmarkEngine) -> None:
    driver = SpeechDriver(str(VOICE), 25.0)
    whole = expressions(driver, engine, 0.0, 3.0)
    assert np.array_equal(whole, expressions(SpeechDriver(str(VOICE), 25.0), engine, 0.0, 3.0))
    assert np.array_equal(whole[50:], expressions(driver, engine, 2.0, 3.0))
    assert whole.std(0).max() > 0.01


def test_another_recording_moves_the_lips_of_somebody_in_a_video(tmp_path: Path, engine: LandmarkEngine) -> None:
    def motions(name: str, **more: object) -> list[DriverFrame]:
        from livepuppet.rendering.motion_file import MotionFile

        path = tmp_path / f"{name}.npz"
        render(AVATAR, CASES / "talk.mp4", tmp_path / f"{name}.mp4", engine=engine, size=SMALL, watermark=False, motion=path, **more)  # type: ignore[arg-type]
        return list(MotionFile(str(path)))

    seen, voiced = motions("seen"), motions("voiced", speech=VOICE)
    assert len(seen) == len(voiced)
    both = [(a.motion, b.motion) for a, b in zip(seen, voiced, strict=True) if a.motion is not None and b.motion is not None]
    assert len(both) > 10
    chin, brow = 152 * 3 + 1, 105 * 3 + 1
    assert all(abs(a.expression[brow] - b.expression[brow]) < 0.02 for a, b in both)
    assert max(abs(a.expression[chin] - b.expression[chin]) for a, b in both) > 0.02
    with av.open(str(tmp_path / "voiced.mp4")) as made:
        assert made.streams.audio[0].codec_context.name.startswith("mp3")


def test_what_cannot_be_is_said_before_anything_is_made(tmp_path: Path, engine: LandmarkEngine) -> None:
    out = tmp_path / "out.mp4"
    for more, parameter, words in (
        ({"mirror": True}, "mirror", "sound alone"),
        ({"face": 2}, "face", "sound alone"),
        ({"compare": True}, "compare", "no images to compare"),
        ({"engine": BlobEngine()}, "engine", "needs pictures"),
    ):
        with pytest.raises(UsageError, match=words) as caught:
            render(AVATAR, VOICE, out, **{"engine": engine, "size": SMALL, **more})  # type: ignore[arg-type]
        assert caught.value.parameter == parameter and not out.exists()
    with pytest.raises(UsageError, match="keeps its frame rate"):
        render(AVATAR, CASES / "talk.mp4", out, engine=engine, fps=50)
    with pytest.raises(UsageError, match="no such recording"):
        render(AVATAR, CASES / "talk.mp4", out, engine=engine, speech=tmp_path / "none.wav")
    assert not out.exists()


def test_a_voice_is_not_split_into_chunks() -> None:
    assert split_into_chunks(RenderJob(AVATAR, str(VOICE), Path("out.mp4")), 0.1) == []
    assert split_into_chunks(RenderJob(AVATAR, str(CASES / "talk.mp4"), Path("out.mp4"), mouth_from="sound"), 0.1) == []

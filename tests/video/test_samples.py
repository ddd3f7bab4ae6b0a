"""Sound as samples: on one clock, mono, at one rate; and which files hold nothing else."""

from __future__ import annotations

import wave
from pathlib import Path

import av
import numpy as np
import pytest
from media import write_numbered_video

from livepuppet.errors import UsageError
from livepuppet.video.samples import SampleReader, only_sound

CASES = Path(__file__).parents[1] / "cases"


def write_tone(path: Path, rate: int = 44_100, channels: int = 2, seconds: float = 1.0) -> Path:
    tone = np.sin(2 * np.pi * 440 * np.arange(int(rate * seconds)) / rate) * 12_000
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.repeat(tone, channels).astype("<i2").tobytes())
    return path


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 2), (48_000, 1), (8_000, 2)])
def test_any_rate_and_layout_becomes_mono_at_one_rate(tmp_path: Path, rate: int, channels: int) -> None:
    with SampleReader(str(write_tone(tmp_path / "tone.wav", rate, channels)), 16_000) as reader:
        samples = np.concatenate(list(reader))
    assert len(samples) == pytest.approx(16_000, abs=200)
    spectrum = np.abs(np.fft.rfft(samples))
    assert np.argmax(spectrum) * 16_000 / len(samples) == pytest.approx(440, abs=2)
    assert 0.3 < np.abs(samples).max() < 0.55


def test_a_gap_is_silence(tmp_path: Path) -> None:
    path = tmp_path / "gap.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16_000)
        assert isinstance(stream, av.AudioStream)
        for at in (0, 32_000):
            frame = av.AudioFrame.from_ndarray(np.full((1, 16_000), 8000, np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts = 16_000, at
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with SampleReader(str(path), 16_000) as reader:
        samples = np.concatenate(list(reader))
    assert len(samples) == pytest.approx(48_000, abs=100)
    assert np.abs(samples[17_000:31_000]).max() < 0.01 < np.abs(samples[33_000:47_000]).min()


def test_which_files_hold_sound_alone(tmp_path: Path) -> None:
    assert only_sound(str(write_tone(tmp_path / "a.wav"))) and only_sound(str(CASES / "voice.mp3"))
    assert not only_sound(str(write_numbered_video(tmp_path / "v.mp4", 5)))
    assert not only_sound(str(CASES / "talk.mp4"))
    assert not only_sound("rtsp://camera/1") and not only_sound("motion.npz") and not only_sound(str(tmp_path / "nothing.wav"))


def test_no_sound_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no sound that can be heard"):
        SampleReader(str(write_numbered_video(tmp_path / "v.mp4", 5)), 16_000)
    with pytest.raises(UsageError, match="no such"):
        SampleReader(str(tmp_path / "nothing.wav"), 16_000)

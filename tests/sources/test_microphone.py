"""A voice drives live: from a recording in its own time or at once, from a microphone, and from one that fails in every way."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from livepuppet.devices.microphones import list_microphones
from livepuppet.errors import SourceError, UsageError
from livepuppet.factory import open_source
from livepuppet.sources.microphone import MUTE_S, STARVED_S, WAITING_BLOCKS, MicrophoneSource
from livepuppet.speech.features import RATE
from livepuppet.types import ExpressionFrame, ExpressionSource
from livepuppet.video.samples import SampleReader
from livepuppet.vision.expressions import EXPRESSION_UNITS

VOICE = Path(__file__).parents[1] / "cases/voice.mp3"
JAW = EXPRESSION_UNITS.index("jawOpen")


def jaw(frame: ExpressionFrame | None) -> float:
    assert frame is not None
    return float(frame.weights[JAW])


def no_microphone_here() -> bool:
    try:
        return not list_microphones()
    except SourceError:
        return True


def test_a_recording_at_once_gives_every_frame_and_ends() -> None:
    source = open_source(f"microphone:{VOICE}", paced=False, fps=25)
    assert isinstance(source, ExpressionSource) and not source.live
    frames = []
    while (frame := source.read()) is not None:
        assert isinstance(frame, ExpressionFrame)
        frames.append(frame)
    assert len(frames) == pytest.approx(150, abs=3)
    assert [frame.media_time for frame in frames] == pytest.approx([i / 25 for i in range(len(frames))])
    assert max(map(jaw, frames)) > 0.2 and min(map(jaw, frames)) < 0.01
    source.close()
    source.close()


def test_a_recording_in_its_own_time_is_heard_as_it_goes() -> None:
    with MicrophoneSource(str(VOICE), fps=20) as source:
        assert source.live and source.trouble == ""
        frames = []
        while (frame := source.read()) is not None:
            frames.append(frame)
        known = [frame for frame in frames if jaw(frame) > 0.1]
        assert known and [f.captured_at for f in frames] == sorted(f.captured_at for f in frames)
        assert source.read() is None


def test_nobody_speaks_and_the_portrait_lives_on() -> None:
    with open_source("none", fps=30) as source:
        frames = [source.read() for _ in range(5)]
        assert all(isinstance(frame, ExpressionFrame) and jaw(frame) == 0.0 for frame in frames)
        assert source.trouble == ""
        assert isinstance(source, MicrophoneSource)
        heads = [source._talker.face(0.0, alive=10.0 + i / 10).head for i in range(50)]
        assert np.ptp(heads, axis=0).max() > 0.002


def test_a_microphone_that_stops_in_a_word_shuts_the_mouth_and_is_said() -> None:
    """The blocks that a sound card hands over, and then none."""
    with SampleReader(str(VOICE), RATE) as reader:
        word = np.concatenate(list(reader))[: round(0.72 * RATE)]
    with MicrophoneSource("none", fps=30) as source:
        for start in range(0, len(word), 320):
            source._arriving.append((word[start : start + 320], RATE))
        assert len(source._arriving) <= WAITING_BLOCKS
        opened = jaw(source.read())
        assert opened > 0.1
        deadline = time.monotonic() + 20
        while jaw(source.read()) > 0.01:
            assert time.monotonic() < deadline
        source._which, source._lost = "auto", ""
        source._last_sound = source._last_loud = time.monotonic() - MUTE_S - STARVED_S
        assert "is it muted?" in source.trouble


def test_any_rate_and_any_nonsense_is_taken() -> None:
    with MicrophoneSource("none", fps=30) as source:
        for rate in (48_000, 44_100, 8_000):
            source._arriving.append((np.full(rate // 10, np.nan, np.float32), rate))
            source._arriving.append((np.full(rate // 10, 1e9, np.float32), rate))
            frame = source.read()
            assert frame is not None and np.isfinite(frame.weights).all()


def test_without_a_microphone_auto_goes_on_and_a_name_does_not() -> None:
    if not no_microphone_here():
        pytest.skip("this machine has a microphone")
    with MicrophoneSource("auto") as source:
        assert "goes on by itself" in source.trouble
        assert source.read() is not None
    with pytest.raises((UsageError, SourceError), match="no microphone"):
        MicrophoneSource("Blue Yeti")


ALSA = Path("/usr/share/alsa/alsa.conf")


def test_a_microphone_that_delivers_rubbish_far_too_fast_is_survived(tmp_path: Path) -> None:
    """ALSA's null device, opened through PortAudio by its name."""
    try:
        list_microphones()
    except SourceError as error:
        pytest.skip(str(error))
    if sys.platform != "linux" or not ALSA.exists():
        pytest.skip("no ALSA here")
    settings = tmp_path / "asound.conf"
    settings.write_text(f'<{ALSA}>\npcm.rubbish {{ type plug slave.pcm "null" }}\n')
    program = (
        "from livepuppet.sources.microphone import MicrophoneSource\n"
        "with MicrophoneSource('rubbish', fps=30) as source:\n"
        "    assert all(source.read() is not None for _ in range(10)), 'it ended'\n"
        "    print(source.name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | {"ALSA_CONFIG_PATH": str(settings)}, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert "rubbish" in done.stdout

"""No camera at all: a voice moves the mouth, head and eyes live on by themselves, and nothing that happens to the microphone stops that."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from pathlib import Path

import av
import numpy as np

from livepuppet.devices.microphones import MicrophoneStream, Samples, find_microphone
from livepuppet.errors import SourceError, UsageError
from livepuppet.speech.features import RATE
from livepuppet.speech.mouth import SpeechMouth
from livepuppet.speech.talker import Talker
from livepuppet.types import Closing, ExpressionFrame
from livepuppet.video.samples import SampleReader

log = logging.getLogger("livepuppet.microphone")

RETRY_S = 2.0
GONE_S = 1.0
"""A microphone that delivers nothing for so long is gone."""
STARVED_S = 0.15
"""After so long without a sample, silence is heard instead, so that the mouth closes."""
MUTE_S = 4.0
MUTE_LEVEL = 1e-4
"""No sample louder than this for MUTE_S: a microphone that is switched off, not a quiet room."""
WAITING_BLOCKS = 100
"""Of what the microphone said while nobody listened, only so much is heard afterwards."""
NAMES = frozenset({"auto", "none"})


class MicrophoneSource(Closing):
    """A voice as it is spoken, or a recording of one as if it were.

    Args:
        which: 'auto' (the system's microphone), 'none' (nobody speaks), a microphone's name, part of a name or number, or a recording.
        fps: expressions a second.
        paced: a recording takes its own time; else its frames come as fast as they are taken.
        seed: of blinks, glances and sway.

    Raises:
        UsageError: naming the microphones there are, when there is no such one.
        SourceError: a microphone that was named does not open.
    """

    mirrored = False
    delivers_expressions = True

    def __init__(self, which: str = "auto", *, fps: float = 30.0, paced: bool = True, seed: int = 0) -> None:
        self.fps = fps
        self._which = which
        recording = which not in NAMES and Path(which).is_file()
        self.live = paced or not recording
        self.name = Path(which).name if recording else "microphone"
        self._talker = Talker(seed)
        self._frames = 0
        self._began = self._captured_at = time.monotonic()
        self._closed = threading.Event()
        self._arriving: deque[tuple[Samples, int]] = deque(maxlen=WAITING_BLOCKS)
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._resampler: tuple[int, av.AudioResampler] | None = None
        self._received = 0.0  # seconds of sound given to the talker
        self._last_sound = self._last_loud = self._tried = self._began
        self._lost = ""
        self._stream: MicrophoneStream | None = None
        self._recording = SampleReader(which, RATE) if recording else None
        self._blocks = iter(self._recording) if self._recording else iter(())
        self._ended = False
        if not recording and which != "none":
            self._open_first()

    @property
    def trouble(self) -> str:
        if self._which == "none" or self._recording is not None:
            return ""
        if self._lost:
            return self._lost
        if time.monotonic() - self._last_loud > MUTE_S:
            return f"microphone '{self.name}' hears nothing: is it muted?"
        return ""

    def read(self) -> ExpressionFrame | None:
        """Wait for the next frame's time; the mouth is as late as `SpeechMouth.LOOKAHEAD_S` and a block of sound."""
        with self._reading:
            return self._read()

    def _read(self) -> ExpressionFrame | None:
        number, self._frames = self._frames, self._frames + 1
        if not self.live:
            return self._next_of_recording(number)
        due = self._began + number / self.fps
        if self._closed.wait(max(0.0, due - time.monotonic())):
            return None
        now = time.monotonic()
        if now - due > 1.0:  # nobody read for a while: what was missed is missed
            self._frames = int((now - self._began) * self.fps) + 1
        if not self._listen(now):
            return None
        known = self._talker.known_until
        self._captured_at = max(self._captured_at, now - max(0.0, self._received - known))
        alive = now - self._began
        return self._talker.face(known, alive=alive, index=number, captured_at=self._captured_at)

    def close(self) -> None:
        self._closed.set()
        with self._lock:
            stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
        if self._recording is not None:
            with self._reading:  # a decoder must not lose its file at work
                self._recording.close()

    def _open_first(self) -> None:
        """'auto' goes on without a microphone; one that was named must be there."""
        try:
            self._open(again=False)
        except (UsageError, SourceError) as error:
            if self._which != "auto":
                raise
            self._lost = f"{error}; the portrait goes on by itself"
        if self._lost:
            log.info("%s", self._lost)

    def _open(self, *, again: bool) -> None:
        microphone = find_microphone(self._which, again=again)
        if microphone is None:
            self._lost = "no microphone found: plug one in; the portrait goes on by itself"
            return
        stream: list[MicrophoneStream] = []

        def heard(samples: Samples) -> None:
            self._arriving.append((samples, stream[0].rate if stream else RATE))

        opened = MicrophoneStream(microphone, RATE, heard)
        stream.append(opened)
        with self._lock:
            self._stream = opened
        self.name, self._lost = microphone.name, ""
        self._last_sound = self._last_loud = time.monotonic()

    def _listen(self, now: float) -> bool:
        """Give the talker what was said until now; False: a recording has ended."""
        if self._recording is not None:
            return self._hear_recording(now)
        arrived = False
        for _ in range(len(self._arriving)):  # what comes meanwhile is the next frame's
            samples, rate = self._arriving.popleft()
            samples = np.clip(np.nan_to_num(self._at_rate(samples, rate)), -1, 1)
            arrived = True
            if len(samples) and float(np.abs(samples).max()) > MUTE_LEVEL:
                self._last_loud = now
            self._hear(samples)
        if arrived:
            self._last_sound = now
        elif now - self._last_sound > STARVED_S:
            self._hear(np.zeros(round(RATE / self.fps), np.float32))
        self._look_after(now)
        return True

    def _look_after(self, now: float) -> None:
        """A microphone that has gone is said to be, and tried again from time to time."""
        if self._which == "none" or now - self._last_sound < GONE_S:
            return
        if self._stream is not None:
            with self._lock:
                gone, self._stream = self._stream, None
            if gone is not None:
                gone.close()
            self._lost = f"microphone '{self.name}' is gone: plug it in again; the portrait goes on by itself"
            log.info("%s", self._lost)
        if now - self._tried > RETRY_S:
            self._tried = now
            try:
                self._open(again=True)
            except (UsageError, SourceError) as error:
                log.debug("not yet: %s", error)
            else:
                if not self._lost:
                    log.info("microphone '%s' is there", self.name)

    def _hear(self, samples: Samples) -> None:
        self._talker.hear(samples)
        self._received += len(samples) / RATE

    def _at_rate(self, samples: Samples, rate: int) -> Samples:
        if rate == RATE:
            return samples
        if self._resampler is None or self._resampler[0] != rate:
            self._resampler = (rate, av.AudioResampler("flt", "mono", RATE))
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout="mono")
        frame.sample_rate = rate
        made = [np.asarray(part.to_ndarray(), np.float32).ravel() for part in self._resampler[1].resample(frame)]
        return np.concatenate(made) if made else np.zeros(0, np.float32)

    def _hear_recording(self, now: float) -> bool:
        while self._received < now - self._began:
            block = next(self._blocks, None)
            if block is None:
                if not self._ended:
                    self._ended = True
                    self._talker.finish()
                    assert self._recording is not None
                    self._recording.close()
                return now - self._began < self._received + SpeechMouth.LOOKAHEAD_S
            self._hear(block)
        return True

    def _next_of_recording(self, number: int) -> ExpressionFrame | None:
        if self._closed.is_set():
            return None
        at = (number + 0.5) / self.fps
        while not self._ended and self._talker.known_until < at + 0.1:
            block = next(self._blocks, None)
            if block is None:
                self._ended = True
                self._talker.finish()
            else:
                self._hear(block)
        if self._ended and number / self.fps >= self._received:
            return None
        return self._talker.face(at, index=number, captured_at=time.monotonic(), media_time=number / self.fps)

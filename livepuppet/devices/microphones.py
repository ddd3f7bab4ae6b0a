"""Microphones of this machine, and the sound that one of them hears, through PortAudio."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livepuppet.errors import SourceError, UsageError
from livepuppet.types import Closing

log = logging.getLogger(__name__)

BLOCK_S = 0.02
Samples = NDArray[np.float32]
Heard = Callable[[Samples], None]


@dataclass(frozen=True)
class Microphone:
    """number: PortAudio's. rate: the samples a second that it likes best."""

    number: int
    name: str
    rate: int


def portaudio() -> ModuleType:
    """The sounddevice package.

    Raises:
        SourceError: it, or the library that it stands on, is not installed.
    """
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        advice = "pip install sounddevice" if isinstance(error, ImportError) else "install PortAudio (Debian and Ubuntu: libportaudio2)"
        raise SourceError(f"no microphone can be heard on this machine: {advice}") from error
    module: ModuleType = sounddevice
    return module


def list_microphones(*, again: bool = False) -> list[Microphone]:
    """Microphones, the system's default first.

    Args:
        again: look for those that were plugged in since; no stream may be open.

    Raises:
        SourceError: sound cannot be had at all.
    """
    sound = portaudio()
    if again:
        sound._terminate()
        sound._initialize()
    try:
        devices, (default, _) = sound.query_devices(), sound.default.device
    except sound.PortAudioError as error:
        raise SourceError(f"the microphones of this machine cannot be listed: {error}") from error
    found = [
        Microphone(number, str(device["name"]), int(device["default_samplerate"]))
        for number, device in enumerate(devices)
        if device["max_input_channels"] > 0
    ]
    return sorted(found, key=lambda microphone: microphone.number != default)


def find_microphone(which: str, *, again: bool = False) -> Microphone | None:
    """The microphone that is meant: 'auto' is the first there is, None where there is none; else a number, a name, or part of a name.

    Raises:
        UsageError: naming those that are there, when there is no such one.
        SourceError: sound cannot be had at all.
    """
    microphones = list_microphones(again=again)
    if which == "auto":
        return microphones[0] if microphones else None
    if which.isascii() and which.isdigit():
        found = [m for m in microphones if m.number == int(which)]
    else:
        exact = [m for m in microphones if m.name == which]
        found = exact or [m for m in microphones if which.lower() in m.name.lower()]
    if not found:
        known = ", ".join(f"{m.number} {m.name}" for m in microphones) or "none is plugged in"
        raise UsageError(f"no microphone '{which}' here ({known})", parameter="microphone")
    return found[0]


class MicrophoneStream(Closing):
    """An open microphone. `heard` is called in a thread of PortAudio's with every block of samples, mono, -1 … 1.

    Attributes:
        microphone: which.
        rate: samples a second, the rate asked for or else the microphone's own.

    Raises:
        SourceError: it does not open.
    """

    def __init__(self, microphone: Microphone, rate: int, heard: Heard) -> None:
        sound = portaudio()
        self.microphone = microphone

        def take(samples: NDArray[np.float32], frames: int, time: Any, status: Any) -> None:
            heard(samples[:, 0].copy())

        failure: Exception | None = None
        for wanted in dict.fromkeys((rate, microphone.rate)):
            try:
                self._stream = sound.InputStream(
                    device=microphone.number, channels=1, samplerate=wanted, dtype="float32", latency="low",
                    blocksize=round(BLOCK_S * wanted), callback=take,
                )  # fmt: skip
                self._stream.start()
            except sound.PortAudioError as error:
                failure = error
                continue
            self.rate = wanted
            return
        raise SourceError(f"the microphone '{microphone.name}' does not open: close other programs that use it ({failure})") from failure

    def close(self) -> None:
        """Stop. May be called twice."""
        self._stream.close(ignore_errors=True)

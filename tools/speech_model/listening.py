"""Recordings as microphones and rooms make them: what the synthetic voices' clean speech is turned into before the network hears it."""

from __future__ import annotations

import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve, resample_poly

from livepuppet.speech.features import RATE

Samples = NDArray[np.float32]


def read_speech(path: Path) -> Samples:
    """A wave file at RATE, -1 … 1."""
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
        ratio = Fraction(RATE, file.getframerate())
    return np.asarray(resample_poly(samples, ratio.numerator, ratio.denominator), np.float32)


def recorded(speech: Samples, rng: np.random.Generator) -> tuple[Samples, float]:
    """The speech as somebody else's, in some room, by some microphone; and by how much longer it has become.

    Played faster or slower it is a voice with a shorter or longer throat, higher or lower; noise comes before and after as well.
    """
    percent = int(rng.integers(84, 121))
    samples = np.asarray(resample_poly(speech, 100, percent), np.float32)
    stretch = 100 / percent
    if rng.uniform() < 0.5:
        samples = in_a_room(samples, rng)
    if rng.uniform() < 0.6:
        samples = coloured(samples, rng)
    level = float(np.sqrt(np.mean(samples**2))) + 1e-6
    if rng.uniform() < 0.75:
        samples = samples + noise(len(samples), rng) * np.float32(level * 10 ** (-rng.uniform(6, 40) / 20))
    return np.asarray(np.clip(samples * (10 ** (-rng.uniform(10, 45) / 20) / level), -1, 1), np.float32), stretch


def in_a_room(samples: Samples, rng: np.random.Generator) -> Samples:
    """With the echo of a room that rings for 0.1 to 0.5 s."""
    seconds = rng.uniform(0.1, 0.5)
    length = int(seconds * RATE)
    echo = rng.normal(0, 1, length) * np.exp(-6.9 * np.arange(length) / length)
    echo *= rng.uniform(0.1, 0.6) / np.sqrt(np.sum(echo**2))
    echo[0] = 1.0
    return np.asarray(fftconvolve(samples, echo)[: len(samples)], np.float32)


def coloured(samples: Samples, rng: np.random.Generator) -> Samples:
    """As a microphone or a telephone line has it: a smooth curve over the frequencies, and an upper or a lower end."""
    spectrum = np.fft.rfft(samples)
    at = np.linspace(0, RATE / 2, len(spectrum))
    knots = np.interp(at, np.linspace(0, RATE / 2, 6), rng.normal(0, 4, 6))
    gain = 10 ** (knots / 20)
    if rng.uniform() < 0.4:
        gain *= 1 / (1 + (at / rng.uniform(3300, 7000)) ** 8)
    if rng.uniform() < 0.4:
        gain *= 1 - 1 / (1 + (at / rng.uniform(60, 250)) ** 4)
    return np.asarray(np.fft.irfft(spectrum * gain, len(samples)), np.float32)


def noise(length: int, rng: np.random.Generator) -> Samples:
    """Between white and brown, sometimes with mains hum, mean power 1."""
    spectrum = np.fft.rfft(rng.normal(0, 1, length))
    spectrum /= (np.arange(len(spectrum)) + 20.0) ** rng.uniform(0.0, 0.9)
    out = np.fft.irfft(spectrum, length)
    out /= np.sqrt(np.mean(out**2)) + 1e-9
    if rng.uniform() < 0.15:
        out += np.sin(2 * np.pi * float(rng.choice([50, 60])) * np.arange(length) / RATE)
    return np.asarray(out, np.float32)

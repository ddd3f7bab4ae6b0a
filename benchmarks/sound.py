"""How late and how dear a voice is as a driver: from a sound to the mouth that answers it, and the time a second of sound costs.

    python benchmarks/sound.py [--speech tests/cases/voice.mp3] [--out benchmarks/out]

The latency is the product's own way: sound in blocks of 20 ms, as a microphone hands it over, into the talker that the microphone source
reads. What a sound card adds before, and an engine and a screen after, is theirs (`livepuppet bench` measures those).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path

import numpy as np

from livepuppet.devices.microphones import BLOCK_S
from livepuppet.engines.landmark.expressions import driver_motion
from livepuppet.speech.features import RATE
from livepuppet.speech.mouth import JAW, SpeechMouth
from livepuppet.speech.talker import Talker
from livepuppet.types import Floats
from livepuppet.video.samples import SampleReader

BLOCK = round(BLOCK_S * RATE)
FPS = 30
WARM_UP_S = 1.0


def known_after(samples: np.ndarray) -> Floats:
    """For every hundredth of a second of sound, how long after it was heard its mouth was known (ms), without the time of computing."""
    mouth = SpeechMouth()
    late: list[float] = []
    for start in range(0, len(samples) - BLOCK + 1, BLOCK):
        heard = (start + BLOCK) / RATE
        for _ in range(len(mouth(samples[start : start + BLOCK]))):
            late.append(1000 * (heard - len(late) * 0.01))
    return np.array(late)


def onset_late(samples: np.ndarray) -> float:
    """Silence, then the voice: milliseconds from its first sound to a mouth that is a fifth open."""
    loud = int(np.argmax(np.abs(samples) > 0.02))
    silent = np.random.default_rng(1).normal(0, 1e-4, RATE).astype(np.float32)
    mouth, together = SpeechMouth(), np.concatenate([silent, samples[loud:]])
    rows = 0
    for start in range(0, len(together) - BLOCK + 1, BLOCK):
        states = mouth(together[start : start + BLOCK])
        rows += len(states)
        if len(states) and states[-1, JAW] > 0.2 and start > RATE:
            return 1000 * ((start + BLOCK) / RATE - 1.0)
    return float("nan")


def costs(samples: np.ndarray) -> dict[str, Floats]:
    """Milliseconds of a block of sound, of a frame's expression and of its motion."""
    talker = Talker()
    blocks, faces, motions = [], [], []
    due = 0.0
    for start in range(0, len(samples) - BLOCK + 1, BLOCK):
        began = time.perf_counter()
        talker.hear(samples[start : start + BLOCK])
        heard = time.perf_counter()
        blocks.append(heard - began)
        if talker.known_until >= due:
            due += 1 / FPS
            face = talker.face(talker.known_until)
            told = time.perf_counter()
            driver_motion(face)
            faces.append(told - heard)
            motions.append(time.perf_counter() - told)
    skip = int(WARM_UP_S / BLOCK_S)
    return {
        "a block of 20 ms": 1000 * np.array(blocks[skip:]),
        "a frame's expression": 1000 * np.array(faces[FPS:]),
        "its motion": 1000 * np.array(motions[FPS:]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", default=str(Path(__file__).parents[1] / "tests/cases/voice.mp3"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out")
    options = parser.parse_args()
    with SampleReader(options.speech, RATE) as reader:
        samples = np.concatenate(list(reader))
    late = known_after(samples)
    report: dict[str, object] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "seconds of sound": round(len(samples) / RATE, 2),
        "look-ahead ms": round(1000 * SpeechMouth.LOOKAHEAD_S, 1),
        "known after ms": {"median": round(float(np.median(late)), 1), "most": round(float(late.max()), 1)},
        "from the first sound to an open mouth ms": round(onset_late(samples), 1),
        "cost ms": {
            name: {"median": round(float(np.median(values)), 3), "p95": round(float(np.percentile(values, 95)), 3)}
            for name, values in costs(samples).items()
        },
    }
    print(json.dumps(report, indent=2))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "sound.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()

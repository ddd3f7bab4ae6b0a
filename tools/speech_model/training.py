"""Teaches the network what the sounds of synthetic voices do to a mouth, and writes it for NumPy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from livepuppet.speech.features import BANDS, RATE, SpeechFeatures
from livepuppet.speech.mouth_network import CHANNELS, FUTURE, OFFSETS, PAST
from tools.speech_model.listening import read_speech, recorded
from tools.speech_model.phones import SHAPES, targets

WIDTHS = (192, 96)
BATCH = 512
RATE_OF_LEARNING = 3e-3

Array = NDArray[np.float32]


def example(path: Path, rng: np.random.Generator) -> tuple[Array, Array]:
    """One utterance, recorded some other way each time: its rows (N, BANDS) and what the mouth does in each (N, CHANNELS)."""
    told = json.loads(path.read_text())
    lead, tail = rng.uniform(0.05, 0.6), rng.uniform(0.1, 0.5)
    clean = read_speech(path.with_suffix(".wav"))
    clean = np.concatenate([np.zeros(int(lead * RATE)), clean, np.zeros(int(tail * RATE))]).astype(np.float32)
    samples, stretch = recorded(clean, rng)
    end = told["segments"][-1][1] + lead
    spoken = [(phone, (at + lead) * stretch) for phone, at in told["segments"]]
    segments = [("rest", lead * stretch), *spoken, ("rest", (end + tail) * stretch)]
    peak = SpeechFeatures()
    peak(samples)
    rows, _ = SpeechFeatures(loudest=peak.loudest + rng.uniform(-1.5, 1.0))(samples)
    return rows, targets(segments, told["language"], len(rows))


def silence(rng: np.random.Generator) -> tuple[Array, Array]:
    """A room in which nobody speaks, as loud as it likes."""
    samples, _ = recorded(rng.normal(0, 1e-4, 3 * RATE).astype(np.float32), rng)
    rows, _ = SpeechFeatures(loudest=float(rng.uniform(-14, -4)))(samples)
    return rows, np.zeros((len(rows), len(CHANNELS)), np.float32)


@dataclass(frozen=True, eq=False)
class Lessons:
    """All that is taught, end to end. rows (R, BANDS); wanted (N, CHANNELS); places (N,): the row that each belongs to, with neighbours."""

    rows: NDArray[np.float16]
    wanted: NDArray[np.float16]
    places: NDArray[np.int64]

    def batch(self, chosen: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        around = self.places[chosen][:, None] + OFFSETS
        inputs = self.rows[around].reshape(len(chosen), -1).astype(np.float32)
        return torch.from_numpy(inputs), torch.from_numpy(self.wanted[chosen].astype(np.float32))

    def save(self, path: Path) -> None:
        np.savez(path, rows=self.rows, wanted=self.wanted, places=self.places)

    @classmethod
    def load(cls, path: Path) -> Lessons:
        with np.load(path) as archive:
            return cls(archive["rows"], archive["wanted"], archive["places"])


def prepare(paths: list[Path], copies: int, seed: int) -> Lessons:
    """Every utterance in so many recordings, and a tenth as many silences."""
    rng = np.random.default_rng(seed)
    pairs = [example(path, rng) for path in paths for _ in range(copies)]
    pairs += [silence(rng) for _ in range(len(pairs) // 10)]
    rows, wanted, places, begin = [], [], [], 0
    for row, want in pairs:
        padded = np.concatenate([np.repeat(row[:1], PAST, 0), row, np.repeat(row[-1:], FUTURE, 0)])
        rows.append(padded.astype(np.float16))
        wanted.append(want.astype(np.float16))
        places.append(begin + PAST + np.arange(len(row)))
        begin += len(padded)
    return Lessons(np.concatenate(rows), np.concatenate(wanted), np.concatenate(places))


def network() -> nn.Sequential:
    layers: list[nn.Module] = []
    width = len(OFFSETS) * BANDS
    for after in WIDTHS:
        layers += [nn.Linear(width, after), nn.ReLU(), nn.Dropout(0.1)]
        width = after
    return nn.Sequential(*layers, nn.Linear(width, len(CHANNELS)))


def loss_of(said: Tensor, wanted: Tensor) -> Tensor:
    """Squared differences of shapes, the jaw's counting twice, and cross-entropy of what holds or does not."""
    shapes = (torch.sigmoid(said[:, :SHAPES]) - wanted[:, :SHAPES]).square() * torch.tensor([2.0, 1.0, 1.0, 0.5])
    held = nn.functional.binary_cross_entropy_with_logits(said[:, SHAPES:], wanted[:, SHAPES:], pos_weight=torch.tensor([4.0, 4.0, 1.0]))
    return 4 * shapes.mean() + 0.3 * held


def train(lessons: Lessons, output: Path, *, epochs: int, seed: int = 1) -> nn.Sequential:
    """Teach all of it so many times; what is learnt is written after each."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = network()
    optimiser = torch.optim.AdamW(net.parameters(), RATE_OF_LEARNING, weight_decay=1e-3)
    steps = epochs * (len(lessons.places) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for epoch in range(epochs):
        net.train()
        order = rng.permutation(len(lessons.places))
        total = 0.0
        for start in range(0, len(order) - BATCH + 1, BATCH):
            inputs, wanted = lessons.batch(order[start : start + BATCH])
            loss = loss_of(net(inputs), wanted)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * BATCH / len(order)
        print(f"epoch {epoch + 1} of {epochs}: {total:.4f}", flush=True)
        save(net, output)
    return net


def judge(net: nn.Sequential, lessons: Lessons) -> None:
    """Print how well unheard voices are understood."""
    inputs, want = lessons.batch(np.arange(len(lessons.places)))
    wanted = want.numpy()
    net.eval()
    with torch.no_grad():
        said = torch.sigmoid(net(inputs)).numpy()
    for i, name in enumerate(CHANNELS):
        line = f"{name}: correlation {np.corrcoef(said[:, i], wanted[:, i])[0, 1]:.2f}"
        if i >= SHAPES:
            hit, called = (said[:, i] > 0.5), (wanted[:, i] > 0.5)
            line += f", found {(hit & called).sum() / called.sum():.2f}, right {(hit & called).sum() / max(1, hit.sum()):.2f}"
        print(line, flush=True)


def save(net: nn.Sequential, output: Path) -> None:
    """As half floats, (in, out), for `livepuppet.speech.mouth_network`."""
    linear = [layer for layer in net if isinstance(layer, nn.Linear)]
    arrays = {f"weight_{i}": layer.weight.detach().numpy().T.astype(np.float16) for i, layer in enumerate(linear)}
    arrays |= {f"bias_{i}": layer.bias.detach().numpy().astype(np.float32) for i, layer in enumerate(linear)}
    np.savez_compressed(output, **arrays)

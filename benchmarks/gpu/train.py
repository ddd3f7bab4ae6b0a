"""Training for so many minutes on a lent GPU, from the newest checkpoint, while people are rendered beside it.

    python -m benchmarks.gpu.train OUT --minutes 5 --device cuda [--carried benchmarks/out/carried] [--config face-256] [--batch 64]

The run's length is a time, not a number of steps: the configuration's shares (motion first, then pictures, learning rate) follow the clock,
so a slow machine comes as far along its schedule as a quick one. Begins with OUT/model.pth.tar (a leg that was cut short), else with the
carried start.pth.tar, else with fresh weights. Every two minutes the averaged weights are kept in half precision, and again before the
time is over or on SIGTERM. Writes into OUT, few files and flat, so that all of them come back from such a machine:
    model.pth.tar, model.yaml   what to go on from, and what `livepuppet models import` takes
    losses.jsonl, curves.png    every loss over the steps; held-out L1 beside that of a still
    sheet.png                   as in the runs of `livepuppet train`
    train.json                  what was done: steps, pairs, people, rates, what failed
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import torch

from benchmarks.gpu.people import FRAMES, People, Series
from benchmarks.gpu.pool import ClipPool
from livepuppet.engines.fomm.networks.checkpoint import FommModel, load_checkpoint
from livepuppet.errors import RunError
from livepuppet.files import write_atomically
from livepuppet.synthetic.clips import Clip
from livepuppet.training.checkpoint import write_run_recipe
from livepuppet.training.dataset import TrainingClip
from livepuppet.training.evaluation import evaluate
from livepuppet.training.journal import draw_sheet
from livepuppet.training.pairs import Batch
from livepuppet.training.recipe import RECIPES, Recipe
from livepuppet.training.run import beside, ended_by_signal
from livepuppet.training.settings import Augmentation
from livepuppet.training.trainer import NotFinite, Trainer

KEEP_EVERY_S = 120.0
SAY_EVERY_S = 10.0
LARGEST_CHECKPOINT_BYTES = 14 << 20
MOTION_FIRST = 0.4
"""Share of a leg from fresh weights in which keypoints and dense motion learn alone: livepuppet moves the portrait's own pixels by them."""
BROKEN_STEPS = 20
"""Steps in a row whose loss is NaN, after which the run ends."""
POOL_BYTES = {"cuda": 24 << 30, "cpu": 1 << 30}
LEAST_CLIPS = 4


@dataclass
class Leg:
    """What has happened so far; `tree` goes to train.json."""

    config: str
    device: str
    start: str
    batch: int
    steps: int = 0
    skipped: int = 0
    figures: dict[str, float] = field(default_factory=dict)
    step_ms: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def tree(self, people: People, seconds: float) -> dict[str, Any]:
        recent = statistics.median(self.step_ms[-200:]) if self.step_ms else None
        return {
            "config": self.config,
            "device": self.device,
            "start": self.start,
            "seconds": round(seconds, 1),
            "steps": self.steps,
            "batch": self.batch,
            "pairs": self.steps * self.batch,
            "skipped_steps": self.skipped,
            "step_ms": round(recent, 2) if recent else None,
            "pairs_per_second": round(1e3 * self.batch / recent, 1) if recent else None,
            "clips_rendered": dict(people.counts),
            "frames_per_second": round(FRAMES * sum(people.counts.values()) / max(seconds, 1e-9), 2),
            "failures": [f"{one.device}: {one.reason}" for one in people.failures],
            "notes": self.notes,
            **self.figures,
        }


def by_the_clock(recipe: Recipe, step: int, share: float) -> Recipe:
    """The recipe with as many steps as put `step` at this share of the run, so that its schedule follows the clock."""
    return replace(recipe, own=replace(recipe.own, steps=max(step + 1, round(step / max(share, 1e-3)))))


def half_checkpoint(model: FommModel, epoch: int) -> bytes:
    """A checkpoint in the original project's layout with half the bytes; `load_checkpoint` takes it as any other.

    Raises:
        RunError: it is too large to come back from the machine.
    """

    def halved(network: torch.nn.Module) -> OrderedDict[str, torch.Tensor]:
        state = network.state_dict()
        return OrderedDict((name, value.half().cpu() if value.is_floating_point() else value.cpu()) for name, value in state.items())

    buffer = io.BytesIO()
    torch.save({"generator": halved(model.generator), "kp_detector": halved(model.detector), "epoch": epoch}, buffer)
    if len(buffer.getvalue()) > LARGEST_CHECKPOINT_BYTES:
        raise RunError(f"the checkpoint has {len(buffer.getvalue())} bytes, more than {LARGEST_CHECKPOINT_BYTES}: take a smaller model")
    return buffer.getvalue()


def newest(options: argparse.Namespace) -> Path | None:
    """What to go on from."""
    return next((path for path in (options.out / "model.pth.tar", options.carried / "start.pth.tar") if path.is_file()), None)


def leg_recipe(options: argparse.Namespace, start: Path | None) -> Recipe:
    recipe = RECIPES[options.config]
    own = replace(
        recipe.own,
        motion_first=0.0 if start else MOTION_FIRST,
        adversarial_from=options.adversarial_from,
        warm_up=min(recipe.own.warm_up, 200),
    )
    return replace(recipe, own=own, batch_size=options.batch or recipe.batch_size)


def carried_clips(folder: Path) -> list[Path]:
    return sorted(folder.glob("clip-*.npz"))


def fill(pool: ClipPool, people: People, paths: list[Path]) -> None:
    """The carried people, and as many rendered ones as a first batch needs."""
    for path in paths:
        pool.add(Clip.load(path))
    while len(pool) < LEAST_CLIPS:
        if not people.alive:
            raise RunError("no people to train on: none were carried, and the renderers stopped")
        for done in people.take(1.0):
            pool.add(done.clip)


def keep(options: argparse.Namespace, trainer: Trainer, recipe: Recipe, leg: Leg, people: People, begun: float) -> None:
    """Checkpoint, configuration and what was done, each whole or as before."""
    content = half_checkpoint(trainer.averaged, trainer.step_number)
    write_atomically(options.out / "model.pth.tar", lambda file: file.write(content))
    write_run_recipe(options.out / "model.yaml", recipe)
    text = json.dumps(leg.tree(people, time.monotonic() - begun), indent=1) + "\n"
    write_atomically(options.out / "train.json", lambda file: file.write(text.encode()))
    print(f"kept {options.out / 'model.pth.tar'} after {trainer.step_number} steps, {len(content)} bytes", flush=True)


def say(out: Path, step: int, values: dict[str, float]) -> None:
    with (out / "losses.jsonl").open("a") as file:
        file.write(json.dumps({"step": step, **{name: round(value, 6) for name, value in values.items()}}) + "\n")
    print(f"step {step}  " + "  ".join(f"{name} {value:.3f}" for name, value in values.items()), flush=True)


def draw(options: argparse.Namespace, trainer: Trainer, samples: Batch) -> None:
    cv2.imwrite(str(options.out / "sheet.png"), draw_sheet(trainer.averaged, samples)[..., ::-1])


def judge(options: argparse.Namespace, trainer: Trainer, leg: Leg) -> None:
    """Held-out L1 of the averaged model, beside that of a still."""
    held_out = tuple(
        TrainingClip(path.stem, path.stem, path, synthetic=True) for path in carried_clips(options.carried / "people" / "test")
    )
    if not held_out:
        leg.notes.append("no held-out people were carried: no held-out figures")
        return
    found = evaluate(trainer.averaged, held_out, trainer.recipe.model.size, frames=8, faces=False)
    leg.figures |= {"held_out_l1": found.l1, "held_out_still": found.still}
    say(options.out, trainer.step_number, {"held_out_l1": found.l1, "held_out_still": found.still})


def loop(
    options: argparse.Namespace, recipe: Recipe, trainer: Trainer, pool: ClipPool, people: People, leg: Leg, begun: float, until: float
) -> None:
    """Step after step until the time is over."""
    randomness = torch.Generator().manual_seed(options.seed)
    start = kept = said = time.monotonic()
    sums: dict[str, float] = {}
    count = broken = 0
    while (now := time.monotonic()) < until:
        for done in people.take():
            pool.add(done.clip)
        trainer.recipe = by_the_clock(recipe, trainer.step_number, (now - start) / (until - start))
        try:
            losses = trainer.step(pool.draw(recipe.batch_size, recipe.augmentation, randomness))
        except NotFinite as error:
            leg.skipped, broken = leg.skipped + 1, broken + 1
            if broken > BROKEN_STEPS:
                leg.notes.append(f"stopped: {error}")
                return
            continue
        broken, leg.steps, count = 0, leg.steps + 1, count + 1
        leg.step_ms.append(1e3 * (time.monotonic() - now))
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + value
        if now - said > SAY_EVERY_S:
            rate = count * recipe.batch_size / (now - said)
            say(options.out, trainer.step_number, {**{name: value / count for name, value in sums.items()}, "pairs_per_second": rate})
            said, sums, count = now, {}, 0
        if now - kept > KEEP_EVERY_S:
            keep(options, trainer, recipe, leg, people, begun)
            kept = now


def train(options: argparse.Namespace) -> Leg:
    begun = time.monotonic()
    until = begun + max(1.0, (options.ends_at or time.time() + 60 * options.minutes) - time.time()) - options.reserve
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "losses.jsonl").unlink(missing_ok=True)
    start = newest(options)
    recipe, device = leg_recipe(options, start), torch.device(options.device)
    size = recipe.model.size
    series = Series(options.seed, size, options.carried)
    with People(series, ("cuda",) * options.gpu_renderers + ("cpu",) * options.cpu_renderers) as people:
        clip_bytes = FRAMES * (3 * size**2 + 5 * FRAMES * (size // 4) ** 2)
        pool = ClipPool(POOL_BYTES[device.type] // clip_bytes, size, FRAMES, device)
        half = device.type == "cuda" and not options.fp32
        trainer = Trainer(recipe, 1, device, half=half, compiled=options.compile, seed=options.seed)
        leg = Leg(options.config, options.device, str(start or "fresh weights"), recipe.batch_size)
        if start is not None:
            trainer.start_from(load_checkpoint(start, configuration=beside(start) or recipe.model))
        half_checkpoint(trainer.averaged, 0)  # too large a model is refused before the minutes are spent
        fill(pool, people, carried_clips(options.carried / "people" / "train"))
        samples = pool.draw(6, Augmentation(horizontal_flip=False, time_flip=False), torch.Generator().manual_seed(1))
        print(f"{time.monotonic() - begun:.1f} s to begin with {len(pool)} clips, from {leg.start}", flush=True)
        with ended_by_signal():
            try:
                loop(options, recipe, trainer, pool, people, leg, begun, until)
            except KeyboardInterrupt:
                leg.notes.append("ended by a signal before its time")
            keep(options, trainer, recipe, leg, people, begun)
            draw(options, trainer, samples)
            judge(options, trainer, leg)
        plot(options, leg)
        text = json.dumps(leg.tree(people, time.monotonic() - begun), indent=1) + "\n"
        write_atomically(options.out / "train.json", lambda file: file.write(text.encode()))
    print(text, flush=True)
    return leg


def plot(options: argparse.Namespace, leg: Leg) -> None:
    from benchmarks.training import curves

    try:
        curves(argparse.Namespace(run=options.out, plot=options.out / "curves.png"))
    except (ModuleNotFoundError, FileNotFoundError) as error:
        leg.notes.append(f"no curves: {error}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--ends-at", type=float, metavar="T", help="seconds since 1970 at which all must be over; counts before --minutes")
    parser.add_argument("--reserve", type=float, default=25.0, metavar="S", help="of that, for the last checkpoint, sheet and figures")
    parser.add_argument("--device", default="cuda", choices=("cpu", "cuda"))
    parser.add_argument("--config", choices=list(RECIPES), default="face-256")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--carried", type=Path, default=Path("benchmarks/out/carried"))
    parser.add_argument("--gpu-renderers", type=int, default=0, metavar="N")
    parser.add_argument("--cpu-renderers", type=int, default=max(1, (os.cpu_count() or 1) - 3), metavar="N")
    parser.add_argument("--adversarial-from", type=float, default=1.0, metavar="SHARE", help="of this leg (default: 1, never)")
    parser.add_argument("--seed", type=int, default=0, help="of people, pairs and fresh weights: another one for every leg")
    parser.add_argument("--fp32", action="store_true", help="no bf16 on CUDA")
    parser.add_argument("--compile", action="store_true")
    train(parser.parse_args())


if __name__ == "__main__":
    main()

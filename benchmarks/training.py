"""What a trained model is worth on clips it never saw, and how fast people are rendered and models trained.

    python benchmarks/training.py quality --data CLIPS MODEL.pth.tar [MODEL.pth.tar ...] [--frames 16] [--json FILE]
    python benchmarks/training.py speed [--device cuda] [--config face-256] [--batch 32 64] [--precision bf16] [--compile] [--clips DIR]
                                        [--json FILE]
    python benchmarks/training.py curves RUN --plot curves.png

quality: every clip is rebuilt from its first frame; L1, AKD and identity distance as `livepuppet.training.evaluation` states them,
beside the L1 of leaving the first frame as it is. A model's YAML is read when it lies beside it (MODEL.yaml). CLIPS may hold videos,
folders of pictures and synthetic clips. speed: rendered frames per second, and training pairs per second while motion learns alone, with
pictures, and against the adversary, written as they come; --clips takes people that are there already, and renders none. curves: every
loss of a run of `livepuppet train`, and its held-out L1, over the steps.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from livepuppet.engines.fomm.networks import checkpoint
from livepuppet.synthetic.clips import render_clip
from livepuppet.synthetic.head import Head
from livepuppet.training.dataset import TrainingClip, gather_dataset
from livepuppet.training.evaluation import evaluate
from livepuppet.training.pairs import Pairs, collate
from livepuppet.training.recipe import RECIPES, Recipe
from livepuppet.training.run import beside
from livepuppet.training.trainer import Trainer

PEOPLE = 6
FRAMES = 8
WARM_UP, STEPS = 2, 6
PHASES = (("motion", 1.0, 1.0), ("pictures", 0.0, 1.0), ("adversarial", 0.0, 0.0))
"""Name, motion_first, adversarial_from."""
CURVES_PX = (1400, 900)
SMOOTHED_OVER = 9
"""Lines of the journal that the dark curve averages."""


def machine(device: torch.device) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores, torch {torch.__version__}, {torch.get_num_threads()} threads"


def quality(options: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        for path in options.models:
            model = checkpoint.load_checkpoint(path, configuration=beside(path))
            model.detector.to(device)
            model.generator.to(device)
            size = model.configuration.size
            album = gather_dataset(options.data, Path(cache) / str(size), size)
            clips = (album.held_out if (options.data / "test").is_dir() else (*album.training, *album.held_out))[: options.limit]
            figures = evaluate(model, clips, size, frames=options.frames)
            rows.append({"model": str(path), "clips": len(clips), **figures.tree()})
            print(
                f"{path.name:<28} {len(clips):>4} clips {figures.frames:>5} frames  L1 {figures.l1:.4f} (still {figures.still:.4f})  "
                f"AKD {figures.akd:.2f} px  identity {figures.identity:.3f}  faces in {figures.found}",
                flush=True,
            )
    return {"data": str(options.data), "frames_per_clip": options.frames, "rows": rows}


def waited(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def rendered(head: Head, folder: Path, size: int, device: torch.device) -> float:
    """Renders a few people into a folder; frames per second of one process."""
    seconds = []
    for index in range(PEOPLE):
        start = waited(device)
        clip = render_clip(head, 0, index, frames=FRAMES, size=size)
        seconds.append(waited(device) - start)
        clip.save(folder / f"clip-{index:06d}.npz")
    rate = FRAMES / statistics.median(seconds)
    print(f"rendering {size} px: {rate:.2f} frames per second and process (median of {PEOPLE} clips)", flush=True)
    return rate


def speed(options: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    recipe = RECIPES[options.config]
    result: dict[str, Any] = {"config": recipe.name, "rates": []}
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.clips or Path(temporary)
        if options.clips is None:
            result["frames_per_second"] = rendered(Head.load(device), folder, recipe.model.size, device)
        clips = gather_dataset(folder, Path(temporary) / "cache", recipe.model.size).training
        for size in options.batch or [recipe.batch_size]:
            result["rates"].append(rates(replace(recipe, batch_size=size), clips, options, device))
            write(options, device, result)
    return result


def rates(recipe: Recipe, clips: tuple[TrainingClip, ...], options: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Pairs per second of one batch, over and over, in each phase of a run."""
    found = {}
    pairs = Pairs(clips, recipe, 0)
    batch = collate([pairs[number] for number in range(recipe.batch_size)])
    half = device.type == "cuda" if options.precision == "auto" else options.precision == "bf16"
    for name, motion_first, adversarial_from in PHASES:
        if name == "adversarial" and not recipe.weights.generator_gan:
            continue
        phase = replace(recipe, own=replace(recipe.own, motion_first=motion_first, adversarial_from=adversarial_from))
        trainer = Trainer(phase, len(clips), device, half=half, compiled=options.compile)
        times = []
        for _ in range(WARM_UP + STEPS):
            start = waited(device)
            trainer.step(batch)
            times.append(waited(device) - start)
        found[name] = recipe.batch_size / statistics.median(times[WARM_UP:])
        print(f"training {recipe.name}, batch {recipe.batch_size}, {name}: {found[name]:.1f} pairs per second", flush=True)
    memory = torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else None
    return {"batch": recipe.batch_size, "pairs_per_second": found, "gpu_memory_gib": memory}


def read_curves(path: Path) -> dict[str, tuple[list[int], list[float]]]:
    """Name -> steps and values of losses.jsonl. A run that went on repeats steps after its last checkpoint: the later line counts."""
    curves: dict[str, dict[int, float]] = {}
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        step = entry.pop("step")
        for name, value in entry.items():
            curves.setdefault(name, {})[step] = value
    return {name: (sorted(values), [values[step] for step in sorted(values)]) for name, values in curves.items()}


def smoothed(values: list[float]) -> list[float]:
    half = SMOOTHED_OVER // 2
    return [statistics.fmean(values[max(0, i - half) : i + half + 1]) for i in range(len(values))]


def curves(options: argparse.Namespace) -> dict[str, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    found = read_curves(options.run / "losses.jsonl")
    still = found.pop("held_out_still", None)
    found.pop("pairs_per_second", None)
    columns = 3
    rows = -(-len(found) // columns)
    figure = Figure(figsize=(CURVES_PX[0] / 100, CURVES_PX[1] / 100), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    summary = {}
    for index, (name, (steps, values)) in enumerate(found.items()):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.set_title(name.replace("_", " "), fontsize=10)
        if name == "held_out_l1":
            axes.plot(steps, values, color="#1f5fa8")
            if still is not None:
                axes.plot(*still, color="#999999", linestyle="--")
                axes.annotate("a still picture", (still[0][0], still[1][0]), fontsize=8, color="#666666", va="bottom")
        else:
            axes.plot(steps, values, color="#b8cfe8", linewidth=0.8)
            axes.plot(steps, smoothed(values), color="#1f5fa8")
        axes.tick_params(labelsize=8)
        axes.margins(y=0.15)
        axes.set_ylim(bottom=0)
        summary[name] = {"first": values[0], "last": smoothed(values)[-1] if name != "held_out_l1" else values[-1]}
        print(f"{name:<24} {summary[name]['first']:.4f} -> {summary[name]['last']:.4f}")
    figure.savefig(options.plot)
    return {"run": str(options.run), "curves": summary}


def write(options: argparse.Namespace, device: torch.device, result: dict[str, Any]) -> None:
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(device), **result}, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("quality", "speed"):
        command = commands.add_parser(name)
        command.add_argument("--device", default="cpu")
        command.add_argument("--json", type=Path, default=argparse.SUPPRESS)
        if name == "quality":
            command.add_argument("models", type=Path, nargs="+")
            command.add_argument("--data", type=Path, required=True)
            command.add_argument("--frames", type=int, default=16)
            command.add_argument("--limit", type=int, default=200)
        else:
            command.add_argument("--config", choices=list(RECIPES), default="face-256")
            command.add_argument("--batch", type=int, nargs="+", metavar="N")
            command.add_argument("--clips", type=Path, metavar="DIR", help="synthetic clips to train on, in place of new ones")
            command.add_argument("--precision", choices=("auto", "bf16", "fp32"), default="auto")
            command.add_argument("--compile", action="store_true")
    command = commands.add_parser("curves")
    command.add_argument("run", type=Path)
    command.add_argument("--plot", type=Path, default=Path("curves.png"))
    command.add_argument("--json", type=Path, default=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("GLOG_minloglevel", "2")  # MediaPipe would write pages into the table
    device = torch.device(getattr(options, "device", "cpu"))
    if options.command == "curves":
        result = curves(options)
    else:
        print(machine(device))
        result = quality(options, device) if options.command == "quality" else speed(options, device)
    write(options, device, result)


if __name__ == "__main__":
    main()

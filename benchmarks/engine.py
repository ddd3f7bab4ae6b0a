"""How fast the neural engine is: every form of one model, in one run, against plain PyTorch the way the original project runs it.

    python benchmarks/engine.py [--model vox | tiny | CHECKPOINT] [--rounds 20] [--forms onnx,onnx-int8,torchscript]
                                [--clip VIDEO | --frames ARRAYS.npz] [--device cpu|cuda] [--out benchmarks/out]

`vox` is a model of the published 256-pixel size with random weights, `tiny` one for a trial of this script. The forms are those of
engine_forms.py; all times are from a picture in memory to a picture in memory (uint8). Each form runs in turns with the first, round by
round, so that a change of load hits both, and its figures are written at once: a run that is cut short has told what it knew. Beside the
time by the clock stands the processor time, which other programs disturb less, and on CUDA the GPU's own time by events. `floor`: the
frame's convolutions alone, in the form's precision, as a share of its time. PSNR is against the first form, on frames of the clip (the
built-in performance if none is given). A form that cannot run here is named with the reason.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from engine_forms import Form, NotHereError, Setup, Step, build_form, convolution_floor, device_ms

from livepuppet.diagnostics.system import describe_machine, package_versions
from livepuppet.diagnostics.system import system_load as machine_load
from livepuppet.engines.fomm import motion as motions
from livepuppet.engines.fomm.crop import Crop, face_crop
from livepuppet.engines.fomm.networks import checkpoint
from livepuppet.engines.fomm.networks.checkpoint import FommModel
from livepuppet.engines.fomm.networks.configuration import Configuration, Hourglass
from livepuppet.engines.fomm.paste import build_paste_region, paste_back
from livepuppet.engines.fomm.runtime.interface import RuntimeOutput
from livepuppet.errors import LivepuppetError
from livepuppet.types import Image, Tuning

TINY = Configuration(
    keypoints=6,
    size=64,
    detector=Hourglass(block_expansion=8, max_features=32, blocks=2, scale=0.25),
    dense_motion=Hourglass(block_expansion=8, max_features=32, blocks=2, scale=0.25),
    block_expansion=8,
    max_features=32,
    down_blocks=2,
    bottleneck_blocks=2,
)
FIRST = "original"


def kept_images(path: Path, size: int) -> list[Image]:
    """Face crops that were cut beforehand: the array `crops` of a file, uint8 (N, S, S, 3)."""
    with np.load(path, allow_pickle=False) as arrays:
        crops = arrays["crops"]
    return [np.ascontiguousarray(cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)).astype(np.uint8) for crop in crops]


def images(size: int, clip: Path | None, count: int = 24) -> list[Image]:
    """Face crops of real frames."""
    from livepuppet.factory import open_source
    from livepuppet.vision.face_landmarks import FaceTracker

    tracker, found = FaceTracker(), []
    video = cv2.VideoCapture(str(clip)) if clip else None
    source = None if clip else open_source("demo", paced=False)
    for index in range(40 * count):
        if video is not None:
            there, bgr = video.read()
            image = np.ascontiguousarray(bgr[..., ::-1]) if there else None
        else:
            frame = source.read() if source is not None else None
            image = None if frame is None else frame.image
        if image is None or len(found) == count:
            break
        if index % 4 == 0 and (landmarks := tracker.track(image)) is not None:
            found.append(face_crop(landmarks, 1.9).cut(image, size))
    tracker.close()
    return found


def psnr(a: Image, b: Image) -> float:
    error = float(((a.astype(np.float64) - b) ** 2).mean())
    return 99.0 if error == 0 else 10 * float(np.log10(255**2 / error))


def measure(steps: dict[str, Step], frames: list[Image], rounds: int, warm_up: int) -> dict[str, dict[str, Any]]:
    """The forms in turns; the first is what the others are compared with."""
    for step in steps.values():
        for frame in frames[:warm_up]:
            step(frame)
    wall: dict[str, list[float]] = {name: [] for name in steps}
    processor: dict[str, list[float]] = {name: [] for name in steps}
    quality: dict[str, list[float]] = {name: [] for name in steps}
    for index in range(rounds):
        frame = frames[index % len(frames)]
        truth: Image | None = None
        for name, step in steps.items():
            begun, used = time.perf_counter(), time.process_time()
            image = step(frame)
            wall[name].append(1e3 * (time.perf_counter() - begun))
            processor[name].append(1e3 * (time.process_time() - used))
            truth = image if truth is None else truth
            quality[name].append(psnr(image, truth))
    first = next(iter(steps))
    # Compared round by round: each round's forms ran within a second of each other.
    ratios = {name: float(np.median(np.array(wall[first]) / np.array(wall[name]))) for name in steps}
    busy = {name: float(np.median(np.array(processor[first]) / np.array(processor[name]))) for name in steps}
    return {
        name: {
            "p50": float(np.median(wall[name])),
            "p95": float(np.percentile(wall[name], 95)),
            "fastest": min(wall[name]),
            "cpu": float(np.median(processor[name])),
            "times_faster": ratios[name],
            "times_less_cpu": busy[name],
            "psnr_db": float(np.median(quality[name])),
            "worst_psnr_db": min(quality[name]),
        }
        for name in steps
    }


def host_work(size: int, rounds: int) -> dict[str, float]:
    """Milliseconds of what a frame needs outside the graphs: the crop, the motion, and the paste at 1024 x 1024."""
    random = np.random.default_rng(0)
    camera = random.integers(0, 255, (480, 640, 3)).astype(np.uint8)
    portrait = cv2.GaussianBlur(random.integers(0, 255, (1024, 1024, 3)).astype(np.uint8), (0, 0), 3)
    crop, place = Crop(320.3, 240.7, 300), Crop(512.2, 440.1, 620)
    value = random.uniform(-0.5, 0.5, (1, 10, 2)).astype(np.float32)
    frames = (np.eye(2) + random.normal(0, 0.05, (1, 10, 2, 2))).astype(np.float32)
    source = motions.neutral_motion(value, frames, np.zeros(3))
    reference = motions.motion_from_keypoints(value, frames, crop, 640, 480, np.zeros(3))
    shown = place.cut(np.asarray(portrait, np.uint8), size)
    ticks = np.linspace(-1, 1, 64, dtype=np.float32)
    rest = RuntimeOutput(shown, True, np.stack(np.meshgrid(ticks, ticks), -1), np.ones((64, 64), np.float32))
    kept = build_paste_region(np.asarray(portrait, np.uint8), place, shown, rest)

    def move() -> None:
        seen = motions.motion_from_keypoints(value, frames, crop, 640, 480, np.zeros(3))
        motions.keypoints_from_motion(motions.transfer_motion(source, reference, seen, 1.0, Tuning()))

    works: dict[str, Callable[[], object]] = {
        "crop": lambda: crop.cut(camera, size),
        "motion": move,
        "paste": lambda: paste_back(np.asarray(portrait, np.uint8), kept, rest),
    }
    found = {}
    for name, work in works.items():
        times = []
        for _ in range(5 * rounds):
            begun = time.process_time()
            work()
            times.append(1e3 * (time.process_time() - begun))
        found[name] = float(np.median(times))
    return found


def measured(name: str, setup: Setup, first: Form, frames: list[Image], options: argparse.Namespace) -> tuple[Form, dict[str, Any]]:
    """One form in turns with the first, and its device's own time."""
    form = first if name == FIRST else build_form(name, setup)
    steps = {FIRST: first.step} if form is first else {FIRST: first.step, name: form.step}
    found = measure(steps, frames, options.rounds, options.warm_up)[name]
    found["device"], found["precision"] = form.device, form.precision
    if setup.device.type == "cuda" and form.work is not None:
        found["gpu"] = device_ms(form.work, setup.device, options.rounds)
    return form, found


def table(results: dict[str, dict[str, Any]]) -> list[str]:
    lines = [
        "| form | p50 ms | p95 | fastest | processor ms | GPU ms | floor | times faster | times less processor | PSNR dB (worst) |",
        "|---" * 10 + "|",
    ]
    for name, r in results.items():
        numbers = [f"{r[key]:.2f}" for key in ("p50", "p95", "fastest", "cpu")]
        numbers += [f"{r['gpu']:.2f}" if "gpu" in r else "", f"{r['floor_percent']:.0f} %" if "floor_percent" in r else ""]
        numbers += [f"{r[key]:.2f}" for key in ("times_faster", "times_less_cpu")]
        lines.append(f"| {name} ({r['device']}) | " + " | ".join(numbers) + f" | {r['psnr_db']:.1f} ({r['worst_psnr_db']:.1f}) |")
    return lines


def lively(model: FommModel) -> FommModel:
    """Random weights give grey pictures and keypoints in the middle: make both differ, so that a wrong form would be seen."""
    with torch.no_grad():
        model.generator.final.weight.mul_(20)
        model.detector.kp.weight.mul_(20)
    model.detector.eval()
    model.generator.eval()
    return model


def load_model(name: str) -> FommModel:
    if name in ("vox", "tiny"):
        return lively(checkpoint.build_model(Configuration() if name == "vox" else TINY))
    path = Path(name)
    yaml = path.with_name(path.name.removesuffix(".pth.tar").removesuffix("-cpk") + ".yaml")
    return checkpoint.load_checkpoint(path, configuration=checkpoint.load_configuration(yaml) if yaml.is_file() else None)


def write(options: argparse.Namespace, record: dict[str, Any]) -> list[str]:
    """What is known so far, as JSON and as a table; returns the table's lines."""
    floor = record.get("floor", {})
    for found in record["forms"].values():
        if found["precision"] in floor.get("ms", {}):
            found["floor_percent"] = 100 * floor["ms"][found["precision"]] / found["p50"]
    host = ", ".join(f"{name} {value:.2f}" for name, value in record.get("host_cpu_ms", {}).items())
    lines = [
        f"{record['machine']}, load {machine_load()}",
        f"{options.model}, {options.rounds} rounds after {options.warm_up} to warm up, {torch.get_num_threads()} threads in PyTorch",
        *([f"A frame's {floor['convolutions']} convolutions: {floor['gflop']:.1f} GFLOP; alone {floor['ms']} ms"] if floor else []),
        "",
        *table(record["forms"]),
        "",
        *(f"not here: {name}: {reason}" for name, reason in record["not_here"].items()),
        *([f"Outside the graphs, processor ms per frame: {host}"] if host else []),
    ]
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "engine.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (options.out / "engine.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="vox", help="vox, tiny (random weights) or a checkpoint with its YAML beside it (default: vox)")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--warm-up", type=int, default=2)
    parser.add_argument("--forms", default="onnx,onnx-int8,torchscript")
    parser.add_argument("--clip", type=Path, help="real frames to drive with")
    parser.add_argument("--frames", type=Path, help="crops of benchmarks/gpu/prepare.py, where there is no MediaPipe")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out"))
    options = parser.parse_args()
    torch.manual_seed(0)
    model = load_model(options.model)
    size = model.configuration.size
    frames = kept_images(options.frames, size) if options.frames else images(size, options.clip)
    record: dict[str, Any] = {
        "machine": describe_machine(),
        "gpu": torch.cuda.get_device_name() if options.device == "cuda" else None,
        "packages": package_versions(),
        "model": options.model,
        "forms": {},
        "not_here": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LIVEPUPPET_MODELS"] = folder
        setup = Setup(model, frames[0], frames[1], frames[::2], torch.device(options.device), Path(folder))
        first = build_form(FIRST, setup)
        for name in [FIRST, *options.forms.split(",")]:
            try:
                form, record["forms"][name] = measured(name, setup, first, frames[1:], options)
            except NotHereError as error:
                record["not_here"][name] = str(error)
            except (RuntimeError, ImportError, LivepuppetError) as error:  # one form that fails must not take the others' figures with it
                record["not_here"][name] = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
            else:
                if form is not first:
                    form.close()
            if name == FIRST:
                precisions = ("fp32", "fp16", "bf16") if options.device == "cuda" else ("fp32",)
                record["floor"] = vars(convolution_floor(setup, precisions, options.rounds))
            write(options, record)
            print(f"{name}: {record['forms'].get(name) or record['not_here'].get(name)}", flush=True)
    record["host_cpu_ms"] = host_work(size, options.rounds)
    print("\n".join(write(options, record)))


if __name__ == "__main__":
    main()

"""How fast the neural engine is: every form of one model, in one run, against plain PyTorch the way the original project runs it.

    python benchmarks/engine.py [--model vox | CHECKPOINT] [--rounds 20] [--forms onnx,onnx-int8,torchscript] [--clip VIDEO]
                                [--device cpu|cuda] [--out benchmarks/out]

`vox` is a model of the published 256-pixel size with random weights. All times are from a picture in memory to a picture in memory (uint8).
The forms take turns within each round, so that a change of load hits all of them. Beside the time by the clock stands the processor time,
which other programs disturb less. PSNR is against PyTorch, on frames of the clip (the built-in performance if none is given).
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
from numpy.typing import NDArray

from livepuppet.diagnostics.system import describe_machine, package_versions
from livepuppet.diagnostics.system import system_load as machine_load
from livepuppet.engines.fomm import motion as motions
from livepuppet.engines.fomm.crop import Crop, face_crop
from livepuppet.engines.fomm.export.exporter import export_model
from livepuppet.engines.fomm.networks import checkpoint
from livepuppet.engines.fomm.networks.checkpoint import FommModel
from livepuppet.engines.fomm.networks.configuration import Configuration
from livepuppet.engines.fomm.networks.keypoints import relative_keypoints
from livepuppet.engines.fomm.networks.layers import grid_sample
from livepuppet.engines.fomm.paste import build_paste_region, paste_back
from livepuppet.engines.fomm.runtime.interface import FommRuntime
from livepuppet.engines.fomm.runtime.loading import load_runtime
from livepuppet.factory import open_source
from livepuppet.types import Image, Tuning
from livepuppet.vision.face_landmarks import FaceTracker

Step = Callable[[Image], Image]


def images(size: int, clip: Path | None, count: int = 24) -> list[Image]:
    """Face crops of real frames."""
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


def hull(value: torch.Tensor) -> float:
    return float(np.sqrt(cv2.contourArea(cv2.convexHull(value[0].cpu().numpy()))))


def original(model: FommModel, portrait: Image, reference: Image, device: str) -> Step:
    """As the original project's `animate` does it: encoder and both convex hulls every frame, the whole source deformed besides."""
    detector, generator = model.detector.to(device), model.generator.to(device)

    def tensor(image: Image) -> torch.Tensor:
        return torch.from_numpy(image.astype(np.float32) / 255).permute(2, 0, 1)[None].to(device)

    with torch.no_grad():
        source_picture = tensor(portrait)
        source, initial = detector(source_picture), detector(tensor(reference))

    def step(driving: Image) -> Image:
        with torch.no_grad():
            scale = torch.tensor(hull(source.value) / hull(initial.value), device=device)
            target = relative_keypoints(source, initial, detector(tensor(driving)), scale)
            generated = generator(source_picture, source, target)
            flow = torch.nn.functional.interpolate(generated.motion.deformation.permute(0, 3, 1, 2), portrait.shape[:2], mode="bilinear")
            grid_sample(source_picture, flow.permute(0, 2, 3, 1), model.align_corners)
            result: NDArray[np.float32] = generated.prediction[0].permute(1, 2, 0).cpu().numpy()
            return np.rint(result * 255).astype(np.uint8)

    return step


def ours(graphs: FommRuntime, portrait: Image, reference: Image) -> Step:
    prepared, start = graphs.prepare(portrait), graphs.detect(reference)
    scale = motions.chunk(prepared.value[0].astype(np.float64)) / motions.chunk(start[0][0].astype(np.float64))
    return lambda driving: graphs.render(prepared, *graphs.detect(driving), reference=start, scale=scale).image


def psnr(a: Image, b: Image) -> float:
    error = float(((a.astype(np.float64) - b) ** 2).mean())
    return 99.0 if error == 0 else 10 * float(np.log10(255**2 / error))


def measure(steps: dict[str, Step], frames: list[Image], rounds: int, warm_up: int) -> dict[str, dict[str, Any]]:
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
    from livepuppet.engines.fomm.runtime.interface import RuntimeOutput

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


def table(results: dict[str, dict[str, Any]]) -> list[str]:
    lines = ["| form | p50 ms | p95 | fastest | processor ms | times faster | times less processor | PSNR dB (worst) |", "|---" * 8 + "|"]
    for name, r in results.items():
        numbers = [f"{r[key]:.1f}" for key in ("p50", "p95", "fastest", "cpu")]
        numbers += [f"{r[key]:.2f}" for key in ("times_faster", "times_less_cpu")]
        lines.append(f"| {name} | " + " | ".join(numbers) + f" | {r['psnr_db']:.1f} ({r['worst_psnr_db']:.1f}) |")
    return lines


def lively(model: FommModel) -> FommModel:
    """Random weights give grey pictures and keypoints in the middle: make both differ, so that a wrong form would be seen."""
    with torch.no_grad():
        model.generator.final.weight.mul_(20)
        model.detector.kp.weight.mul_(20)
    model.detector.eval()
    model.generator.eval()
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="vox", help="vox (random weights) or a checkpoint with its YAML beside it (default: vox)")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--warm-up", type=int, default=2)
    parser.add_argument("--forms", default="onnx,onnx-int8,torchscript")
    parser.add_argument("--clip", type=Path, help="real frames to drive with")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out"))
    options = parser.parse_args()
    torch.manual_seed(0)
    if options.model == "vox":
        model = lively(checkpoint.build_model(Configuration()))
    else:
        path = Path(options.model)
        yaml = path.with_name(path.name.removesuffix(".pth.tar").removesuffix("-cpk") + ".yaml")
        model = checkpoint.load_checkpoint(path, configuration=checkpoint.load_configuration(yaml) if yaml.is_file() else None)
    frames = images(model.configuration.size, options.clip)
    forms = options.forms.split(",")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LIVEPUPPET_MODELS"] = folder
        made = export_model(
            model,
            "benchmark",
            formats=[form for form in ("onnx", "torchscript") if form in forms],
            target="gpu" if options.device == "cuda" else "cpu",
            calibration=frames[::2] if "onnx-int8" in forms else (),
        )
        steps = {"PyTorch, as the original": original(model, frames[0], frames[1], options.device)}
        loaded = {form: load_runtime(made.directory, form, options.device) for form in forms}
        for form, graphs in loaded.items():
            steps[f"{form} ({graphs.device})"] = ours(graphs, frames[0], frames[1])
        results = measure(steps, frames[1:], options.rounds, options.warm_up)
        for graphs in loaded.values():
            graphs.close()
    host = host_work(model.configuration.size, options.rounds)
    lines = [
        f"{describe_machine()}, load {machine_load()}",
        f"{options.model}, {options.rounds} rounds after {options.warm_up} to warm up, {torch.get_num_threads()} threads in PyTorch",
        "",
        *table(results),
        "",
        "Outside the graphs, processor ms per frame: " + ", ".join(f"{name} {value:.2f}" for name, value in host.items()),
    ]
    print("\n".join(lines))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "engine.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    record = {"machine": describe_machine(), "packages": package_versions(), "model": options.model, "forms": results, "host_cpu_ms": host}
    (options.out / "engine.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

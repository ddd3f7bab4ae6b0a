"""`livepuppet protect PHOTO --output OUT`: a small change to a photo that makes it harder to animate, and a report on how far that goes."""

from __future__ import annotations

import argparse
import io
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from livepuppet.cli.options import number_between, positive_int
from livepuppet.errors import NoFaceError, UsageError
from livepuppet.protection.departure import measure_departure
from livepuppet.protection.report import AFTER_JPEG, PROTECTED, ProtectionReport, ReportLine
from livepuppet.types import Image

SUMMARY = "Make a photo harder to animate, and report honestly how far that goes."
EPILOG = """
How much it helps depends on who animates. The change is made against the installed First Order Motion
Model (which needs pip install 'livepuppet[torch]') and MediaPipe's face landmarks, and the report says
how each took it. It does not stop programs made otherwise (diffusion models, 3D methods), a blurred,
denoised or strongly scaled copy of the photo, other photos of the same person, or whoever has the
original.
"""

WORKING_SIDE = 768
"""Long side in pixels at which the change is searched for; animators look at 256 pixels of face."""
DRIVING_FRAMES = 6
MODEL_MARGIN = 1.9
"""Side of what the model is shown, in sizes of the face."""
FULL_COLOUR = {"quality": 97, "subsampling": 0}
FORMATS: dict[str, dict[str, Any]] = {".png": {}, ".jpg": FULL_COLOUR, ".jpeg": FULL_COLOUR, ".webp": {"lossless": True}}

log = logging.getLogger("livepuppet.protect")

Animate = Callable[[Image], "list[Image]"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photo", type=Path, metavar="PHOTO", help="the picture to protect")
    parser.add_argument("--output", type=Path, required=True, metavar="OUT", help="where to write it (.png keeps every level; .jpg, .webp)")
    parser.add_argument(
        "--strength", type=lambda text: number_between(text, 1, 32), default=4.0, metavar="LEVELS",
        help="the most any pixel may change, in levels of 255 (default: 4; 8 is visible in flat parts)",
    )  # fmt: skip
    parser.add_argument("--model", metavar="NAME", help="the installed model to work against, or none (default: the first installed one)")
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="a checkpoint (.pth.tar) to work against instead")
    parser.add_argument("--config", type=Path, metavar="YAML", help="its configuration (default: inferred from the checkpoint)")
    parser.add_argument("--steps", type=positive_int, default=40, help="steps against the model (default: 40)")
    parser.add_argument("--trials", type=positive_int, default=300, help="trials against the face landmarks (default: 300)")
    parser.add_argument("--device", default="cpu", help="where torch computes: cpu, cuda (default: cpu)")
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="where the before/after sheet goes (default: beside OUT)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(options: argparse.Namespace) -> int:
    from livepuppet.protection.landmarks import apply_change, enlarge_face, mislead
    from livepuppet.protection.sheet import comparison_sheet
    from livepuppet.vision.portrait import load_portrait

    sheet_path = options.sheet or options.output.with_name(options.output.stem + "-report.png")
    check_outputs(options.photo, options.output, sheet_path)
    original = load_portrait(options.photo, limit=None)
    photo = load_portrait(options.photo, limit=WORKING_SIDE)
    animators: dict[str, Animate] = {"landmark engine": landmark_animator()}
    change = np.zeros(photo.shape, np.float32)
    attack = model_attack(options, photo)
    if attack is not None:
        name, fomm = attack
        animators[f"FOMM ({name})"] = fomm.animate
        change = fomm.perturb(options.strength, options.steps, progress=report_step(options.steps))
    misled = mislead(photo, change, options.strength, options.trials)
    log.info("landmarks: moved by %.2f %% of the face's width after %d trials", 100 * misled.after, options.trials)
    change = misled.change

    height, width = original.shape[:2]
    write_photo(apply_change(original, enlarge_face(change, height, width)), options.output)
    protected = load_portrait(options.output, limit=WORKING_SIDE)
    noise = np.random.default_rng(1).choice([-options.strength, options.strength], photo.shape).astype(np.float32)
    versions = {
        PROTECTED: protected,
        AFTER_JPEG: jpeg(protected, 80),
        "unprotected, JPEG 80": jpeg(photo, 80),
        "plain noise of the same strength": apply_change(photo, noise),
    }
    lines, rows = measured(animators, photo, versions)
    magnified = apply_change(np.full_like(photo, 128), change * 10)
    write_photo(comparison_sheet([("the photo; protected; the change, ten times over", (photo, protected, magnified)), *rows]), sheet_path)
    largest = int(np.abs(load_portrait(options.output, limit=None).astype(int) - original).max())
    report = ProtectionReport(options.photo, options.output, sheet_path, options.strength, largest, tuple(lines))
    print(json.dumps(report.as_json(), indent=2) if options.json else report.text())
    return 0


def check_outputs(photo: Path, output: Path, sheet_path: Path) -> None:
    """Raises UsageError before any work is done."""
    for path in (output, sheet_path):
        if path.suffix.lower() not in FORMATS:
            raise UsageError(f"cannot write {path}: give a name ending in {', '.join(FORMATS)}")
        if not path.absolute().parent.is_dir():
            raise UsageError(f"cannot write {path}: there is no folder {path.absolute().parent}")
        if path.resolve() == photo.resolve():
            raise UsageError(f"{path} is the photo itself: name another file, and keep the original to yourself")


def landmark_animator() -> Animate:
    """The landmark engine, moved by the shipped performance."""
    from livepuppet.factory import open_engine
    from livepuppet.types import Tuning

    engine = open_engine("landmark")
    motions = [motion for motion in map(engine.observe, performance()) if motion is not None]

    def animate(photo: Image) -> list[Image]:
        try:
            avatar = engine.prepare(photo)
        except NoFaceError:
            return [np.zeros_like(photo)] * len(motions)
        return [engine.render(avatar, engine.transfer(avatar, motions[0], motion, Tuning()), Tuning()) for motion in motions]

    return animate


def model_attack(options: argparse.Namespace, photo: Image) -> tuple[str, Any] | None:
    """The attack on the model that was asked for, or on the first installed one, with its name; None, saying why, where there is none.

    Raises UsageError without torch, ModelError, NoFaceError.
    """
    from livepuppet.engines.fomm import model_store as artifacts
    from livepuppet.vision.face_landmarks import bounding_box, cut_window, find_faces, window_round

    directory = None
    if options.checkpoint is None and options.model != "none":
        directory = artifacts.find_model(options.model) if options.model else next(iter(artifacts.installed_models()), None)
    if options.checkpoint is None and directory is None:
        log.info("working against the face landmarks alone, not against a First Order Motion Model")
        return None
    try:
        import onnx  # noqa: F401
        import torch
    except ModuleNotFoundError as error:
        if options.checkpoint is None and options.model is None:
            log.info("working against the face landmarks alone: a model's gradients need pip install 'livepuppet[torch]'")
            return None
        raise UsageError("working against a model needs PyTorch: pip install 'livepuppet[torch]', or --model none") from error
    from livepuppet.engines.fomm.networks import checkpoint
    from livepuppet.protection.disturbance import Attack, AttackTarget, InstalledTarget, NetworkTarget

    if options.device.partition(":")[0] == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: PyTorch finds no such device here; leave it out to use the CPU")
    device = torch.device(options.device)
    victim: AttackTarget
    if directory is not None:
        name, victim = directory.manifest.name, InstalledTarget(directory, device)
    else:
        configuration = checkpoint.load_configuration(options.config) if options.config else None
        name, victim = (
            options.checkpoint.name,
            NetworkTarget(checkpoint.load_checkpoint(options.checkpoint, configuration=configuration), device),
        )

    def window(image: Image) -> tuple[int, int, int]:
        faces = find_faces(image)
        if not faces:
            raise NoFaceError(f"no face found in {options.photo}: there is nothing to protect from animation")
        return window_round(*bounding_box(faces[0]), MODEL_MARGIN)

    driving = [cut_window(image, window(image), victim.size) for image in performance()]
    return name, Attack(victim, photo, window(photo), driving, device)


def performance() -> list[Image]:
    """Frames of the shipped performance, the reference first."""
    from livepuppet.video.reader import VideoReader
    from livepuppet.vision.portrait import ASSETS

    film = VideoReader(ASSETS / "performance.mp4")
    try:
        frames = []
        while (picture := film.read()) is not None:
            frames.append(picture.image)
    finally:
        film.close()
    return [frames[number * (len(frames) - 1) // DRIVING_FRAMES] for number in range(DRIVING_FRAMES)]


def report_step(steps: int) -> Callable[[int, float], None]:
    def say(step: int, value: float) -> None:
        if step % max(1, steps // 5) == 0:
            log.info("model: step %d of %d, departure %.4f", step, steps, value)

    return say


def jpeg(image: Image, quality: int) -> Image:
    from PIL import Image as Pictures

    buffer = io.BytesIO()
    Pictures.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.array(Pictures.open(buffer).convert("RGB"))


def write_photo(image: Image, path: Path) -> None:
    """Without the original's metadata: no place, no date, no camera. Raises UsageError."""
    from PIL import Image as Pictures

    try:
        Pictures.fromarray(image).save(path, **FORMATS[path.suffix.lower()])
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error


def measured(
    animators: dict[str, Animate], photo: Image, versions: dict[str, Image]
) -> tuple[list[ReportLine], list[tuple[str, list[Image]]]]:
    """Every animator's animation of every version held against that of the original, and the frames of the first of them to look at."""
    lines: list[ReportLine] = []
    rows: list[tuple[str, list[Image]]] = []
    for name, animate in animators.items():
        plain = animate(photo)
        rows.append((f"{name}: animation of the original", plain))
        for version, picture in versions.items():
            frames = animate(picture)
            lines.append(ReportLine(name, version, measure_departure(plain, frames)))
            if version == PROTECTED:
                rows.append((f"{name}: animation of the protected photo", frames))
    return lines, rows

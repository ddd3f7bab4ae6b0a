"""`livepuppet protect PHOTO --output OUT`: a small change to a photo that makes it harder to animate, and a report on how far that goes."""

from __future__ import annotations

import argparse
import io
import json
import logging
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from livepuppet.cli.options import between, whole
from livepuppet.errors import NoFaceError, UsageError
from livepuppet.interfaces import Image
from livepuppet.protection.departure import Departure, departure

SUMMARY = "Make a photo harder to animate, and report honestly how far that goes."
EPILOG = """
How much it helps depends on who animates. The perturbation is made against a First Order Motion Model
(--checkpoint) and MediaPipe's face landmarks, and the report says how each took it. It does not stop
programs made otherwise (diffusion models, 3D methods), a blurred, denoised or strongly scaled copy of
the photo, other photos of the same person, or whoever has seen the original. Needs pip install
'livepuppet[torch]' for --checkpoint.
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


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the report: an animator, a version of the photo, and how far its animation is from the original's."""

    animator: str
    version: str
    found: Departure


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photo", type=Path, metavar="PHOTO", help="the picture to protect")
    parser.add_argument("--output", type=Path, required=True, metavar="OUT", help="where to write it (.png keeps every level; .jpg, .webp)")
    parser.add_argument(
        "--strength", type=lambda text: between(text, 1, 32), default=4.0, metavar="LEVELS",
        help="the most any pixel may change, in levels of 255 (default: 4; 8 is visible in flat parts)",
    )  # fmt: skip
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="a First Order Motion Model (.pth.tar) to work against")
    parser.add_argument("--config", type=Path, metavar="YAML", help="its configuration (default: inferred from the checkpoint)")
    parser.add_argument("--steps", type=whole, default=60, help="steps against the model (default: 60)")
    parser.add_argument("--trials", type=whole, default=300, help="trials against the face landmarks (default: 300)")
    parser.add_argument("--device", default="cpu", help="where torch computes: cpu, cuda (default: cpu)")
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="where the before/after sheet goes (default: beside OUT)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(options: argparse.Namespace) -> int:
    from livepuppet.portraits import load_portrait
    from livepuppet.protection.landmarks import altered, enlarged, mislead
    from livepuppet.protection.sheet import sheet

    sheet_path = options.sheet or options.output.with_name(options.output.stem + "-report.png")
    check_outputs(options.photo, options.output, sheet_path)
    original = load_portrait(options.photo, limit=None)
    photo = load_portrait(options.photo, limit=WORKING_SIDE)
    animators: dict[str, Animate] = {"landmark engine": landmark_animator()}
    change = np.zeros(photo.shape, np.float32)
    if options.checkpoint:
        attack = model_attack(options, photo)
        animators[f"FOMM ({options.checkpoint.stem.removesuffix('.pth')})"] = attack.animate
        change = attack.perturb(options.strength, options.steps, progress=report_step(options.steps))
    else:
        log.info("no --checkpoint: working against the face landmarks alone, not against a First Order Motion Model")
    misled = mislead(photo, change, options.strength, options.trials)
    log.info("landmarks: moved by %.2f %% of the face's width after %d trials", 100 * misled.after, options.trials)
    change = misled.change

    height, width = original.shape[:2]
    save(altered(original, enlarged(change, height, width)), options.output)
    protected = load_portrait(options.output, limit=WORKING_SIDE)
    noise = np.random.default_rng(1).choice([-options.strength, options.strength], photo.shape).astype(np.float32)
    versions = {
        "protected": protected,
        "protected, JPEG 80": jpeg(protected, 80),
        "unprotected, JPEG 80": jpeg(photo, 80),
        "plain noise of the same strength": altered(photo, noise),
    }
    lines, rows = measured(animators, photo, versions)
    magnified = altered(np.full_like(photo, 128), change * 10)
    save(sheet([("the photo; protected; the change, ten times over", (photo, protected, magnified)), *rows]), sheet_path)
    verdicts = [verdict(name, lines) for name in animators]
    if options.json:
        print(json.dumps(as_json(options, lines, verdicts, sheet_path), indent=2))
    else:
        print_report(options, lines, verdicts, sheet_path)
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
    from livepuppet.interfaces import Tuning
    from livepuppet.opening import open_engine

    engine = open_engine("landmark")
    motions = [motion for motion in map(engine.observe, performance()) if motion is not None]

    def animate(photo: Image) -> list[Image]:
        try:
            avatar = engine.prepare(photo)
        except NoFaceError:
            return [np.zeros_like(photo)] * len(motions)
        return [engine.render(avatar, engine.transfer(avatar, motions[0], motion, Tuning()), Tuning()) for motion in motions]

    return animate


def model_attack(options: argparse.Namespace, photo: Image) -> Any:
    """The attack on the checkpoint. Raises UsageError without torch, ModelError, NoFaceError."""
    from livepuppet.face import box, cut, find_faces, window_round

    try:
        import torch
    except ModuleNotFoundError as error:
        raise UsageError("--checkpoint needs PyTorch: pip install 'livepuppet[torch]'") from error
    from livepuppet.networks import checkpoint
    from livepuppet.networks.disturbance import Attack

    if options.device.partition(":")[0] == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: PyTorch finds no such device here; leave it out to use the CPU")
    model = checkpoint.load(options.checkpoint, configuration=checkpoint.read_configuration(options.config) if options.config else None)

    def window(image: Image) -> tuple[int, int, int]:
        faces = find_faces(image)
        if not faces:
            raise NoFaceError(f"no face found in {options.photo}: there is nothing to protect from animation")
        return window_round(*box(faces[0]), MODEL_MARGIN)

    driving = [cut(image, window(image), model.configuration.size) for image in performance()]
    return Attack(model, photo, window(photo), driving, options.device)


def performance() -> list[Image]:
    """Frames of the shipped performance, the reference first."""
    from livepuppet.film import Film
    from livepuppet.portraits import ASSETS

    film = Film(ASSETS / "performance.mp4")
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


def save(image: Image, path: Path) -> None:
    """Without the original's metadata: no place, no date, no camera. Raises UsageError."""
    from PIL import Image as Pictures

    try:
        Pictures.fromarray(image).save(path, **FORMATS[path.suffix.lower()])
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error


def measured(animators: dict[str, Animate], photo: Image, versions: dict[str, Image]) -> tuple[list[Line], list[tuple[str, list[Image]]]]:
    """Every animator's animation of every version held against that of the original, and the frames of the first of them to look at."""
    lines: list[Line] = []
    rows: list[tuple[str, list[Image]]] = []
    for name, animate in animators.items():
        plain = animate(photo)
        rows.append((f"{name}: animation of the original", plain))
        for version, picture in versions.items():
            frames = animate(picture)
            lines.append(Line(name, version, departure(plain, frames)))
            if version == "protected":
                rows.append((f"{name}: animation of the protected photo", frames))
    return lines, rows


def verdict(animator: str, lines: list[Line]) -> str:
    """One honest sentence per animator."""
    found = {line.version: line.found for line in lines if line.animator == animator}
    if not found["protected"].disturbed:
        return f"{animator}: NOT stopped. It animates the protected photo about as well as the original."
    if not found["protected, JPEG 80"].disturbed:
        return f"{animator}: disturbed, but no longer after the photo is saved as JPEG 80."
    return f"{animator}: disturbed, also after JPEG 80."


LIMITS = (
    "Not stopped by this, and not measured: programs made otherwise (diffusion models, 3D methods), blurred, denoised or strongly scaled "
    "copies, other photos of the person. What protects best is who gets to see a photo."
)


def print_report(options: argparse.Namespace, lines: list[Line], verdicts: list[str], sheet_path: Path) -> None:
    print(f"{options.output}: no pixel changed by more than {options.strength:g} of 255. Before and after: {sheet_path}\n")
    print(f"{'how far the animation departs':<52}{'L1':>7}{'SSIM':>8}{'AKD':>9}{'no face':>9}")
    for line in lines:
        found = line.found
        akd = "-" if math.isnan(found.akd) else f"{100 * found.akd:.2f} %"
        print(f"{line.animator + ', ' + line.version:<52}{found.l1:>7.2f}{found.ssim:>8.3f}{akd:>9}{found.lost:>9.0%}")
    print("L1 in levels of 255; SSIM 1 = alike; AKD: distance of the face's points, of the face's width\n")
    print("\n".join(verdicts))
    print(LIMITS)


def as_json(options: argparse.Namespace, lines: list[Line], verdicts: list[str], sheet_path: Path) -> dict[str, Any]:
    return {
        "photo": str(options.photo),
        "output": str(options.output),
        "strength": options.strength,
        "sheet": str(sheet_path),
        "departures": [
            {
                "animator": line.animator,
                "version": line.version,
                **{key: None if math.isnan(value) else round(value, 5) for key, value in asdict(line.found).items()},
                "disturbed": line.found.disturbed,
            }
            for line in lines
        ],
        "verdicts": verdicts,
        "limits": LIMITS,
    }

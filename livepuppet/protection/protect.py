"""`livepuppet.protect`: a small change to a photo that makes it harder to animate, and a report on how far that goes."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livepuppet.errors import MissingPartError, NoFaceError, UsageError
from livepuppet.factory import open_engine
from livepuppet.files import is_same_file, refuse_existing, refuse_overwriting, write_atomically
from livepuppet.protection.departure import measure_departure
from livepuppet.protection.landmarks import apply_change, enlarge_face, mislead
from livepuppet.protection.report import AFTER_JPEG, PROTECTED, ProtectionReport, ReportLine
from livepuppet.protection.sheet import comparison_sheet
from livepuppet.types import Image, Tuning
from livepuppet.video.reader import VideoReader
from livepuppet.vision.face_landmarks import find_faces
from livepuppet.vision.portrait import ASSETS, load_alpha, load_portrait
from livepuppet.vision.windows import bounding_box, cut_window, window_round

WORKING_SIDE = 768
"""Long side in pixels at which the change is searched for; animators look at 256 pixels of face."""
DRIVING_FRAMES = 6
MODEL_MARGIN = 1.9
"""Side of what the model is shown, in sizes of the face."""
FULL_COLOUR = {"quality": 97, "subsampling": 0}
FORMATS: dict[str, dict[str, Any]] = {".png": {}, ".jpg": FULL_COLOUR, ".jpeg": FULL_COLOUR, ".webp": {"lossless": True}}

log = logging.getLogger("livepuppet.protect")

Animate = Callable[[Image], "list[Image]"]
"""A photo -> the frames of its animation."""


def protect(
    photo: str | Path,
    output: str | Path,
    *,
    strength: float = 4.0,
    model: str | None = None,
    checkpoint: str | Path | None = None,
    config: str | Path | None = None,
    steps: int = 40,
    trials: int = 300,
    device: str = "cpu",
    sheet: str | Path | None = None,
    overwrite: bool = False,
) -> ProtectionReport:
    """Change a photo a little so that it is harder to animate, and measure honestly how far that goes.

    Args:
        photo: a picture file with a face; it is read, never written.
        output: .png (keeps every level), .jpg or .webp. Transparency is kept where the format has it.
        strength: the most that any pixel may change, in levels of 255 (1 … 32).
        model: the installed model to work against, 'none' for none; None takes the first installed one.
        checkpoint, config: a checkpoint to work against instead, and its configuration.
        steps: of the search against the model.
        trials: of the search against the face landmarks.
        device: where PyTorch computes.
        sheet: where the before/after sheet goes; None puts it beside the output.
        overwrite: whether output and sheet may take the place of files that are there.

    Raises:
        UsageError: an output that cannot be, or that is the photo itself.
        OutputExistsError: output or sheet is there already, and may not be overwritten.
        NoFaceError: nobody is in the photo.
        MissingPartError: a model is asked for, and PyTorch is not installed.
    """
    photo, output = Path(photo), Path(output)
    sheet_path = default_sheet(output) if sheet is None else Path(sheet)
    check_outputs(photo, output, sheet_path)
    refuse_existing([("output", output), ("sheet", sheet_path)], overwrite=overwrite)
    original, alpha = load_portrait(photo, limit=None), load_alpha(photo)
    working = load_portrait(photo, limit=WORKING_SIDE)
    if not find_faces(working):
        raise NoFaceError(f"no face found in {photo}: there is nothing to protect from animation")
    animators: dict[str, Animate] = {"landmark engine": landmark_animator()}
    change = np.zeros(working.shape, np.float32)
    attack = model_attack(photo, working, model=model, checkpoint=checkpoint, config=config, device=device)
    if attack is not None:
        name, fomm = attack
        animators[f"FOMM ({name})"] = fomm.animate
        change = fomm.perturb(strength, steps, progress=report_step(steps))
    misled = mislead(working, change, strength, trials)
    log.info("landmarks: moved by %.2f %% of the face's width after %d trials", 100 * misled.after, trials)
    change = misled.change

    height, width = original.shape[:2]
    write_photo(apply_change(original, enlarge_face(change, height, width)), output, alpha)
    protected = load_portrait(output, limit=WORKING_SIDE)
    noise = np.random.default_rng(1).choice([-strength, strength], working.shape).astype(np.float32)
    versions = {
        PROTECTED: protected,
        AFTER_JPEG: jpeg_copy(protected, 80),
        "unprotected, JPEG 80": jpeg_copy(working, 80),
        "plain noise of the same strength": apply_change(working, noise),
    }
    lines, rows = compare_animations(animators, working, versions)
    magnified = apply_change(np.full_like(working, 128), change * 10)
    compared = ("the photo; protected; the change, ten times over", (working, protected, magnified))
    write_photo(comparison_sheet([compared, *rows]), sheet_path)
    largest = int(np.abs(load_portrait(output, limit=None).astype(int) - original).max())
    return ProtectionReport(photo, output, sheet_path, strength, largest, tuple(lines))


def default_sheet(output: Path) -> Path:
    """Where the before/after sheet goes unless it is said: beside the protected photo."""
    return output.with_name(output.stem + "-report.png")


def check_outputs(photo: Path, output: Path, sheet_path: Path) -> None:
    """Raises UsageError before any work is done."""
    for path in (output, sheet_path):
        if path.suffix.lower() not in FORMATS:
            raise UsageError(f"cannot write {path}: give a name ending in {', '.join(FORMATS)}")
        if not path.absolute().parent.is_dir():
            raise UsageError(f"cannot write {path}: there is not a folder {path.absolute().parent}")
        if is_same_file(path, photo):
            raise UsageError(f"{path} is the photo itself: name another file, and keep the original to yourself")
    refuse_overwriting([photo], [("output", output), ("sheet", sheet_path)])


def landmark_animator() -> Animate:
    """The landmark engine, moved by the shipped performance."""
    engine = open_engine("landmark")
    motions = [motion for motion in map(engine.observe, performance()) if motion is not None]

    def animate(photo: Image) -> list[Image]:
        try:
            avatar = engine.prepare(photo)
        except NoFaceError:
            return [np.zeros_like(photo)] * len(motions)
        return [engine.render(avatar, engine.transfer(avatar, motions[0], motion, Tuning()), Tuning()) for motion in motions]

    return animate


def model_attack(
    path: Path, photo: Image, *, model: str | None, checkpoint: str | Path | None, config: str | Path | None, device: str
) -> tuple[str, Any] | None:
    """The attack on the model that was asked for, or on the first installed one, with its name; None, saying why, where there is none.

    Raises:
        MissingPartError: without PyTorch.
        ModelError, NoFaceError: its message says what is wrong.
    """
    from livepuppet.engines.fomm import model_store

    directory = None
    if checkpoint is None and model != "none":
        directory = model_store.find_model(model) if model else next(iter(model_store.installed_models()), None)
    if checkpoint is None and directory is None:
        log.info("working against the face landmarks alone, not against a First Order Motion Model")
        return None
    try:
        import onnx  # noqa: F401
        import torch
    except ModuleNotFoundError as error:
        if checkpoint is None and model is None:
            log.info("working against the face landmarks alone: a model's gradients need pip install 'livepuppet[torch]'")
            return None
        raise MissingPartError(
            "working against a model needs PyTorch: pip install 'livepuppet[torch]', or take the model 'none'", parameter="model"
        ) from error
    from livepuppet.engines.fomm.networks.checkpoint import load_checkpoint, load_configuration
    from livepuppet.protection.disturbance import Attack, AttackTarget, InstalledTarget, NetworkTarget

    if device.partition(":")[0] == "cuda" and not torch.cuda.is_available():
        raise UsageError("PyTorch finds no CUDA device here: take the CPU", parameter="device")
    computing = torch.device(device)
    victim: AttackTarget
    if directory is not None:
        name, victim = directory.manifest.name, InstalledTarget(directory, computing)
    else:
        assert checkpoint is not None
        configuration = load_configuration(Path(config)) if config else None
        name = Path(checkpoint).name
        victim = NetworkTarget(load_checkpoint(Path(checkpoint), configuration=configuration), computing)

    def window(image: Image) -> tuple[int, int, int]:
        faces = find_faces(image)
        if not faces:
            raise NoFaceError(f"no face found in {path}: there is nothing to protect from animation")
        return window_round(*bounding_box(faces[0]), MODEL_MARGIN)

    driving = [cut_window(image, window(image), victim.size) for image in performance()]
    return name, Attack(victim, photo, window(photo), driving, computing)


def performance() -> list[Image]:
    """Frames of the shipped performance, the reference first."""
    video = VideoReader(ASSETS / "performance.mp4")
    try:
        frames = []
        while (image := video.read()) is not None:
            frames.append(image.image)
    finally:
        video.close()
    return [frames[number * (len(frames) - 1) // DRIVING_FRAMES] for number in range(DRIVING_FRAMES)]


def report_step(steps: int) -> Callable[[int, float], None]:
    def say(step: int, value: float) -> None:
        if step % max(1, steps // 5) == 0:
            log.info("model: step %d of %d, departure %.4f", step, steps, value)

    return say


def jpeg_copy(image: Image, quality: int) -> Image:
    from PIL import Image as PILImage

    buffer = io.BytesIO()
    PILImage.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.array(PILImage.open(buffer).convert("RGB"))


def write_photo(image: Image, path: Path, alpha: NDArray[np.uint8] | None = None) -> None:
    """Without the original's metadata: no place, no date, no camera.

    Args:
        alpha: (H, W), kept where the format has it.

    Raises:
        RunError: it cannot be written.
    """
    from PIL import Image as PILImage

    if alpha is not None and path.suffix.lower() in (".jpg", ".jpeg"):
        log.warning("%s: JPEG has no transparency, grey shows there (choose .png or .webp)", path)
        alpha = None
    kind = PILImage.registered_extensions()[path.suffix.lower()]
    picture = PILImage.fromarray(image if alpha is None else np.dstack([image, alpha]))
    write_atomically(path, lambda file: picture.save(file, kind, **FORMATS[path.suffix.lower()]))


def compare_animations(
    animators: dict[str, Animate], photo: Image, versions: dict[str, Image]
) -> tuple[list[ReportLine], list[tuple[str, list[Image]]]]:
    """Every animator's animation of every version held against that of the original, and the frames of the first of them to look at."""
    lines: list[ReportLine] = []
    rows: list[tuple[str, list[Image]]] = []
    for name, animate in animators.items():
        plain = animate(photo)
        rows.append((f"{name}: animation of the original", plain))
        for version, image in versions.items():
            frames = animate(image)
            lines.append(ReportLine(name, version, measure_departure(plain, frames)))
            if version == PROTECTED:
                rows.append((f"{name}: animation of the protected photo", frames))
    return lines, rows

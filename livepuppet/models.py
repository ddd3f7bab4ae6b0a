"""Neural models from Python: import checkpoints, list, check, fetch and remove models. `livepuppet models` does the same."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from livepuppet.engines.fomm import model_store
from livepuppet.engines.fomm.model_store import CropKind, ModelDirectory
from livepuppet.errors import MissingPartError, ModelError, UsageError
from livepuppet.types import Image

WHOLE_PICTURE = ("taichi", "fashion", "mgif", "bair")
"""Published models of bodies, animals and things: they are shown the whole picture, not a face."""

KNOWN_MD5 = {
    "8a45a24037871c045fbb8a6a8aa95ebc": "vox-adv-cpk.pth.tar as avatarify distributes it (228 MB)",
}
EXPECTED_MD5 = {"vox-adv-cpk.pth.tar": "8a45a24037871c045fbb8a6a8aa95ebc"}

ModelFormat: TypeAlias = Literal["onnx", "torchscript"]

log = logging.getLogger("livepuppet.models")


@dataclass(frozen=True)
class ImportedModel:
    """A checkpoint that became a model.

    Attributes:
        name: what `open_puppet(..., engine="fomm", model=name)` and `--model` take.
        directory: where it lies.
        card: what is known of it and how it compares with PyTorch, in Markdown.
    """

    name: str
    directory: ModelDirectory
    card: str


def import_checkpoint(
    path: str | Path,
    *,
    name: str | None = None,
    config: str | Path | None = None,
    formats: Sequence[ModelFormat] = ("onnx",),
    half: bool = False,
    crop: CropKind | None = None,
    margin: float = 1.9,
    align_corners: bool = True,
    target: Literal["auto", "cpu", "gpu"] = "auto",
    int8: str | Path | None = None,
    licence: str = "",
    about: str = "",
    experimental: str = "",
    replace: bool = False,
) -> ImportedModel:
    """Make a model of a First Order Motion Model's checkpoint, and compare what was exported with PyTorch. Runs no code in it.

    Args:
        path: *.pth.tar as the original project writes it.
        name: the model's name, None takes the file's.
        config: its YAML, None infers it from the weights.
        formats: 'onnx', 'torchscript'.
        half: store weights in half precision.
        crop: whether the engine shows it the 'face' or the whole picture ('none'); None decides by the name.
        margin: side of the face crop, in face sizes.
        align_corners: how it was trained to sample; the published checkpoints: True.
        target: shape the ONNX graphs for this.
        int8: a video to calibrate an int8 form on, None for none.
        licence, about, experimental: for the card; the last marks the model as experimental, and says why.
        replace: take the place of a model of the same name.

    Raises:
        MissingPartError: PyTorch is not installed.
        UsageError: an argument that makes no sense, or a name that is taken.
        ModelError: the file is no such checkpoint, or is damaged.
    """
    path = Path(path)
    try:
        from livepuppet.engines.fomm.export import exporter
        from livepuppet.engines.fomm.networks import checkpoint
    except ModuleNotFoundError as error:
        raise MissingPartError(f"importing needs the package {error.name}: pip install 'livepuppet[torch]'") from error
    if unknown := sorted(set(formats) - {"onnx", "torchscript"}):
        raise UsageError(f"no format named {unknown[0]}: choose onnx, torchscript or both", parameter="format")
    name = name or default_name(path)
    model_store.check_model_name(name, replace=replace)  # before minutes of work
    if not path.is_file():
        raise ModelError(f"no checkpoint at {path}")
    if int8 is not None and not Path(int8).is_file():
        raise UsageError(f"no such video: {int8}", parameter="int8")
    configuration = None if config is None else checkpoint.load_configuration(Path(config))
    log.info("reading %s", path)
    model = checkpoint.load_checkpoint(path, configuration=configuration, align_corners=align_corners)
    provenance = exporter.file_digests(path)
    recognise(path.name, provenance["md5"])
    if config is None:
        log.info("configuration inferred: images of %d pixels, temperature %g", model.configuration.size, model.configuration.temperature)
    whole = any(word in name.lower() for word in WHOLE_PICTURE)
    kind: CropKind = crop or ("none" if whole else "face")
    log.info("exporting %s, and comparing with PyTorch", " and ".join(formats))
    exported = exporter.export_model(
        model,
        name,
        formats=formats,
        half=half,
        target=choose_target(target),
        crop=kind,
        margin=margin,
        provenance=provenance,
        licence=licence,
        about=about,
        experimental=experimental,
        replace=replace,
        calibration=calibration_images(Path(int8), model.configuration.size, kind, margin) if int8 else (),
    )
    card = (exported.directory.path / exporter.CARD).read_text(encoding="utf-8")
    return ImportedModel(name, exported.directory, card)


def installed() -> list[ModelDirectory]:
    """All models that can be named: the user's own, then those that come with livepuppet."""
    return model_store.installed_models()


def check(name: str) -> dict[str, str]:
    """Compare every file of a model with its hash, then load it and run one frame on the CPU.

    Returns:
        Form of the model ('onnx', …) -> the device that it ran on.

    Raises:
        UsageError: no model of that name.
        ModelError: a file is damaged, or the model computes NaN.
    """
    import numpy as np

    from livepuppet.engines.fomm.runtime.loading import load_runtime

    model = model_store.find_model(name)
    size = model.manifest.size
    image = np.linspace(0, 255, size * size * 3).reshape(size, size, 3).astype(np.uint8)
    ran = {}
    for kind in model.manifest.graphs:
        runtime = load_runtime(model, kind, "cpu")
        try:
            prepared = runtime.prepare(image)
            output = runtime.render(prepared, *runtime.detect(image))
            ran[kind] = runtime.device
        finally:
            runtime.close()
        if not output.finite or not np.isfinite(prepared.value).all():
            raise ModelError(f"{model.path}: its {kind} form computes NaN: import the model again")
    return ran


def pull(name: str, address: str, sha256: str) -> ModelDirectory:
    """Fetch a zipped model directory, check its hash, and install it under a name.

    Raises:
        UsageError, ModelError: its message says what is wrong.
    """
    return model_store.pull_model(address, sha256.lower(), name)


def remove(name: str) -> Path:
    """Delete one of the user's own models; returns where it was.

    Raises:
        UsageError: for any other.
    """
    return model_store.remove_model(name)


def calibration_images(path: Path, size: int, crop: CropKind, margin: float, count: int = 16) -> list[Image]:
    """Images of a video as the model will be shown them.

    Raises:
        UsageError: where there are too few.
    """
    from livepuppet.engines.fomm.crop import face_crop, whole_crop
    from livepuppet.video.reader import VideoReader
    from livepuppet.vision.face_landmarks import FaceTracker

    found: list[Image] = []
    video, tracker = VideoReader(path), FaceTracker()
    try:
        step = max(1, (video.frame_count or video.count_packets()) // count)
        for index, frame in enumerate(video):
            if len(found) == count:
                break
            if index % step == 0:
                landmarks = tracker.track(frame.image) if crop == "face" else None
                if crop == "none":
                    found.append(whole_crop(frame.image).cut(frame.image, size))
                elif landmarks is not None:
                    found.append(face_crop(landmarks, margin).cut(frame.image, size))
    finally:
        video.close()
        tracker.close()
    if len(found) < 4:
        raise UsageError(f"{path}: {len(found)} images to calibrate on, 4 are needed: choose a video of what the model moves")
    return found


def default_name(path: Path) -> str:
    """'vox-adv' for vox-adv-cpk.pth.tar."""
    stem = re.sub(r"(\.(pth|pt|tar|ckpt|zip))+$", "", path.name, flags=re.IGNORECASE)
    stem = re.sub(r"[-_]cpk$", "", stem)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.") or "model"


def choose_target(asked: Literal["auto", "cpu", "gpu"]) -> Literal["cpu", "gpu"]:
    """What the ONNX graphs are shaped for: with 'auto', a GPU where NVIDIA's driver is installed."""
    if asked != "auto":
        return asked
    from livepuppet.engines.fomm.runtime.providers import nvidia_driver

    return "gpu" if nvidia_driver() else "cpu"


def recognise(name: str, md5: str) -> None:
    """Say so where the file is one that is well known, or only has its name."""
    if md5 in KNOWN_MD5:
        log.info("this is %s", KNOWN_MD5[md5])
    elif name in EXPECTED_MD5:
        log.warning("%s usually has the md5 %s, this one has %s: another version, or not what it says", name, EXPECTED_MD5[name], md5)

"""`livepuppet models`: neural models: import checkpoints, list, check, fetch and remove them."""

from __future__ import annotations

import argparse
import logging
import re
from pathlib import Path
from typing import Literal, get_args

from livepuppet.engines.fomm import model_store as artifacts
from livepuppet.errors import MissingPartError, UsageError
from livepuppet.types import Image

SUMMARY = "Import First Order Motion Model checkpoints, and list, check, fetch or remove neural models."
EPILOG = """\
examples:
  livepuppet models import vox-adv-cpk.pth.tar --config vox-adv-256.yaml --half
  livepuppet models list
  livepuppet --engine fomm --model vox-adv
  livepuppet models verify vox-adv

Checkpoints are those of https://github.com/AliaksandrSiarohin/first-order-model, or trained with it. They carry the
terms of those who trained them. Importing needs PyTorch: pip install 'livepuppet[torch]'.
"""

FACE_MODEL = "face-landmarker"
WHOLE_PICTURE = ("taichi", "fashion", "mgif", "bair")
"""Published models of bodies, animals and things: they are shown the whole picture, not a face."""

KNOWN_MD5 = {
    "8a45a24037871c045fbb8a6a8aa95ebc": "vox-adv-cpk.pth.tar as avatarify distributes it (228 MB)",
}
EXPECTED_MD5 = {"vox-adv-cpk.pth.tar": "8a45a24037871c045fbb8a6a8aa95ebc"}

log = logging.getLogger("livepuppet.models")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="what there is, and where it comes from")
    actions.add_parser("where", help="the folders in which models lie")

    importing = actions.add_parser("import", help="make a model of a checkpoint (*.pth.tar)")
    importing.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a checkpoint of the original project, not unpacked")
    importing.add_argument("--config", type=Path, metavar="YAML", help="its configuration (default: inferred from the checkpoint)")
    importing.add_argument("--name", metavar="N", help="the model's name (default: from the file's)")
    importing.add_argument("--format", default="onnx", metavar="F", help="onnx, torchscript, or both with a comma (default: onnx)")
    importing.add_argument("--half", action="store_true", help="store weights in half precision: half the size, a hardly visible change")
    importing.add_argument("--crop", choices=get_args(artifacts.CropKind), help="show it the face, or none: the whole picture")
    importing.add_argument("--margin", type=float, default=1.9, metavar="M", help="side of the face crop in face sizes (default: 1.9)")
    importing.add_argument(
        "--align-corners",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="how it was trained to read pictures (default: as the published ones, --align-corners)",
    )
    importing.add_argument("--for", dest="target", choices=("auto", "cpu", "gpu"), default="auto", help="shape the ONNX graphs for this")
    importing.add_argument("--int8", type=Path, metavar="CLIP", help="also an int8 form for CPUs, calibrated on a video (NAME@onnx-int8)")
    importing.add_argument("--licence", default="", metavar="TEXT", help="the terms of the weights, for the card")
    importing.add_argument("--about", type=Path, metavar="FILE", help="text for the card: training data, limits")
    importing.add_argument("--experimental", default="", metavar="WHY", help="mark the model as experimental, with one sentence why")
    importing.add_argument("--replace", action="store_true", help="take the place of a model of the same name")

    verify = actions.add_parser("verify", help="check every file of a model, load it and run it once")
    verify.add_argument("name", metavar="NAME", help="a model's name or directory")

    pull = actions.add_parser("pull", help="fetch a model: a zipped model directory by https, with its sha256")
    pull.add_argument("name", metavar="NAME", help=f"'{FACE_MODEL}' (needed on Python 3.13 and later), or a name to give it, with --from")
    pull.add_argument("--from", dest="address", metavar="URL", help="where the zip file is")
    pull.add_argument("--sha256", metavar="HEX", help="its sha256, from a place you trust")

    remove = actions.add_parser("remove", help="delete one of your models")
    remove.add_argument("name", metavar="NAME")


def run(options: argparse.Namespace) -> int:
    actions = {
        "list": print_models,
        "where": where,
        "import": import_checkpoint,
        "verify": verify_command,
        "pull": pull_command,
        "remove": remove_command,
    }
    return actions[options.action](options)


def print_models(options: argparse.Namespace) -> int:
    models = artifacts.installed_models()
    if not models:
        print("no models: import one with 'livepuppet models import CHECKPOINT'")
        return 0
    rows = [("NAME", "SIZE", "KEYPOINTS", "CROP", "FORMS", "MB", "FROM")]
    for model in models:
        m = model.manifest
        origin = "livepuppet" if model.path.is_relative_to(artifacts.shipped_models_folder()) else m.provenance.get("checkpoint", "-")
        megabytes = f"{sum(entry.bytes for entry in m.files.values()) / 1e6:.1f}"
        rows.append((model.path.name, str(m.size), str(m.keypoints), m.crop, ",".join(m.graphs), megabytes, origin))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for model in models:
        if model.manifest.experimental:
            print(f"\n{model.path.name} is experimental: {model.manifest.experimental}")
    return 0


def where(options: argparse.Namespace) -> int:
    print(f"yours:    {artifacts.models_folder()}")
    print(f"shipped:  {artifacts.shipped_models_folder()}")
    return 0


def verify_command(options: argparse.Namespace) -> int:
    """Files first, then one frame on the CPU: a model that computes nonsense is not all right."""
    import numpy as np

    from livepuppet.engines.fomm.runtime.loading import load_runtime
    from livepuppet.errors import ModelError

    model = artifacts.find_model(options.name)
    size = model.manifest.size
    picture = np.linspace(0, 255, size * size * 3).reshape(size, size, 3).astype(np.uint8)
    for kind in model.manifest.graphs:
        graphs = load_runtime(model, kind, "cpu")
        try:
            prepared = graphs.prepare(picture)
            rendered = graphs.render(prepared, *graphs.detect(picture))
        finally:
            graphs.close()
        if not rendered.finite or not np.isfinite(prepared.value).all():
            raise ModelError(f"{model.path}: its {kind} form computes what is no number: import the model again")
        print(f"{kind}: loads and runs ({graphs.device})")
    print(f"{model.path}: all {len(model.manifest.files)} files are as they were made")
    return 0


def pull_command(options: argparse.Namespace) -> int:
    if options.name == FACE_MODEL:
        from livepuppet.vision.face_landmarks import face_model

        print(face_model())
        return 0
    if not options.address or not options.sha256:
        raise UsageError(f"pull fetches '{FACE_MODEL}', or any model with --from URL --sha256 HEX")
    model = artifacts.pull_model(options.address, options.sha256.lower(), options.name)
    print(f"{model.path}: fetched and verified")
    return 0


def remove_command(options: argparse.Namespace) -> int:
    print(f"removed {artifacts.remove_model(options.name)}")
    return 0


def import_checkpoint(options: argparse.Namespace) -> int:
    try:
        from livepuppet.engines.fomm.export import exporter as export
        from livepuppet.engines.fomm.networks import checkpoint
    except ModuleNotFoundError as error:
        raise MissingPartError(f"importing needs the package {error.name}: pip install 'livepuppet[torch]'") from error
    name = options.name or default_name(options.checkpoint)
    formats = [word.strip() for word in options.format.split(",")]
    if unknown := [word for word in formats if word not in get_args(export.Format)]:
        raise UsageError(f"--format {unknown[0]}: choose onnx, torchscript or onnx,torchscript")
    configuration = checkpoint.load_configuration(options.config) if options.config else None
    log.info("reading %s", options.checkpoint)
    model = checkpoint.load_checkpoint(options.checkpoint, configuration=configuration, align_corners=options.align_corners)
    provenance = export.file_digests(options.checkpoint)
    recognise(options.checkpoint.name, provenance["md5"])
    if options.config is None:
        log.info("configuration inferred: pictures of %d pixels, temperature %g", model.configuration.size, model.configuration.temperature)
    whole = any(word in name.lower() for word in WHOLE_PICTURE)
    crop: artifacts.CropKind = options.crop or ("none" if whole else "face")
    about = read_text(options.about) if options.about else ""
    log.info("exporting %s, and comparing with PyTorch", " and ".join(formats))
    exported = export.export_model(
        model,
        name,
        formats=formats,
        half=options.half,
        target=target(options.target),
        crop=crop,
        margin=options.margin,
        provenance=provenance,
        licence=options.licence,
        about=about,
        experimental=options.experimental,
        replace=options.replace,
        calibration=calibration(options.int8, model.configuration.size, crop, options.margin) if options.int8 else (),
    )
    print((exported.directory.path / export.CARD).read_text(encoding="utf-8"))
    print(f"use it with: livepuppet --engine fomm --model {name}")
    return 0


def calibration(path: Path, size: int, crop: artifacts.CropKind, margin: float, count: int = 16) -> list[Image]:
    """Pictures of a video as the model will be shown them. Raises UsageError where there are too few."""
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
        raise UsageError(f"{path}: {len(found)} pictures to calibrate on, 4 are needed: choose a video of what the model moves")
    return found


def read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: it should be a text file") from error


def default_name(path: Path) -> str:
    """'vox-adv' for vox-adv-cpk.pth.tar."""
    stem = re.sub(r"(\.(pth|pt|tar|ckpt|zip))+$", "", path.name, flags=re.IGNORECASE)
    stem = re.sub(r"[-_]cpk$", "", stem)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.") or "model"


def target(asked: str) -> Literal["cpu", "gpu"]:
    if asked != "auto":
        return "gpu" if asked == "gpu" else "cpu"
    from livepuppet.engines.fomm.runtime.providers import nvidia_driver

    return "gpu" if nvidia_driver() else "cpu"


def recognise(name: str, md5: str) -> None:
    if md5 in KNOWN_MD5:
        log.info("this is %s", KNOWN_MD5[md5])
    elif name in EXPECTED_MD5:
        log.warning("%s usually has the md5 %s, this one has %s: another version, or not what it says", name, EXPECTED_MD5[name], md5)

"""`livepuppet models`: neural models: import checkpoints, list, check, fetch and remove them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from livepuppet import models
from livepuppet.engines.fomm import model_store
from livepuppet.errors import UsageError

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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="what there is, and where it comes from")
    actions.add_parser("where", help="the folders where models are kept")

    importing = actions.add_parser("import", help="turn a checkpoint into a model (*.pth.tar)")
    importing.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a checkpoint of the original project, not unpacked")
    importing.add_argument("--config", type=Path, metavar="YAML", help="its configuration (default: inferred from the checkpoint)")
    importing.add_argument("--name", metavar="N", help="the model's name (default: from the file's)")
    importing.add_argument("--format", default="onnx", metavar="F", help="onnx, torchscript, or both with a comma (default: onnx)")
    importing.add_argument("--half", action="store_true", help="store weights in half precision: half the size, a hardly visible change")
    importing.add_argument("--crop", choices=get_args(model_store.CropKind), help="show it the face, or none: the whole picture")
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
        "import": import_command,
        "verify": verify_command,
        "pull": pull_command,
        "remove": remove_command,
    }
    return actions[options.action](options)


def print_models(options: argparse.Namespace) -> int:
    found = models.installed()
    if not found:
        print("no models: import one with 'livepuppet models import CHECKPOINT'")
        return 0
    rows = [("NAME", "SIZE", "KEYPOINTS", "CROP", "FORMS", "MB", "FROM")]
    for model in found:
        m = model.manifest
        origin = "livepuppet" if model.path.is_relative_to(model_store.shipped_models_folder()) else m.provenance.get("checkpoint", "-")
        megabytes = f"{sum(entry.bytes for entry in m.files.values()) / 1e6:.1f}"
        rows.append((model.path.name, str(m.size), str(m.keypoints), m.crop, ",".join(m.graphs), megabytes, origin))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for model in found:
        if model.manifest.experimental:
            print(f"\n{model.path.name} is experimental: {model.manifest.experimental}")
    return 0


def where(options: argparse.Namespace) -> int:
    print(f"yours:    {model_store.models_folder()}")
    print(f"shipped:  {model_store.shipped_models_folder()}")
    return 0


def verify_command(options: argparse.Namespace) -> int:
    for kind, device in models.check(options.name).items():
        print(f"{kind}: loads and runs ({device})")
    model = model_store.find_model(options.name)
    print(f"{model.path}: all {len(model.manifest.files)} files are as they were made")
    return 0


def pull_command(options: argparse.Namespace) -> int:
    if options.name == FACE_MODEL:
        from livepuppet.vision.mediapipe_models import face_model

        print(face_model())
        return 0
    if not options.address or not options.sha256:
        raise UsageError(f"pull fetches '{FACE_MODEL}', or any model with --from URL --sha256 HEX")
    print(f"{models.pull(options.name, options.address, options.sha256).path}: fetched and verified")
    return 0


def remove_command(options: argparse.Namespace) -> int:
    print(f"removed {models.remove(options.name)}")
    return 0


def import_command(options: argparse.Namespace) -> int:
    imported = models.import_checkpoint(
        options.checkpoint,
        name=options.name,
        config=options.config,
        formats=tuple(dict.fromkeys(part.strip() for part in options.format.split(","))),
        half=options.half,
        crop=options.crop,
        margin=options.margin,
        align_corners=options.align_corners,
        target=options.target,
        int8=options.int8,
        licence=options.licence,
        about=read_text(options.about) if options.about else "",
        experimental=options.experimental,
        replace=options.replace,
    )
    print(imported.card)
    print(f"use it with: livepuppet --engine fomm --model {imported.name}")
    return 0


def read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: it should be a text file") from error

"""`livepuppet protect PHOTO --output OUT`: a small change to a photo that makes it harder to animate, and a report on how far that goes."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from livepuppet.cli.options import add_overwrite_argument, confirm_overwriting, number_between, positive_int

SUMMARY = "Make a photo harder to animate, and report honestly how far that goes."
EPILOG = """
How much it helps depends on who animates. The change is made against the installed First Order Motion
Model (which needs pip install 'livepuppet[torch]') and MediaPipe's face landmarks, and the report says
how each took it. It does not stop programs made otherwise (diffusion models, 3D methods), a blurred,
denoised or strongly scaled copy of the photo, other photos of the same person, or whoever has the
original.
"""


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
    add_overwrite_argument(parser)
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(options: argparse.Namespace) -> int:
    from livepuppet.protection.protect import check_outputs, default_sheet, protect

    sheet = options.sheet or default_sheet(options.output)
    check_outputs(options.photo, options.output, sheet)
    report = protect(
        options.photo,
        options.output,
        strength=options.strength,
        model=options.model,
        checkpoint=options.checkpoint,
        config=options.config,
        steps=options.steps,
        trials=options.trials,
        device=options.device,
        sheet=sheet,
        overwrite=confirm_overwriting([("output", options.output), ("sheet", sheet)], options.overwrite),
    )
    print(json.dumps(report.as_json(), indent=2) if options.json else report.text())
    return 0

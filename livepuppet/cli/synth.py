"""`livepuppet synth`: renders people who do not exist, with the truth about every pixel."""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path

from livepuppet.errors import MissingPartError, UsageError

SUMMARY = "Render people who do not exist: training clips, avatars, driving performances."
EPILOG = """
examples:
  livepuppet synth --out clips --people 1000 --frames 8          clips with exact flow, visibility and landmarks (.npz)
  livepuppet synth --out avatars --what avatars --people 10      portraits, 1024 x 1024
  livepuppet synth --out acting --what performances --people 1   a driving performance, 10 s at 30 fps
Rendering goes on where it stopped: what is there already is not rendered again.
"""

logger = logging.getLogger("livepuppet.synth")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    parser.add_argument("--what", choices=("clips", "avatars", "performances"), default="clips", help="default: clips")
    parser.add_argument("--people", type=int, default=10, metavar="N", help="how many people, one file each (default: 10)")
    parser.add_argument("--frames", type=int, metavar="M", help="frames per clip (default: 8) or performance (default: 300)")
    parser.add_argument("--size", type=int, metavar="PX", help="side of clips (default: 256) and avatars (default: 1024)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other people (default: 0)")
    parser.add_argument("--first", type=int, default=0, metavar="I", help="number of the first person: several machines can share a series")
    parser.add_argument("--look", help="photo, oil, watercolour, pencil, toon, tint, old, marble; default: drawn for clips, photo else")
    parser.add_argument("--acting", choices=("poses", "talking", "performance"), help="what clips show; default: drawn")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ... (default: cpu)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes that render at the same time (default: 1)")
    parser.add_argument("--geometry", type=Path, metavar="WHEEL", help="the geometry's wheel file; default: the installed package")


def run(options: argparse.Namespace) -> int:
    if options.people < 1 or options.workers < 1:
        raise UsageError("--people and --workers must be at least 1")
    if options.frames is not None and options.frames < 2:
        raise UsageError("--frames must be at least 2: one frame shows no motion")
    if options.size is not None and (options.size % 16 or options.size < 32):
        raise UsageError(f"--size must be a multiple of 16, at least 32: {options.size}")
    try:
        from livepuppet.synthetic.looks import LOOKS
        from livepuppet.synthetic.writing import SynthesisRequest, write_all
    except ModuleNotFoundError as error:
        raise MissingPartError(f"synth needs the package {error.name}: pip install 'livepuppet[train]'") from error
    if options.look is not None and options.look not in LOOKS:
        raise UsageError(f"no look named '{options.look}': choose one of {', '.join(LOOKS)}")
    order = SynthesisRequest(
        what=options.what,
        out=options.out,
        seed=options.seed,
        frames=options.frames or (8 if options.what == "clips" else 300),
        size=options.size or (256 if options.what == "clips" else 1024),
        look=options.look or (None if options.what == "clips" else "photo"),
        acting=options.acting,
        device=options.device,
        geometry=options.geometry,
    )
    start = time.monotonic()
    made, images = write_all(order, range(options.first, options.first + options.people), options.workers)
    say(options, made, images, time.monotonic() - start)
    return 0


def say(options: argparse.Namespace, made: int, images: int, seconds: float) -> None:
    if made:
        rate = images / seconds
        logger.info("%d %s, %d frames in %.0f s (%.2f frames per second) in %s", made, options.what, images, seconds, rate, options.out)
    else:
        logger.info("nothing to do: all %d are in %s already", options.people, options.out)

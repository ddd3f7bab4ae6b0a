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
  livepuppet synth --out demo --what demo --only ada_oil         the ten portraits and the performance that livepuppet ships
Rendering goes on where it stopped: what is there already is not rendered again.
"""

logger = logging.getLogger("livepuppet.synth")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    parser.add_argument("--what", choices=("clips", "avatars", "performances", "demo"), default="clips", help="default: clips")
    parser.add_argument("--only", metavar="NAMES", help="with --what demo: which of the shipped pictures, with commas (default: all)")
    parser.add_argument("--people", type=int, metavar="N", help="how many people, one file each (default: 10)")
    parser.add_argument("--frames", type=int, metavar="M", help="frames per clip (default: 8) or performance (default: 300)")
    parser.add_argument("--size", type=int, metavar="PX", help="side of clips (default: 256) and avatars (default: 1024)")
    parser.add_argument("--seed", type=int, help="another seed, other people (default: 0)")
    parser.add_argument("--first", type=int, metavar="I", help="number of the first person: several machines can share a series")
    parser.add_argument("--look", help="photo, oil, watercolour, pencil, toon, tint, old, marble; default: drawn for clips, photo else")
    parser.add_argument("--acting", choices=("poses", "talking", "performance"), help="what clips show; default: drawn")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ... (default: cpu)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes that render at the same time (default: 1)")
    parser.add_argument("--geometry", type=Path, metavar="WHEEL", help="the geometry's wheel file; default: the installed package")


def run(options: argparse.Namespace) -> int:
    people = 10 if options.people is None else options.people
    if people < 1 or options.workers < 1:
        raise UsageError("--people and --workers must be at least 1")
    if options.frames is not None and options.frames < 2:
        raise UsageError("--frames must be at least 2: one frame shows no motion")
    if options.size is not None and (options.size % 16 or options.size < 32):
        raise UsageError(f"--size must be a multiple of 16, at least 32: {options.size}")
    if options.what == "demo":
        return run_demo(options)
    if options.only is not None:
        raise UsageError("--only belongs to --what demo: clips, avatars and performances are chosen by --first and --people")
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
        seed=options.seed or 0,
        frames=options.frames or (8 if options.what == "clips" else 300),
        size=options.size or (256 if options.what == "clips" else 1024),
        look=options.look or (None if options.what == "clips" else "photo"),
        acting=options.acting,
        device=options.device,
        geometry=options.geometry,
    )
    start = time.monotonic()
    first = options.first or 0
    made, pictures = write_all(order, range(first, first + people), options.workers)
    say(options, people, made, pictures, time.monotonic() - start)
    return 0


def run_demo(options: argparse.Namespace) -> int:
    """The pictures that livepuppet ships: they are who they are, so options that draw other people are refused."""
    for name in ("people", "frames", "seed", "first", "look", "acting"):
        if getattr(options, name) is not None:
            raise UsageError(f"--{name} has no meaning with --what demo, which renders the shipped people (choose some with --only)")
    if options.device != "cpu":
        raise UsageError("--what demo renders on the CPU only")
    try:
        from livepuppet.synthetic.demo.assets import chosen
        from livepuppet.synthetic.demo.writing import write_demo
    except ModuleNotFoundError as error:
        raise MissingPartError(f"synth needs the package {error.name}: pip install 'livepuppet[train]'") from error
    names = chosen(options.only)
    start = time.monotonic()
    made, pictures = write_demo(options.out, names, options.size or 1024, options.workers, options.geometry)
    say(options, len(names), made, pictures, time.monotonic() - start)
    return 0


def say(options: argparse.Namespace, wanted: int, made: int, pictures: int, seconds: float) -> None:
    if made:
        rate, kind = pictures / seconds, "shipped pictures" if options.what == "demo" else options.what
        logger.info("%d %s, %d frames in %.0f s (%.2f frames per second) in %s", made, kind, pictures, seconds, rate, options.out)
    else:
        logger.info("nothing to do: all %d are in %s already", wanted, options.out)

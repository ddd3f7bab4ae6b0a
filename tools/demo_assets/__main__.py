"""Render the ten portraits and the performance of `livepuppet/assets` anew; from the repository's root, with the extra `train`.

python -m tools.demo_assets OUT
python -m tools.demo_assets OUT --only ada,ada_oil,performance --workers 4
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from livepuppet.errors import LivepuppetError, UsageError
from tools.demo_assets.assets import NAMES, chosen
from tools.demo_assets.writing import write_demo


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.demo_assets",
        description="Render the portraits and the performance that livepuppet ships, on the CPU. "
        "What is in OUT already is not rendered again.",
        allow_abbrev=False,
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write to: OUT/avatars/*.jpg and OUT/performance.mp4")
    parser.add_argument("--only", metavar="NAMES", help=f"which of them, separated by commas (default: all): {', '.join(NAMES)}")
    parser.add_argument("--size", type=int, default=1024, metavar="PX", help="side of the portraits, a multiple of 16 (default: 1024)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes that render at the same time (default: 1)")
    parser.add_argument("--geometry", type=Path, metavar="WHEEL", help="the geometry's wheel file; default: the installed package")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 done, 1 failed on the way, 2 a request that cannot be met."""
    options = build_parser().parse_args(arguments)
    try:
        print(rendered(options.out, chosen(options.only), options.size, options.workers, options.geometry))
    except LivepuppetError as error:
        print(f"demo_assets: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def rendered(out: Path, names: tuple[str, ...], size: int, workers: int, geometry: Path | None) -> str:
    """Render what is missing; says what was done. Raises UsageError, RunError."""
    if workers < 1:
        raise UsageError("--workers must be at least 1")
    if size % 16 or size < 32:
        raise UsageError(f"--size must be a multiple of 16, at least 32: {size}")
    start = time.monotonic()
    files, frames = write_demo(out, names, size, workers, geometry)
    if not files:
        return f"nothing to do: all {len(names)} are in {out} already"
    return f"{files} of {len(names)} files, {frames} frames in {time.monotonic() - start:.0f} s in {out}"


if __name__ == "__main__":
    sys.exit(main())

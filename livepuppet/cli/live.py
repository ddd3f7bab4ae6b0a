"""`livepuppet`: the puppet moves."""

from __future__ import annotations

import argparse

SUMMARY = "Bring a still portrait to life with your webcam, in real time."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--avatar", nargs="+", metavar="PATH", help="portraits, or folders of them")


def run(options: argparse.Namespace) -> int:
    return 0

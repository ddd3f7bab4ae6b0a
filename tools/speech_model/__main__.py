"""python -m tools.speech_model --voices FOLDER: speak, then teach. Needs flite and festival (Debian), PyTorch and SciPy.

The Festival voices are kallpc16k, kdlpc16k, us-slt-hts, italp16k, itapc16k, suopuhe-lj, suopuhe-mv, czech-dita and czech-machac.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from livepuppet.speech.mouth_network import FILE
from tools.speech_model.training import Lessons, judge, prepare, train
from tools.speech_model.voices import speak

OUTPUT = Path(__file__).parents[2] / "livepuppet/speech" / FILE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voices", type=Path, required=True, help="where the synthetic speech is kept")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--copies", type=int, default=3, help="in how many ways each utterance is recorded")
    parser.add_argument(
        "--without", default="", help="voices to keep for judging, by the beginning of their files' names, with commas between"
    )
    parser.add_argument("--lessons", type=Path, help="keep what is taught in this file; where it is there already, it is taken as it is")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    lessons, kept = lessons_for(options)
    net = train(lessons, options.output, epochs=options.epochs)
    if kept:
        judge(net, prepare(kept[::4], 1, seed=2))


def lessons_for(options: argparse.Namespace) -> tuple[Lessons, list[Path]]:
    """What is taught, and the voices that are kept for judging."""
    speak(options.voices)
    paths = sorted(options.voices.glob("*.json"))
    kept = [p for p in paths if options.without and p.name.startswith(tuple(options.without.split(",")))]
    if options.lessons and options.lessons.exists():
        return Lessons.load(options.lessons), kept
    lessons = prepare([p for p in paths if p not in kept], options.copies, seed=1)
    if options.lessons:
        lessons.save(options.lessons)
    return lessons, kept


if __name__ == "__main__":
    main()

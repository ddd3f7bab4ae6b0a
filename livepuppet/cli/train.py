"""`livepuppet train`: a First Order Motion Model of one's own."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from livepuppet.errors import MissingPartError, UsageError

SUMMARY = "Train a First Order Motion Model on your own clips, or on people who do not exist."
EPILOG = """
configurations, as published:
  vox-256           talking heads (VoxCeleb), 256 pixels
  vox-adv-256       the same, goes on with an adversarial loss
  taichi-256        whole bodies (Tai-Chi)
  taichi-adv-256    the same, goes on with an adversarial loss
  fashion-256       people who show clothes
  bair-256          a robot's arm (BAIR)
  nemo-256          faces that smile (UvA-NEMO)
  mgif-256          cartoon animals (MGif)
and ours, for synthetic people:
  face-256          heads, supervised by their true motion: a day or two on one GPU
  face-256-small    the same with a network a quarter the size
  face-256-cpu      motion first, then pictures: hours on a processor
  tiny-64           a trial run in minutes on a processor
or a YAML file in the original's layout

examples:
  livepuppet train --data clips --config vox-256 --out run --device cuda --workers 12
  livepuppet train --data synthetic --config tiny-64 --out trial                        a whole run in minutes, without a GPU
  accelerate launch --multi_gpu --no-python livepuppet train --data clips --config face-256 --out run --device cuda
A run that stopped goes on with the same command. The model is OUT/model.pth.tar with OUT/model.yaml: livepuppet models import takes them.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", required=True, metavar="DIR", help="folder of videos or of folders of pictures; or the word synthetic")
    parser.add_argument("--config", required=True, metavar="NAME", help="configuration, by name or as a YAML file")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for checkpoints, model, figures and sheets")
    parser.add_argument("--steps", type=int, metavar="N", help="in place of the configuration's own length")
    parser.add_argument("--batch", type=int, metavar="N", help="pairs per step and process, in place of the configuration's")
    parser.add_argument("--people", type=int, metavar="N", help="how many synthetic people, in place of the configuration's")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ... (default: cpu)")
    parser.add_argument("--precision", choices=("auto", "bf16", "fp32"), default="auto", help="auto: bf16 on CUDA (default)")
    parser.add_argument("--compile", action="store_true", help="torch.compile the networks: minutes at the start, faster steps on CUDA")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="processes that render and decode ahead (default: 0, none)")
    parser.add_argument("--seed", type=int, default=0, help="of people, pairs and fresh weights (default: 0)")
    parser.add_argument("--save-every", type=int, default=1000, metavar="N", help="steps between checkpoints (default: 1000)")
    parser.add_argument("--say-every", type=int, default=50, metavar="N", help="steps between lines (default: 50)")
    parser.add_argument("--sheet-every", type=int, default=1000, metavar="N", help="steps between sample sheets (default: 1000)")
    parser.add_argument("--from", dest="start", type=Path, metavar="FILE", help="checkpoint in the original's layout to start from")
    parser.add_argument("--vgg", type=Path, metavar="FILE", help="torchvision's VGG-19 weights; default: torch's cache, else without")
    parser.add_argument("--geometry", type=Path, metavar="WHEEL", help="the synthetic people's geometry; default: the installed package")


def run(options: argparse.Namespace) -> int:
    for name in ("steps", "batch", "people", "save_every", "say_every", "sheet_every"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            raise UsageError(f"--{name.replace('_', '-')} must be at least 1")
    if options.workers < 0:
        raise UsageError("--workers must not be negative")
    try:
        from livepuppet.training.recipe import Recipe
        from livepuppet.training.run import TrainConfig, train
    except ModuleNotFoundError as error:
        raise MissingPartError(f"train needs the package {error.name}: pip install 'livepuppet[train]'") from error
    recipe = Recipe.read(options.config)
    if options.batch is not None:
        recipe = replace(recipe, batch_size=options.batch)
    own = {name: value for name in ("steps", "people") if (value := getattr(options, name)) is not None}
    recipe = replace(recipe, own=replace(recipe.own, **own))
    train(
        TrainConfig(
            data=options.data,
            recipe=recipe,
            out=options.out,
            device=options.device,
            half=None if options.precision == "auto" else options.precision == "bf16",
            compiled=options.compile,
            workers=options.workers,
            seed=options.seed,
            save_every=options.save_every,
            say_every=options.say_every,
            sheet_every=options.sheet_every,
            vgg=options.vgg,
            start=options.start,
            geometry=options.geometry,
        )
    )
    return 0

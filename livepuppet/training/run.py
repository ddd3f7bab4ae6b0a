"""The loop: data ahead of the device, one step after another, saved now and then, ended cleanly whatever happens."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from livepuppet.engines.fomm.networks import checkpoint as model_files
from livepuppet.errors import RunError, UsageError
from livepuppet.files import write_atomically
from livepuppet.synthetic.clips import make_folder
from livepuppet.training import checkpoint
from livepuppet.training.appearance import Vgg, find_vgg
from livepuppet.training.dataset import Dataset, gather_dataset
from livepuppet.training.evaluation import evaluate
from livepuppet.training.journal import Journal
from livepuppet.training.pairs import Batch, Numbers, Pairs, collate, loader
from livepuppet.training.recipe import Recipe
from livepuppet.training.trainer import NotFinite, Trainer

logger = logging.getLogger("livepuppet.train")

SYNTHETIC = "synthetic"
FRAMES_PER_PERSON = 8


@dataclass(frozen=True)
class TrainConfig:
    """A run as asked for: see `livepuppet train --help`.

    Attributes:
        half: None decides (bf16 on CUDA).
    """

    data: str
    recipe: Recipe
    out: Path
    device: str = "cpu"
    half: bool | None = None
    compiled: bool = False
    workers: int = 0
    seed: int = 0
    save_every: int = 1000
    say_every: int = 50
    sheet_every: int = 1000
    vgg: Path | None = None
    start: Path | None = None
    geometry: Path | None = None


@dataclass(frozen=True)
class DistributedContext:
    """The processes that train together, one per device; alone by default."""

    rank: int = 0
    world: int = 1
    average: Callable[[list[Tensor]], None] | None = None
    wait: Callable[[], None] = lambda: None

    @property
    def first(self) -> bool:
        return self.rank == 0


def distributed_context(order: TrainConfig) -> tuple[DistributedContext, torch.device]:
    """Who trains, and where. Several processes when started by `accelerate launch`: gradients are averaged over them each step."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        try:
            device = torch.device(order.device)
            torch.zeros(1, device=device)
        except (RuntimeError, AssertionError) as error:
            raise UsageError(f"no device '{order.device}' here: {str(error).splitlines()[0]}") from error
        return DistributedContext(), device
    try:
        from accelerate import Accelerator
    except ModuleNotFoundError as error:
        raise UsageError("several processes need the package accelerate: pip install 'livepuppet[train]'") from error
    accelerator = Accelerator(cpu=order.device == "cpu")

    def average(gradients: list[Tensor]) -> None:
        flat = accelerator.reduce(torch.cat([gradient.reshape(-1) for gradient in gradients]), reduction="mean")
        offset = 0
        for gradient in gradients:
            gradient.copy_(flat[offset : offset + gradient.numel()].view_as(gradient))
            offset += gradient.numel()

    together = DistributedContext(accelerator.process_index, accelerator.num_processes, average, accelerator.wait_for_everyone)
    return together, accelerator.device


def album(order: TrainConfig, dist: DistributedContext) -> Dataset:
    """The clips to train on; synthetic people are rendered first, or go on being rendered."""
    folder = Path(order.data)
    if order.data == SYNTHETIC:
        from livepuppet.synthetic.writing import SynthesisRequest as People
        from livepuppet.synthetic.writing import write_all

        folder = order.out / "people"
        people = People("clips", folder, order.seed, FRAMES_PER_PERSON, order.recipe.model.size, None, None, order.device, order.geometry)
        if dist.first:
            count = order.recipe.own.people
            logger.info("rendering %d people (those already in %s are kept)", count, folder)
            write_all(people, range(count), max(1, order.workers))
    cache = order.out / "frames"
    if dist.first:
        found = gather_dataset(folder, cache, order.recipe.model.size)
        dist.wait()
        return found
    dist.wait()
    return gather_dataset(folder, cache, order.recipe.model.size)


@contextmanager
def ended_by_signal() -> Iterator[None]:
    """SIGTERM (a machine that is taken away) ends a run as Ctrl-C does, with a checkpoint; Ctrl-C also where a parent had it ignored."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before: dict[int, Any] = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def train(order: TrainConfig) -> Trainer:
    """Train to the end of the recipe, or go on with what is in `order.out`.

    Raises:
        UsageError: (no data, another configuration).
        RunError: (full disk, a loss that is NaN) and KeyboardInterrupt, after having saved.
    """
    dist, device = distributed_context(order)
    make_folder(order.out)
    clips = album(order, dist)
    skipped = "".join(f"{path}\t{why}\n" for path, why in clips.skipped)
    write_atomically(order.out / "skipped.txt", lambda file: file.write(skipped.encode()))
    logger.info("%d clips to train on, %d held out, %d skipped", len(clips.training), len(clips.held_out), len(clips.skipped))
    knows_flow = any(clip.synthetic for clip in clips.training)
    if order.recipe.own.motion_first and not knows_flow:
        logger.info("these clips do not know their flow (those of livepuppet synth do): motion learns with pictures from the first step")
    path = find_vgg(order.vgg)
    logger.info("appearance: %s", f"VGG-19 features ({path})" if path else "patterns at several scales (no VGG-19 weights on disk)")
    trainer = Trainer(
        order.recipe,
        len(clips.training),
        device,
        vgg=Vgg.load(path) if path else None,
        half=device.type == "cuda" if order.half is None else order.half,
        compiled=order.compiled,
        seed=order.seed,
        average=dist.average,
        rank=dist.rank,
        knows_flow=knows_flow,
    )
    done = checkpoint.restore_run(order.out, trainer)
    if done:
        logger.info("going on after step %d", done)
    elif order.start is not None:
        found = model_files.load_checkpoint(order.start, configuration=beside(order.start) or order.recipe.model)
        trainer.start_from(found)
        logger.info("starting from %s", order.start)
    if dist.first:
        checkpoint.write_run_recipe(order.out / "recipe.yaml", order.recipe)
    total = order.recipe.steps(len(clips.training))
    if done >= total:
        logger.info("nothing to do: all %d steps are done", total)
        return trainer
    with ended_by_signal(), Journal(order.out, total, order.say_every) as journal:
        loop(order, trainer, clips, journal, dist, total)
    return trainer


def beside(path: Path) -> Any:
    """The configuration in the YAML file of the same name, where there is one."""
    name = path.name.removesuffix(".tar").removesuffix(".pth").removesuffix("-cpk")
    candidate = path.with_name(f"{name}.yaml")
    return model_files.load_configuration(candidate) if candidate.is_file() else None


def loop(order: TrainConfig, trainer: Trainer, clips: Dataset, journal: Journal, dist: DistributedContext, total: int) -> None:
    numbers = Numbers(order.recipe.batch_size, trainer.step_number, total, dist.rank, dist.world)
    batches = loader(Pairs(clips.training, order.recipe, order.seed), numbers, order.workers, pinned=trainer.device.type == "cuda")
    shown = samples(clips, order)
    saved = trainer.step_number
    try:
        for batch in batches:
            losses = trainer.step(batch)
            number = trainer.step_number
            if not dist.first:
                continue
            journal.step(number, losses, len(batch.source) * dist.world)
            if number % order.sheet_every == 0 or number == total:
                journal.sheet(number, trainer.averaged, shown)
            if number % order.save_every == 0 or number == total:
                saved = keep(order, trainer)
                if clips.held_out:
                    figures = evaluate(trainer.averaged, clips.held_out[:20], order.recipe.model.size, frames=8, faces=False)
                    journal.figures(number, {"held_out_l1": figures.l1, "held_out_still": figures.still})
                    logger.info("held out: L1 %.4f (a still picture: %.4f)", figures.l1, figures.still)
    except KeyboardInterrupt:
        if dist.first and trainer.step_number > saved:
            keep(order, trainer)
        raise
    except NotFinite as error:
        last = checkpoint.states(order.out)
        kept = f"the last good checkpoint is {last[-1]}" if last else "no checkpoint was saved yet"
        raise RunError(f"{error}; {kept}. Start again from it with a lower learning rate, in float32") from error
    except torch.cuda.OutOfMemoryError as error:
        raise RunError(
            f"{trainer.device} has too little memory for {order.recipe.batch_size} pairs at once: take fewer", parameter="batch"
        ) from error
    except RuntimeError as error:
        if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise
        raise RunError(f"torch.compile does not work here ({first_line(error)}): train without it", parameter="compile") from error


def first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def keep(order: TrainConfig, trainer: Trainer) -> int:
    path = checkpoint.save_run(order.out, trainer)
    logger.info("saved %s", path)
    return trainer.step_number


def samples(clips: Dataset, order: TrainConfig) -> Batch:
    """The pairs that sheets show: the same ones all along, held out where there are any."""
    plain = replace(order.recipe, id_sampling=False)
    pairs = Pairs(clips.held_out or clips.training, plain, order.seed + 1, augment=False)
    return collate([pairs[number] for number in range(6)])

"""Checkpoints on disk: the state to go on from, and the model that others load. Written aside, flushed, renamed: never half."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import Any

import torch

from livepuppet.engines.fomm.networks import checkpoint
from livepuppet.errors import RunError, UsageError
from livepuppet.files import atomic_path, write_atomically
from livepuppet.training.recipe import Recipe
from livepuppet.training.trainer import Trainer

KEPT = 2
STATE = re.compile(r"step-(\d{8})\.pt")


def states(out: Path) -> list[Path]:
    """Saved states, oldest first."""
    return sorted(path for path in (out / "checkpoints").glob("step-*.pt") if STATE.fullmatch(path.name))


def save_run(out: Path, trainer: Trainer) -> Path:
    """The state, then the averaged model as `model.pth.tar` with its `model.yaml`.

    Raises:
        RunError: ; what was saved before stays whole.
    """
    folder = out / "checkpoints"
    path = folder / f"step-{trainer.step_number:08d}.pt"
    buffer = io.BytesIO()  # torch says a full disk in its own words; plain writing says it in the system's
    torch.save({"recipe": trainer.recipe.tree(), "clips": trainer.clips, **trainer.state()}, buffer)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot write to {folder}: {error.strerror}") from error
    write_atomically(path, lambda file: file.write(buffer.getbuffer()))
    write_model(out, trainer)
    for old in states(out)[:-KEPT]:
        old.unlink()
    return path


def write_model(out: Path, trainer: Trainer) -> Path:
    """The averaged weights in the original project's layout, and the YAML that belongs to them."""
    path = out / "model.pth.tar"
    try:
        with atomic_path(path) as unfinished:
            epoch = trainer.step_number // trainer.recipe.steps_per_epoch(trainer.clips)
            checkpoint.save_checkpoint(unfinished, trainer.averaged, epoch=epoch)
            with unfinished.open("rb") as file:
                os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:
        raise RunError(f"cannot write {path}: {str(error).splitlines()[0]} (what was there before is untouched)") from error
    write_run_recipe(out / "model.yaml", trainer.recipe)
    return path


def write_run_recipe(path: Path, recipe: Recipe) -> None:
    import yaml

    text = yaml.safe_dump(recipe.tree(), sort_keys=False)
    write_atomically(path, lambda file: file.write(text.encode()))


def restore_run(out: Path, trainer: Trainer) -> int:
    """Go on from the newest whole state in `out`; returns its step, 0 where there is none.

    Raises:
        UsageError: another configuration.
    """
    for path in reversed(states(out)):
        state = read_run(path)
        if state is None:
            continue
        known, wanted = state["recipe"], trainer.recipe.tree()
        for section in ("model_params", "train_params", "livepuppet_params", "dataset_params"):
            if known.get(section) != wanted[section]:
                raise UsageError(
                    f"{path} was trained with another configuration ({recipe_difference(known.get(section), wanted[section])}): "
                    "use the same, or start another run from it",
                    parameter="out",
                )
        trainer.restore(state)
        return trainer.step_number
    return 0


def read_run(path: Path) -> dict[str, Any] | None:
    """A saved state; None when the file is damaged (an older one may be whole)."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch has many ways of saying so
        return None
    return state if isinstance(state, dict) and "step" in state else None


def recipe_difference(known: Any, wanted: Any, name: str = "") -> str:
    """The first entry in which two trees differ, with both values."""
    if isinstance(known, dict) and isinstance(wanted, dict):
        for key in {**known, **wanted}:
            if known.get(key) != wanted.get(key):
                return recipe_difference(known.get(key), wanted.get(key), key)
    return f"{name}: {known} there, {wanted} here"

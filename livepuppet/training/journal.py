"""What happened in a run: a line now and then, every figure in losses.jsonl and TensorBoard, sample sheets as PNG."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from livepuppet.engines.fomm.networks.checkpoint import FommModel
from livepuppet.engines.fomm.networks.layers import grid_sample
from livepuppet.errors import RunError
from livepuppet.files import write_atomically
from livepuppet.training.pairs import Batch

logger = logging.getLogger("livepuppet.train")

SHEET_ROWS = 6


class Journal:
    """Averages losses between lines. Without the package tensorboard its part is left out, and said so once."""

    def __init__(self, out: Path, total: int, every: int) -> None:
        self.out, self.total, self.every = out, total, every
        self.sums: dict[str, float] = {}
        self.steps = self.pairs = 0
        self.since = time.monotonic()
        self.board: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            logger.info("no TensorBoard here (pip install 'livepuppet[train]'): figures go to %s only", out / "losses.jsonl")
        else:
            self.board = SummaryWriter(str(out / "tensorboard"))

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.board is not None:
            self.board.close()

    def step(self, number: int, losses: dict[str, float], pairs: int) -> None:
        """Note step `number` (counted from 1), and say something every so many."""
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.steps += 1
        self.pairs += pairs
        if number % self.every and number != self.total:
            return
        rate = self.pairs / max(time.monotonic() - self.since, 1e-9)
        means = {name: value / self.steps for name, value in self.sums.items()}
        listed = "  ".join(f"{name} {value:.3f}" for name, value in means.items())
        logger.info("step %d of %d  %s  %.1f pairs/s", number, self.total, listed, rate)
        self.figures(number, {**means, "pairs_per_second": rate})
        self.sums, self.steps, self.pairs, self.since = {}, 0, 0, time.monotonic()

    def figures(self, number: int, values: dict[str, float]) -> None:
        try:
            with (self.out / "losses.jsonl").open("a") as file:
                file.write(json.dumps({"step": number, **{name: round(value, 6) for name, value in values.items()}}) + "\n")
        except OSError as error:
            raise RunError(f"cannot write {self.out / 'losses.jsonl'}: {error.strerror}") from error
        if self.board is not None:
            for name, value in values.items():
                self.board.add_scalar(name, value, number)

    def sheet(self, number: int, model: FommModel, batch: Batch) -> Path:
        """Draw what the model makes of a few pairs."""
        picture = draw_sheet(model, batch)
        path = self.out / "sheets" / f"step-{number:08d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = cv2.imencode(".png", picture[..., ::-1])[1].tobytes()
        write_atomically(path, lambda file: file.write(content))
        if self.board is not None:
            self.board.add_image("samples", picture, number, dataformats="HWC")
        return path


@torch.no_grad()
def draw_sheet(model: FommModel, batch: Batch) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """RGB uint8; columns: source, driving (both with keypoints), generated, source moved by the deformation alone, visible part."""
    device = next(model.detector.parameters()).device
    source, driving = batch.source[:SHEET_ROWS].to(device), batch.driving[:SHEET_ROWS].to(device)
    keypoints, target = model.detector(source), model.detector(driving)
    generated = model.generator(source, keypoints, target)
    size = (source.shape[2], source.shape[3])

    def enlarged(x: Tensor) -> Tensor:
        return torch.nn.functional.interpolate(x, size, mode="bilinear", align_corners=False)

    field = enlarged(generated.motion.deformation.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    moved = grid_sample(source, field, model.align_corners)
    visible = enlarged(generated.motion.occlusion).expand(-1, 3, -1, -1)
    columns = [source, driving, generated.prediction, moved, visible]
    picture = torch.cat([torch.cat(list(column), dim=1) for column in columns], dim=2)
    image = (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy().copy()
    for column, points in enumerate((keypoints.value, target.value)):
        for row, place in enumerate(points.cpu().numpy()):
            for index, (x, y) in enumerate(place):
                centre = (round((x + 1) / 2 * (size[1] - 1)) + column * size[1], round((y + 1) / 2 * (size[0] - 1)) + row * size[0])
                hue = np.array([[[index * 180 // len(place), 255, 255]]], np.uint8)
                colour = [int(c) for c in cv2.cvtColor(hue, cv2.COLOR_HSV2RGB)[0, 0]]
                cv2.circle(image, centre, max(1, size[0] // 64), colour, -1)
    return np.ascontiguousarray(image)

"""Clips, avatars and performances of people who do not exist, in memory and on disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from livepuppet.errors import RunError, UsageError
from livepuppet.files import atomic_path, write_atomically
from livepuppet.synthetic.acting import Acting, Kind, draw_acting, draw_performance
from livepuppet.synthetic.backdrop import draw_backdrop
from livepuppet.synthetic.head import Head
from livepuppet.synthetic.looks import draw_look
from livepuppet.synthetic.person import draw_person
from livepuppet.synthetic.posing import Body
from livepuppet.synthetic.renderer import grid_size, photograph
from livepuppet.synthetic.setting import draw_setting, portrait_setting
from livepuppet.synthetic.truth import Truth
from livepuppet.types import Image

FORMAT = 1
SHEET = "sheet.jpg"
"""A picture of the first clips of a folder."""
SUPERSAMPLING = 1.5
PORTRAIT_SUPERSAMPLING = 2.0
FPS = 30
NEUTRAL_SMILE = {"mouthSmile": 0.2, "cheekSquint": 0.1, "browInnerUp": 0.14}


@dataclass(frozen=True, eq=False)
class Clip:
    """F frames of one person.

    Attributes:
        images: RGB uint8 (F, H, W, 3).
        truth: see `Truth`.
        expression: float32 (F, 52).
        look: how it is painted.
    """

    images: NDArray[np.uint8]
    truth: Truth
    expression: NDArray[np.float32]
    look: str

    def save(self, path: Path) -> None:
        """Flow is kept as float16 displacement (exact to 0.06 px at 100 px).

        Raises:
            RunError: when the disk is full.
        """
        cells = self.truth.flow.shape[2]
        arrays = {
            "format": np.array(FORMAT),
            "images": self.images,
            "displacement": (self.truth.flow - cell_middles(cells, self.images.shape[1])).astype(np.float16),
            "seen": np.packbits(self.truth.seen),
            "body": np.packbits(self.truth.body),
            "landmarks": self.truth.landmarks,
            "frames": self.truth.frames,
            "expression": self.expression,
            "look": np.array(self.look),
        }
        write_atomically(path, lambda file: np.savez_compressed(file, **arrays))

    @classmethod
    def load(cls, path: Path) -> Clip:
        """Raises ValueError when the file is damaged or something else."""
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                found = dict(archive)
            displacement = found["displacement"].astype(np.float32)
            frames, cells = displacement.shape[1:3]
            shape = (frames, frames, cells, cells)
            seen = np.unpackbits(found["seen"], count=frames * frames * cells * cells).astype(bool).reshape(shape)
            body = np.unpackbits(found["body"], count=frames * cells * cells).astype(bool).reshape(shape[1:])
            flow = displacement + cell_middles(cells, found["images"].shape[1])
            truth = Truth(flow, seen, body, found["landmarks"], found["frames"])
            return cls(found["images"], truth, found["expression"], str(found["look"]))
        except (OSError, EOFError, KeyError, IndexError, ValueError) as error:
            raise ValueError(f"{path} is no clip: {error}") from error
        except Exception as error:  # zipfile and zlib have errors of their own
            if type(error).__module__ in ("zipfile", "zlib"):
                raise ValueError(f"{path} is damaged: {error}") from error
            raise


def cell_middles(cells: int, size: int) -> NDArray[np.float32]:
    """Pixel x, y of the middle of each cell, (cells, cells, 2)."""
    middle = (np.arange(cells, dtype=np.float32) + 0.5) * (size / cells)
    return np.stack(np.meshgrid(middle, middle, indexing="xy"), -1)


def make_folder(path: Path) -> None:
    """With its parents, unless it is there.

    Raises:
        UsageError: where that is not possible.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write to {path}: {error.strerror}") from error


@torch.no_grad()
def render_clip(
    head: Head, seed: int, index: int, *, frames: int = 8, size: int = 256, kind: Kind | None = None, look: str | None = None
) -> Clip:
    """Clip `index` of the endless series `seed`: the same for the same arguments on the same machine."""
    rng = np.random.default_rng([seed, index])
    person = draw_person(head, rng)
    body = Body.of(head, person)
    setting = draw_setting(rng, head.device)
    acting = draw_acting(rng, frames, kind)
    name, painted = draw_look(rng, look)
    backdrop = draw_backdrop(setting.backdrop_seed, *grid_size(size, size, SUPERSAMPLING), head.device)
    pictures = [photograph(body, one, setting, size, size, supersampling=SUPERSAMPLING, backdrop=backdrop) for one in acting]
    images = np.stack([painted(picture.image.cpu().numpy()) for picture in pictures])
    expression = np.stack([one.weights(head.units).numpy() for one in acting])
    return Clip(images, Truth.of(head, pictures, cells=size // 4), expression, name)


@torch.no_grad()
def render_avatar(head: Head, seed: int, index: int, *, size: int = 1024, look: str | None = "photo") -> Image:
    """A still portrait: facing the camera, a hint of a smile. RGB uint8 (size, size, 3)."""
    rng = np.random.default_rng([seed, index])
    person = draw_person(head, rng, look="skin", ribbons=9000)
    setting = portrait_setting(rng, head.device)
    painted = draw_look(rng, look)[1]
    acting = Acting(NEUTRAL_SMILE)
    picture = photograph(Body.of(head, person), acting, setting, size, size, supersampling=PORTRAIT_SUPERSAMPLING)
    return painted(picture.image.cpu().numpy())


@torch.no_grad()
def render_performance(head: Head, seed: int, index: int, *, frames: int = 300, width: int = 640, height: int = 480) -> Iterator[Image]:
    """A driving performance, frame by frame: neutral for a second, then speech, smiles, blinks, gaze and turns."""
    rng = np.random.default_rng([seed, index])
    person = draw_person(head, rng, look="skin", ribbons=6000)
    body = Body.of(head, person)
    setting = portrait_setting(rng, head.device)
    backdrop = draw_backdrop(setting.backdrop_seed, *grid_size(width, height, SUPERSAMPLING), head.device)
    for acting in draw_performance(rng, frames, FPS):
        with torch.no_grad():  # a generator does not keep the decorator's mode between its frames
            picture = photograph(body, acting, setting, width, height, supersampling=SUPERSAMPLING, backdrop=backdrop)
        yield picture.image.cpu().numpy()


def write_performance(frames: Iterator[Image], path: Path, *, crf: int = 18, preset: str = "medium") -> int:
    """H.264 in MP4 that starts before it is whole, written beside and renamed; returns how many frames.

    Raises:
        RunError: its message says what is wrong.
    """
    import av

    count = 0
    try:
        with (
            atomic_path(path) as unfinished,
            av.open(str(unfinished), "w", format="mp4", options={"movflags": "+faststart"}) as container,
        ):
            stream = None
            for image in frames:
                if stream is None:
                    stream = container.add_stream("libx264", rate=FPS, options={"crf": str(crf), "preset": preset})
                    stream.height, stream.width = image.shape[:2]
                    stream.pix_fmt = "yuv420p"
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
                count += 1
            if stream is not None:
                container.mux(stream.encode(None))
    except (OSError, av.FFmpegError) as error:
        raise RunError(f"cannot write {path}: {error}") from error
    return count


def write_clip_recipe(out: Path, recipe: dict[str, object]) -> None:
    """What the folder was made by; a later call with other values is refused, so that no folder holds a mixture.

    Raises:
        UsageError: its message says what is wrong.
    """
    path = out / "recipe.json"
    wanted = {"format": FORMAT, **recipe}
    if path.is_file():
        try:
            known = dict(json.loads(path.read_text()))
        except (ValueError, TypeError):
            raise UsageError(f"{path} is not the recipe of a folder of clips: choose another folder", parameter="out") from None
        differs = [name for name in wanted if known.get(name) != wanted[name]]
        if differs:
            listed = ", ".join(f"{name} {known.get(name)} (now {wanted[name]})" for name in differs)
            raise UsageError(f"{out} already holds clips of another recipe: {listed}; choose another folder")
        return
    if (out / SHEET).exists():
        raise UsageError(f"{out / SHEET} would be overwritten: choose another folder", parameter="out")
    write_atomically(path, lambda file: file.write((json.dumps(wanted, indent=2) + "\n").encode()))

"""Checkpoints in the layout of the original project: read safely, checked strictly, written.

model = load(Path("vox-adv-cpk.pth.tar"))                      # configuration inferred from the shapes
model = load(path, configuration=read_configuration(yaml), align_corners=True)
model.detector, model.generator                                # eval mode, float32, CPU
model = build(Configuration(keypoints=16), align_corners=True) # fresh weights, to train
save(path, model, epoch=3)
"""

from __future__ import annotations

import pickle
import tarfile
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from livepuppet.engines.fomm.networks.configuration import Configuration, read_tree
from livepuppet.engines.fomm.networks.generator import Generator
from livepuppet.engines.fomm.networks.keypoints import KeypointDetector
from livepuppet.errors import ModelError

ALIGN_CORNERS = True
"""What `grid_sample` did when the published weights were trained (torch 1.0 had no such argument, and aligned)."""

PARTS = ("generator", "kp_detector")


@dataclass(frozen=True)
class FommModel:
    """The two networks of a First Order Motion Model with the numbers they were built from."""

    configuration: Configuration
    align_corners: bool
    detector: KeypointDetector
    generator: Generator


def build_model(configuration: Configuration, *, align_corners: bool = ALIGN_CORNERS) -> FommModel:
    """Fresh networks, in training mode as torch makes them."""
    detector = KeypointDetector(configuration)
    return FommModel(configuration, align_corners, detector, Generator(configuration, align_corners=align_corners))


def load_checkpoint(path: Path, *, configuration: Configuration | None = None, align_corners: bool = ALIGN_CORNERS) -> FommModel:
    """A checkpoint as networks in eval mode. Every tensor must be there and fit, none may be left over.

    Raises:
        ModelError: its message says what is wrong.
    """
    weights = read_checkpoint(path)
    shapes = {f"{part}.{name}": tuple(tensor.shape) for part in PARTS for name, tensor in weights[part].items()}
    configuration = configuration or Configuration.infer(shapes)
    _check_parts(path, shapes, configuration)
    model = build_model(configuration, align_corners=align_corners)
    for part, network in (("generator", model.generator), ("kp_detector", model.detector)):
        network.load_state_dict({name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in weights[part].items()})
        network.eval()
    return model


def save_checkpoint(path: Path, model: FommModel, *, epoch: int) -> None:
    """Write a checkpoint that the original project's own code loads."""
    state = {part: OrderedDict(net.state_dict()) for part, net in (("generator", model.generator), ("kp_detector", model.detector))}
    torch.save({**state, "epoch": epoch}, path)


def load_configuration(path: Path) -> Configuration:
    """The YAML file that belongs to a checkpoint.

    Raises:
        ModelError: its message says what is wrong.
    """
    try:
        tree = read_tree(path)
    except OSError as error:
        raise ModelError(f"cannot read the configuration {path}: {error.strerror}") from error
    except ValueError as error:  # also a date or a number that there is not
        raise ModelError(f"{path} is no YAML file, or not laid out as the original project's are") from error
    return Configuration.parse(tree)


def read_checkpoint(path: Path) -> dict[str, Mapping[str, Tensor]]:
    """The tensors of `generator` and `kp_detector`. Never runs code from the file.

    Raises:
        ModelError: in one line.
    """
    if not path.is_file():
        raise ModelError(f"no checkpoint at {path}")
    try:
        _check_size(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch thinks of an odd file is said below, once
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if _could_be_pickle(path):
            raise ModelError(
                f"{path.name} holds more than tensors, which may be code that runs when it is read; it was not read. "
                "Get the checkpoint from its original source."
            ) from error
        raise ModelError(_no_checkpoint(path)) from error
    except Exception as error:  # torch and pickle raise nearly anything: TypeError, IndexError, AssertionError, TarError, …
        raise ModelError(_no_checkpoint(path)) from error
    if not isinstance(content, dict) or not all(isinstance(content.get(part), dict) for part in PARTS):
        raise ModelError(f"{path.name} is no First Order Motion Model: it should hold {' and '.join(PARTS)}")
    for part in PARTS:
        if not all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in content[part].items()):
            raise ModelError(f"{path.name} is no First Order Motion Model: {part} holds something other than named tensors")
    stored = sum(tensor.untyped_storage().nbytes() for part in PARTS for tensor in content[part].values())
    if sum(tensor.numel() * tensor.element_size() for part in PARTS for tensor in content[part].values()) > 2 * stored + 4096:
        raise ModelError(f"{path.name} holds less than its tensors claim to be: get the checkpoint from its original source")
    return {part: content[part] for part in PARTS}


def _check_size(path: Path) -> None:
    """Raises BadZipFile where an archive would unpack to much more than it is: torch stores tensors as they are."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if sum(info.file_size for info in archive.infolist()) > 2 * path.stat().st_size:
                raise zipfile.BadZipFile("it unpacks to more than it holds")


def _no_checkpoint(path: Path) -> str:
    return (
        f"{path.name} ({path.stat().st_size} bytes) is no readable checkpoint: cut short while downloading, or another kind of file. "
        "Do not unpack the .tar; download it again and compare its size."
    )


def _could_be_pickle(path: Path) -> bool:
    """Whether the file at least begins as torch's formats do: a zip, a pickle protocol 2 … 5, or a tar."""
    with path.open("rb") as file:
        start = file.read(2)
    return zipfile.is_zipfile(path) or start in {b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"} or tarfile.is_tarfile(path)


def _check_parts(path: Path, shapes: Mapping[str, tuple[int, ...]], configuration: Configuration) -> None:
    """Both networks' tensors against what the configuration makes of them, before any memory is taken for it."""
    try:
        with torch.device("meta"):
            wanted = build_model(configuration)
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        raise ModelError(f"{path.name} does not describe networks that can be built") from error
    for part, network in (("generator", wanted.generator), ("kp_detector", wanted.detector)):
        _check(path, part, shapes, network.state_dict())


def _check(path: Path, part: str, shapes: Mapping[str, tuple[int, ...]], wanted: Mapping[str, Any]) -> None:
    found = {name.removeprefix(f"{part}."): shape for name, shape in shapes.items() if name.startswith(f"{part}.")}
    for name, tensor in wanted.items():
        if name not in found:
            raise ModelError(f"{path.name} does not fit its configuration: {part} lacks {name}")
        if found[name] != tuple(tensor.shape):
            raise ModelError(f"{path.name} does not fit its configuration: {part}.{name} is {found[name]}, not {tuple(tensor.shape)}")
    if extra := sorted(set(found) - set(wanted)):
        raise ModelError(f"{path.name} does not fit its configuration: {part} also holds {extra[0]} ({len(extra)} tensors too many)")

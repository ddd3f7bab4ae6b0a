"""The forms in which `engine.py` runs one model, each a function from a picture in memory to a picture in memory.

original                 plain PyTorch the way the original project runs it
onnx, onnx-int8          ONNX Runtime, as livepuppet runs it
torchscript              TorchScript, as livepuppet runs it (on CUDA: a CUDA graph in half precision)
eager-P, graph-P,        our networks, the source encoded once: plain PyTorch, recorded as one CUDA graph, compiled by torch.compile;
compile-P                P is fp32, fp16 or bf16. Channels last on CUDA, unless -nchw follows (eager-fp16-nchw)
"""

from __future__ import annotations

import copy
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import conv_flop_count

from livepuppet.engines.fomm import motion as motions
from livepuppet.engines.fomm.export.exporter import export_model
from livepuppet.engines.fomm.export.folding import fold_model
from livepuppet.engines.fomm.export.graphs import Animate, Prepare
from livepuppet.engines.fomm.networks.checkpoint import FommModel
from livepuppet.engines.fomm.networks.keypoints import relative_keypoints
from livepuppet.engines.fomm.networks.layers import grid_sample
from livepuppet.engines.fomm.runtime.interface import FommRuntime
from livepuppet.engines.fomm.runtime.loading import load_runtime
from livepuppet.engines.fomm.runtime.providers import load_onnxruntime
from livepuppet.types import Image

Step = Callable[[Image], Image]

OWN = re.compile(r"(eager|graph|compile)-(fp32|fp16|bf16)(-nchw)?")
PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
EXPORTED = ("onnx", "onnx-int8", "torchscript")
WARM_UP_RUNS = 3


class NotHereError(Exception):
    """This form cannot run on this machine; the message says why."""


@dataclass(frozen=True)
class Form:
    """One way to run the model.

    Attributes:
        step: from the driving picture to the moved portrait, both in the computer's memory.
        device: where it computes, in words.
        work: enqueues the device's part alone, for timing by events; None where it cannot be told apart.
        precision: 'fp32', 'fp16' or 'bf16', of which the convolutions' floor counts; '' for none.
    """

    step: Step
    device: str
    work: Callable[[], object] | None = None
    precision: str = ""
    close: Callable[[], None] = lambda: None


@dataclass(frozen=True, eq=False)
class Setup:
    """What all forms share.

    Attributes:
        portrait, reference: pictures of the model's size.
        calibration: pictures for the int8 form.
        folder: where exported models may be kept.
    """

    model: FommModel
    portrait: Image
    reference: Image
    calibration: Sequence[Image]
    device: torch.device
    folder: Path


def build_form(name: str, setup: Setup) -> Form:
    """The form of that name, loaded.

    Raises:
        NotHereError: it cannot run here.
        ValueError: there is no form of that name.
    """
    if name == "original":
        return original(setup)
    if name in EXPORTED:
        return exported(name, setup)
    found = OWN.fullmatch(name)
    if found is None:
        raise ValueError(f"no form named '{name}'")
    kind, precision, plain = found.groups()
    return own(kind, precision, setup, channels_last=setup.device.type == "cuda" and not plain)


def hull(value: Tensor) -> float:
    return float(np.sqrt(cv2.contourArea(cv2.convexHull(value[0].cpu().numpy()))))


def original(setup: Setup) -> Form:
    """As the original project's `animate` does it: encoder and both convex hulls every frame, the whole source deformed besides."""
    model, device = setup.model, setup.device
    detector, generator = copy.deepcopy(model.detector).to(device), copy.deepcopy(model.generator).to(device)

    def tensor(image: Image) -> Tensor:
        return torch.from_numpy(image.astype(np.float32) / 255).permute(2, 0, 1)[None].to(device)

    with torch.no_grad():
        portrait = tensor(setup.portrait)
        source, initial = detector(portrait), detector(tensor(setup.reference))

    def moved(driving: Tensor) -> Tensor:
        scale = torch.tensor(hull(source.value) / hull(initial.value), device=device)
        target = relative_keypoints(source, initial, detector(driving), scale)
        generated = generator(portrait, source, target)
        flow = nn.functional.interpolate(generated.motion.deformation.permute(0, 3, 1, 2), setup.portrait.shape[:2], mode="bilinear")
        grid_sample(portrait, flow.permute(0, 2, 3, 1), model.align_corners)
        prediction: Tensor = generated.prediction
        return prediction

    def step(driving: Image) -> Image:
        with torch.no_grad():
            result: NDArray[np.float32] = moved(tensor(driving))[0].permute(1, 2, 0).cpu().numpy()
            return np.rint(result * 255).astype(np.uint8)

    here = tensor(setup.reference)

    def work() -> None:
        with torch.no_grad():
            moved(here)

    return Form(step, f"{device.type}, float32", work, "fp32")


def exported(name: str, setup: Setup) -> Form:
    """A form that livepuppet itself runs, from export to runtime."""
    device = setup.device.type
    if name.startswith("onnx") and device == "cuda" and "CUDAExecutionProvider" not in load_onnxruntime().get_available_providers():
        raise NotHereError("the ONNX Runtime here was built without CUDA")
    made = export_model(
        setup.model,
        f"benchmark-{name}",
        formats=["torchscript" if name == "torchscript" else "onnx"],
        target="gpu" if device == "cuda" else "cpu",
        calibration=setup.calibration if name == "onnx-int8" else (),
        replace=True,
    )
    graphs: FommRuntime = load_runtime(made.directory, name, device)
    prepared, start = graphs.prepare(setup.portrait), graphs.detect(setup.reference)
    scale = motions.span(prepared.value[0].astype(np.float64)) / motions.span(start[0][0].astype(np.float64))

    def step(driving: Image) -> Image:
        return graphs.render(prepared, *graphs.detect(driving), reference=start, scale=scale).image

    precision = "fp16" if name == "torchscript" and device == "cuda" else "" if name == "onnx-int8" else "fp32"
    return Form(step, graphs.device, None, precision, graphs.close)


class WholeFrame(nn.Module):
    """A frame from driving picture to moved portrait in one piece, all else held on the device."""

    def __init__(self, setup: Setup, dtype: torch.dtype, *, channels_last: bool) -> None:
        super().__init__()
        folded = fold_model(copy.deepcopy(setup.model))
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self.animate, prepare = (
            module(folded).eval().requires_grad_(False).to(setup.device, dtype).to(memory_format=layout) for module in (Animate, Prepare)
        )
        with torch.no_grad():
            features, small, *source = prepare(torch.from_numpy(setup.portrait).to(setup.device))
            reference = self.animate.detect(torch.from_numpy(setup.reference).to(setup.device))
        scale = hull(source[0].float()) / hull(reference[0].float())
        held = (features, small, *source, *reference, torch.tensor(scale, device=setup.device, dtype=source[0].dtype))
        self.held = tuple(
            tensor.contiguous(memory_format=layout) if tensor.dim() == 4 and i < 2 else tensor for i, tensor in enumerate(held)
        )

    def forward(self, driving: Tensor) -> Tensor:
        """uint8 (S, S, 3) -> uint8 (S, S, 3)."""
        image: Tensor = self.animate.render(*self.held, *self.animate.detect(driving))[0]
        return image


def own(kind: str, precision: str, setup: Setup, *, channels_last: bool) -> Form:
    whole = WholeFrame(setup, PRECISIONS[precision], channels_last=channels_last)
    inside: Callable[[Tensor], Tensor] = whole
    device = setup.device
    label = f"{device.type}, {precision}{', channels last' if channels_last else ''}"
    if kind == "graph":
        if device.type != "cuda":
            raise NotHereError("CUDA graphs need CUDA")
        return recorded(whole, setup, label, precision)
    if kind == "compile":
        inside = torch.compile(whole, mode="reduce-overhead" if device.type == "cuda" else "default")
    here = torch.from_numpy(setup.reference).to(device)

    def step(driving: Image) -> Image:
        with torch.inference_mode():
            return np.asarray(inside(torch.from_numpy(driving).to(device)).cpu().numpy(), np.uint8)

    def work() -> None:
        with torch.inference_mode():
            inside(here)

    return Form(step, label, work, precision)


def recorded(whole: WholeFrame, setup: Setup, label: str, precision: str) -> Form:
    """As one CUDA graph, with page-locked memory on the computer's side."""
    given = torch.from_numpy(setup.reference).to(setup.device)
    sent, got = (torch.empty(given.shape, dtype=torch.uint8, pin_memory=True) for _ in range(2))
    stream = torch.cuda.Stream(setup.device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.inference_mode(), torch.cuda.stream(stream):
        for _ in range(WARM_UP_RUNS):
            whole(given)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.inference_mode(), torch.cuda.graph(graph):
        made = whole(given)

    def step(driving: Image) -> Image:
        sent.copy_(torch.from_numpy(driving))
        given.copy_(sent, non_blocking=True)
        graph.replay()
        got.copy_(made, non_blocking=True)
        torch.cuda.current_stream().synchronize()
        return np.asarray(got.numpy().copy(), np.uint8)

    return Form(step, label, graph.replay, precision)


# The floor


@dataclass(frozen=True)
class Floor:
    """The convolutions of a frame and nothing else, one after another. ms: None where this device has none of that precision."""

    convolutions: int
    gflop: float
    ms: dict[str, float]


class ConvolutionLog(TorchDispatchMode):
    """Notes the arguments of every convolution, whatever module or function asks for it, and its floating-point operations."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, ...]] = []
        self.flop = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.convolution.default:
            self.calls.append(args)
            self.flop += conv_flop_count(args[0].shape, args[1].shape, out.shape, transposed=args[6])
        return out


def convolution_floor(setup: Setup, precisions: Sequence[str], rounds: int) -> Floor:
    """Milliseconds of a frame's convolutions alone (the source encoded once), per precision."""
    whole = WholeFrame(setup, torch.float32, channels_last=False)
    with torch.no_grad(), ConvolutionLog() as log:
        whole(torch.from_numpy(setup.reference).to(setup.device))
    layout = torch.channels_last if setup.device.type == "cuda" else torch.contiguous_format
    ms = {}
    for name in precisions:
        prepared = []
        for x, weight, bias, *rest in log.calls:
            noise = torch.randn(x.shape, device=setup.device).to(PRECISIONS[name]).contiguous(memory_format=layout)
            kernel = weight.detach().to(PRECISIONS[name]).contiguous(memory_format=layout)
            prepared.append((noise, kernel, None if bias is None else bias.detach().to(PRECISIONS[name]), *rest))

        def work(prepared: list[tuple[Any, ...]] = prepared) -> None:
            with torch.inference_mode():
                for arguments in prepared:
                    torch.ops.aten.convolution.default(*arguments)

        ms[name] = device_ms(graphed(work) if setup.device.type == "cuda" else work, setup.device, rounds)
    return Floor(len(log.calls), log.flop / 1e9, ms)


def graphed(work: Callable[[], object]) -> Callable[[], object]:
    """The same as a CUDA graph: without the gaps between launches."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP_RUNS):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    replay: Callable[[], Any] = graph.replay
    return replay


def device_ms(work: Callable[[], object], device: torch.device, rounds: int) -> float:
    """Median milliseconds of the device's work: by events on CUDA, by the clock elsewhere."""
    for _ in range(WARM_UP_RUNS):
        work()
    times = []
    for _ in range(rounds):
        if device.type == "cuda":
            before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            before.record()
            work()
            after.record()
            after.synchronize()
            times.append(before.elapsed_time(after))
        else:
            begun = time.perf_counter()
            work()
            times.append(1e3 * (time.perf_counter() - begun))
    return float(np.median(times))

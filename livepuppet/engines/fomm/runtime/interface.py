"""What a neural model can do, whichever runtime does it: prepare a portrait, detect keypoints, render a picture.

Names and order of the inputs and outputs are the interface of every exported model (engines/fomm/export/graphs.py writes them).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from livepuppet.types import Image

Array: TypeAlias = NDArray[np.float32]

PREPARE_INPUTS = ("portrait",)
PREPARE_OUTPUTS = ("features", "small", "source_value", "source_jacobian")
DETECT_INPUTS = ("driving",)
DETECT_OUTPUTS = ("driving_value", "driving_jacobian")
RENDER_INPUTS = (
    *("features", "small", "source_value", "source_jacobian"),
    *("reference_value", "reference_jacobian", "scale", "motion_value", "motion_jacobian"),
)
RENDER_OUTPUTS = ("image", "mean", "deformation", "occlusion")
SWITCHES = ("detecting", "rendering")
"""Boolean inputs of the ONNX form of `animate`: which of its two ends to run."""


@dataclass(frozen=True, eq=False)
class PreparedSource:
    """A portrait as the model knows it. Immutable, may be shared between threads.

    Attributes:
        portrait: uint8 (size, size, 3).
        value, jacobian: its keypoints, float32 (1, K, 2) and (1, K, 2, 2).
        held: what stays on the device.
        owner: the sessions or modules it belongs to. A runtime that has changed device prepares it again.
    """

    portrait: Image
    value: Array
    jacobian: Array
    held: object
    owner: object


@dataclass(frozen=True, eq=False)
class RuntimeOutput:
    """image: uint8 (size, size, 3). finite: False when the network gave something that is NaN: do not show it.

    deformation: float32 (h, w, 2), where in the portrait each place comes from, x and y in -1 … 1.
    occlusion: float32 (h, w), 1 = visible in the portrait.
    """

    image: Image
    finite: bool
    deformation: Array
    occlusion: Array


class FommRuntime(Protocol):
    """A loaded model. `prepare`, `detect` and `render` may be called by several threads at once; each call is as if it were alone."""

    device: str
    """For people: device, precision and provider, as used and not as asked for."""

    def prepare(self, portrait: Image) -> PreparedSource:
        """Once per portrait. uint8 (size, size, 3), RGB."""

    def detect(self, driving: Image) -> tuple[Array, Array]:
        """Keypoints of a picture: value (1, K, 2) and jacobian (1, K, 2, 2)."""

    def render(
        self, prepared: PreparedSource, value: Array, jacobian: Array, reference: tuple[Array, Array] | None = None, scale: float = 1.0
    ) -> RuntimeOutput:
        """The portrait, moved as keypoints moved from `reference` to `value` and `jacobian`, displacements times `scale`.

        Args:
            reference: None takes the portrait's own keypoints, so that `value` and `jacobian` are where they go.
        """

    def close(self) -> None:
        """Free the device. May be called twice."""

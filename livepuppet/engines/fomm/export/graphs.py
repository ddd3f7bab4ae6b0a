"""The two graphs that leave PyTorch: `Prepare` once per portrait, `Animate` once per frame.

Pictures go in and come out as uint8 (size, size, 3), RGB: conversion happens on the device, and a quarter of the bytes travels.
Everything else is float32. Names and order of inputs and outputs are the interface of every exported model; the runtimes' users name
them too, because the live path must not import PyTorch, and a test holds the two together.
"""

import torch
from torch import Tensor, nn

from livepuppet.engines.fomm.networks.checkpoint import FommModel
from livepuppet.engines.fomm.networks.keypoints import Keypoints, relative_keypoints

PREPARE_INPUTS = ("portrait",)
PREPARE_OUTPUTS = ("features", "small", "source_value", "source_jacobian")
DETECT_INPUTS = ("driving",)
DETECT_OUTPUTS = ("driving_value", "driving_jacobian")
RENDER_INPUTS = (
    *("features", "small", "source_value", "source_jacobian"),
    *("reference_value", "reference_jacobian", "scale", "motion_value", "motion_jacobian"),
)
RENDER_OUTPUTS = ("image", "mean", "deformation", "occlusion")
ANIMATE_INPUTS = (*DETECT_INPUTS, *RENDER_INPUTS)
ANIMATE_OUTPUTS = (*RENDER_OUTPUTS, *DETECT_OUTPUTS)


def as_tensor(image: Tensor, like: Tensor) -> Tensor:
    """uint8 (H, W, 3) -> (1, 3, H, W) in 0 … 1, of the precision of `like`."""
    return (image.permute(2, 0, 1).unsqueeze(0).float() / 255.0).to(like.dtype)


def as_image(tensor: Tensor) -> Tensor:
    """(1, 3, H, W) in 0 … 1 -> uint8 (H, W, 3)."""
    return (tensor[0].permute(1, 2, 0) * 255.0).round().clamp(0.0, 255.0).to(torch.uint8)


class Prepare(nn.Module):
    """A portrait's encoder features, its shrunk copy for the dense motion network, and its keypoints."""

    def __init__(self, model: FommModel) -> None:
        super().__init__()
        self.detector = model.detector
        self.generator = model.generator

    def forward(self, portrait: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        image = as_tensor(portrait, self.generator.dense_motion_network.mask.weight)
        points = self.detector(image)
        return self.generator.encode(image), self.generator.dense_motion_network.down(image), points.value, points.jacobian


class Animate(nn.Module):
    """A driving frame's keypoints (`detect`), and the portrait moved by keypoints (`render`): two ends of one graph.

    They are one graph so that one thread pool serves both: two sessions in turn fight over the cores. They are not one *call*, because
    the driver's keypoints are smoothed in between. What happens to them after that, relative motion and scale, is inside again:
    reference = source and scale 1 makes motion absolute.
    """

    def __init__(self, model: FommModel) -> None:
        super().__init__()
        self.detector = model.detector
        self.generator = model.generator

    @torch.jit.export
    def detect(self, driving: Tensor) -> tuple[Tensor, Tensor]:
        points = self.detector(as_tensor(driving, self.generator.dense_motion_network.mask.weight))
        return points.value, points.jacobian

    @torch.jit.export
    def render(
        self,
        features: Tensor,
        small: Tensor,
        source_value: Tensor,
        source_jacobian: Tensor,
        reference_value: Tensor,
        reference_jacobian: Tensor,
        scale: Tensor,
        motion_value: Tensor,
        motion_jacobian: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The moved picture and how it was moved, so that the portrait's own detail can be moved along at full resolution.

        image: uint8 (size, size, 3). mean: of the prediction, a scalar: not a number as soon as one pixel is not.
        deformation: (h, w, 2), x and y in -1 … 1 where each place comes from. occlusion: (h, w), 1 = visible in the portrait.
        """
        source = Keypoints(source_value, source_jacobian)
        reference = Keypoints(reference_value, reference_jacobian)
        target = relative_keypoints(source, reference, Keypoints(motion_value, motion_jacobian), scale)
        motion = self.generator.dense_motion_network.estimate(small, source, target)
        prediction = self.generator.decode(features, motion.deformation, motion.occlusion)
        return as_image(prediction), prediction.mean(), motion.deformation[0], motion.occlusion[0, 0]

    def forward(
        self,
        driving: Tensor,
        features: Tensor,
        small: Tensor,
        source_value: Tensor,
        source_jacobian: Tensor,
        reference_value: Tensor,
        reference_jacobian: Tensor,
        scale: Tensor,
        motion_value: Tensor,
        motion_jacobian: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        value, jacobian = self.detect(driving)
        image, mean, deformation, occlusion = self.render(
            features,
            small,
            source_value,
            source_jacobian,
            reference_value,
            reference_jacobian,
            scale,
            motion_value,
            motion_jacobian,
        )
        return image, mean, deformation, occlusion, value, jacobian

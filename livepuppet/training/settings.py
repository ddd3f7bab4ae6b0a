"""The parts of a training configuration that hold settings: discriminator, random warps, augmentation, weights of the losses, our own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DiscriminatorShape:
    """scales: of the picture, one discriminator each. keypoints: whether it sees where the driving keypoints are."""

    scales: tuple[float, ...] = (1.0,)
    block_expansion: int = 32
    max_features: int = 512
    num_blocks: int = 4
    sn: bool = False
    use_kp: bool = False


@dataclass(frozen=True)
class ThinPlateWarp:
    """Random transforms for equivariance, in units of half a picture (FOMM, section 3.3)."""

    sigma_affine: float = 0.05
    sigma_tps: float = 0.005
    points_tps: int = 5


@dataclass(frozen=True)
class Augmentation:
    """Colour jitter as shares;

    Attributes:
        zoom: range of sizes, cropped back; flips: in space and in time.
    """

    horizontal_flip: bool = True
    time_flip: bool = True
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    zoom: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True)
class LossWeights:
    """How much each loss counts. The first six are the paper's.

    pattern stands in for perceptual where no VGG weights are at hand.

    Attributes:
        shown: the same loss on what livepuppet shows, the portrait's own pixels moved and what the network adds. The last six need
            synthetic clips.
        detail: of what is shown, around eyes and mouth.
        focus: how much more flow and visibility count there.
    """

    perceptual: tuple[float, ...] = (10.0, 10.0, 10.0, 10.0, 10.0)
    generator_gan: float = 0.0
    discriminator_gan: float = 1.0
    feature_matching: tuple[float, ...] = (10.0, 10.0, 10.0, 10.0)
    equivariance_value: float = 10.0
    equivariance_jacobian: float = 10.0
    pattern: float = 10.0
    shown: float = 0.0
    landmarks: float = 0.0
    frames: float = 0.0
    flow: float = 0.0
    visibility: float = 0.0
    detail: float = 0.0
    focus: float = 0.0


@dataclass(frozen=True)
class SyntheticSettings:
    """What the original does not have.

    Attributes:
        steps: how many; None follows num_epochs, num_repeats and the number of clips.
        motion_first: share of the run in which keypoints and dense motion learn alone, from true flow and landmarks, at a fraction of the
            cost (synthetic clips only).
        adversarial_from: share of the run after which the adversarial losses start (0: from the beginning, as the original).
        teacher_forcing: ratio of pairs whose motion is estimated from the true landmarks.
        ema: decay of the averaged weights that are published.
        clip_gradient: largest norm.
        warm_up: steps until the full learning rate.
        cosine: let the learning rate fall to 3 % along a cosine over the last 60 % of the run, in place of milestones.
        people: how many synthetic ones.
    """

    steps: int | None = None
    motion_first: float = 0.0
    adversarial_from: float = 0.0
    teacher_forcing: float = 0.0
    ema: float = 0.999
    clip_gradient: float = 10.0
    warm_up: int = 0
    cosine: bool = False
    people: int = 1000

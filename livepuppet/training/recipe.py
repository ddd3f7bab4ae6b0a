"""Everything that determines a training run, from a name or from a YAML file in the original project's layout.

Entries that the original does not know stand under `livepuppet_params`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from livepuppet.engines.fomm.networks.configuration import Configuration, Hourglass, read_tree
from livepuppet.errors import ModelError, UsageError
from livepuppet.training.settings import Augmentation, DiscriminatorShape, LossWeights, SyntheticSettings, ThinPlateWarp

T = TypeVar("T")


@dataclass(frozen=True)
class Recipe:
    """One run. Learning rates, milestones and repeats mean what they mean in the original's YAML."""

    name: str = "vox-256"
    model: Configuration = field(default_factory=Configuration)
    discriminator: DiscriminatorShape = field(default_factory=DiscriminatorShape)
    warp: ThinPlateWarp = field(default_factory=ThinPlateWarp)
    augmentation: Augmentation = field(default_factory=Augmentation)
    weights: LossWeights = field(default_factory=LossWeights)
    own: SyntheticSettings = field(default_factory=SyntheticSettings)
    scales: tuple[float, ...] = (1.0, 0.5, 0.25, 0.125)
    num_epochs: int = 100
    num_repeats: int = 75
    epoch_milestones: tuple[int, ...] = (60, 90)
    lr_generator: float = 2.0e-4
    lr_discriminator: float = 2.0e-4
    lr_kp_detector: float = 2.0e-4
    batch_size: int = 40
    id_sampling: bool = False

    def steps(self, clips: int) -> int:
        """How many steps the run has with so many clips."""
        return self.own.steps or self.num_epochs * self.steps_per_epoch(clips)

    def steps_per_epoch(self, clips: int) -> int:
        return max(1, clips * self.num_repeats // self.batch_size)

    def rate(self, step: int, clips: int) -> float:
        """Factor of all learning rates at a step."""
        total = self.steps(clips)
        rise = min(1.0, (step + 1) / self.own.warm_up) if self.own.warm_up else 1.0
        if self.own.cosine:
            from math import cos, pi

            done = step / max(total, 1)
            return rise * (1.0 if done < 0.4 else 0.03 + 0.97 * 0.5 * (1 + cos(pi * (done - 0.4) / 0.6)))
        epoch = step * self.num_epochs / max(total, 1) if self.own.steps else step / self.steps_per_epoch(clips)
        return rise * float(0.1 ** sum(epoch >= milestone for milestone in self.epoch_milestones))

    def tree(self) -> dict[str, Any]:
        """In the original's layout: what `parse` reads, and what belongs beside a checkpoint."""
        model, plain = self.model, ("num_epochs", "num_repeats", "lr_generator", "lr_discriminator", "lr_kp_detector", "batch_size")
        flips = {"horizontal_flip": self.augmentation.horizontal_flip, "time_flip": self.augmentation.time_flip}
        jitter = {name: getattr(self.augmentation, name) for name in ("brightness", "contrast", "saturation", "hue")}
        augmentation: dict[str, Any] = {"flip_param": flips, "jitter_param": jitter}
        if self.augmentation.zoom != (1.0, 1.0):
            augmentation |= {"resize_param": {"ratio": list(self.augmentation.zoom)}, "crop_param": {"size": [model.size, model.size]}}
        return {
            "dataset_params": {
                "frame_shape": [model.size, model.size, model.channels],
                "id_sampling": self.id_sampling,
                "augmentation_params": augmentation,
            },
            "model_params": {
                "common_params": {"num_kp": model.keypoints, "num_channels": model.channels, "estimate_jacobian": model.jacobian},
                "kp_detector_params": {
                    "temperature": model.temperature,
                    **hourglass_tree(model.detector),
                    **({"single_jacobian_map": True} if model.single_jacobian else {}),
                },
                "generator_params": {
                    "block_expansion": model.block_expansion,
                    "max_features": model.max_features,
                    "num_down_blocks": model.down_blocks,
                    "num_bottleneck_blocks": model.bottleneck_blocks,
                    "estimate_occlusion_map": model.occlusion,
                    "dense_motion_params": hourglass_tree(model.dense_motion),
                },
                "discriminator_params": list_recipes(asdict(self.discriminator)),
            },
            "train_params": {
                **{name: getattr(self, name) for name in plain},
                "epoch_milestones": list(self.epoch_milestones),
                "scales": list(self.scales),
                "transform_params": asdict(self.warp),
                "loss_weights": list_recipes(asdict(self.weights)),
            },
            "livepuppet_params": {FILE_KEYS.get(name, name): value for name, value in asdict(self.own).items()},
        }

    @classmethod
    def parse(cls, tree: Mapping[str, Any], name: str) -> Recipe:
        """From a YAML tree.

        Raises:
            UsageError: naming an entry that is missing, strange or unknown.
        """
        try:
            model = Configuration.parse(tree)
        except ModelError as error:
            raise UsageError(str(error)) from error
        try:
            train = dict(tree.get("train_params") or {})
            data = tree.get("dataset_params") or {}
            augmentation = data.get("augmentation_params") or {}
            zoom = (augmentation.get("resize_param") or {}).get("ratio") or (1.0, 1.0)
            jitter = {**(augmentation.get("flip_param") or {}), **(augmentation.get("jitter_param") or {}), "zoom": tuple(zoom)}
            parts: dict[str, Any] = {
                "model": model,
                "discriminator": fill_defaults(
                    DiscriminatorShape, (tree["model_params"].get("discriminator_params") or {}), "discriminator_params"
                ),
                "warp": fill_defaults(ThinPlateWarp, train.pop("transform_params", None) or {}, "transform_params"),
                "augmentation": fill_defaults(Augmentation, jitter, "augmentation_params"),
                "weights": fill_defaults(LossWeights, train.pop("loss_weights", None) or {}, "loss_weights"),
                "own": fill_defaults(SyntheticSettings, _without_file_keys(tree.get("livepuppet_params") or {}), "livepuppet_params"),
                "id_sampling": bool(data.get("id_sampling", False)),
            }
            train.pop("checkpoint_freq", None)  # here a matter of the command line
            own_names = {f.name for f in fields(cls)} - {"name", "model", "discriminator", "warp", "augmentation", "weights", "own"}
            if strange := sorted(set(train) - own_names):
                raise UsageError(f"{name}: train_params has the unknown entry '{strange[0]}'; known: {', '.join(sorted(own_names))}")
            plain = {key: tuple(value) if isinstance(value, list) else value for key, value in train.items()}
            return cls(**{"name": name, **parts, **plain})
        except (TypeError, ValueError, AttributeError, KeyError, IndexError, OverflowError) as error:
            raise UsageError(f"{name} is not laid out as the original project's YAML files are ({error})") from error

    @classmethod
    def read(cls, name_or_path: str) -> Recipe:
        """A published or own recipe by name, or a YAML file.

        Raises:
            UsageError: its message says what is wrong.
        """
        if name_or_path in RECIPES:
            return RECIPES[name_or_path]
        path = Path(name_or_path)
        if path.suffix not in (".yaml", ".yml"):
            raise UsageError(f"no configuration named '{name_or_path}': choose one of {', '.join(RECIPES)}, or give a .yaml file")
        try:
            tree = read_tree(path)
        except OSError as error:
            raise UsageError(f"cannot read the configuration {path}: {error.strerror}") from error
        except ValueError as error:  # also a date or a number that there is not
            raise UsageError(f"{path} is no YAML file, or not laid out as the original project's are") from error
        return cls.parse(tree, path.stem)


FILE_KEYS = {"teacher_forcing": "taught"}
"""Fields of SyntheticSettings -> their names in YAML files and checkpoints, where those are older than the field's name."""


def _without_file_keys(entries: Mapping[str, Any]) -> dict[str, Any]:
    names = {key: name for name, key in FILE_KEYS.items()}
    return {names.get(key, key): value for key, value in entries.items()}


def hourglass_tree(shape: Hourglass) -> dict[str, Any]:
    return {
        "block_expansion": shape.block_expansion,
        "max_features": shape.max_features,
        "num_blocks": shape.blocks,
        "scale_factor": shape.scale,
    }


def list_recipes(tree: dict[str, Any]) -> dict[str, Any]:
    """Tuples as lists: YAML has no tuples."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in tree.items()}


def fill_defaults(kind: type[T], entries: Mapping[str, Any], section: str) -> T:
    """A dataclass from a section of YAML.

    Raises:
        UsageError: on an unknown entry.
    """
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    if strange := sorted(set(entries) - known):
        raise UsageError(f"{section} has the unknown entry '{strange[0]}'; known: {', '.join(sorted(known))}")
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in entries.items()})


JITTER = Augmentation(brightness=0.1, contrast=0.1, saturation=0.1, hue=0.1)
SPECTRAL = DiscriminatorShape(sn=True)
WITH_KEYPOINTS = DiscriminatorShape(use_kp=True)
ADVERSARIAL = LossWeights(generator_gan=1.0)

VOX = Recipe("vox-256", discriminator=SPECTRAL, augmentation=JITTER, id_sampling=True)
TAICHI = Recipe("taichi-256", augmentation=JITTER, num_repeats=150, batch_size=30, id_sampling=True)
PUBLISHED = (
    VOX,
    replace(VOX, name="vox-adv-256", discriminator=WITH_KEYPOINTS, weights=ADVERSARIAL, num_epochs=150, epoch_milestones=(), batch_size=36),
    TAICHI,
    replace(
        TAICHI,
        name="taichi-adv-256",
        discriminator=WITH_KEYPOINTS,
        weights=ADVERSARIAL,
        num_epochs=150,
        epoch_milestones=(),
        batch_size=27,
        lr_kp_detector=0.0,
    ),
    Recipe("fashion-256", augmentation=Augmentation(hue=0.1), weights=ADVERSARIAL, num_repeats=50, batch_size=27),
    Recipe(
        "bair-256",
        discriminator=SPECTRAL,
        augmentation=JITTER,
        weights=ADVERSARIAL,
        num_epochs=20,
        num_repeats=1,
        epoch_milestones=(12, 18),
        batch_size=36,
    ),
    Recipe("nemo-256", discriminator=SPECTRAL, weights=ADVERSARIAL, num_repeats=8, batch_size=36),
    Recipe(
        "mgif-256",
        model=Configuration(single_jacobian=True),
        discriminator=SPECTRAL,
        augmentation=Augmentation(hue=0.5, zoom=(0.9, 1.1)),
        weights=ADVERSARIAL,
        num_repeats=25,
        batch_size=36,
    ),
)
"""The original project's eight configurations, as of its commit f220729."""

TAUGHT = LossWeights(
    shown=1.0,
    generator_gan=0.25,
    feature_matching=(2.0, 2.0, 2.0, 2.0),
    equivariance_value=5.0,
    equivariance_jacobian=5.0,
    landmarks=40.0,
    frames=3.0,
    flow=10.0,
    visibility=0.3,
    detail=10.0,
    focus=6.0,
)
FACE = Recipe(
    "face-256",
    model=Configuration(
        keypoints=16,
        detector=Hourglass(block_expansion=16, max_features=256, blocks=5, scale=0.5),
        dense_motion=Hourglass(block_expansion=32, max_features=256, blocks=5, scale=0.25),
        block_expansion=24,  # 13.8 GFLOP per frame, 14.5 MB as float16
        max_features=256,
        bottleneck_blocks=3,
    ),
    discriminator=SPECTRAL,
    augmentation=Augmentation(brightness=0.15, contrast=0.15, saturation=0.2, hue=0.05),
    weights=TAUGHT,
    own=SyntheticSettings(
        steps=120_000, motion_first=0.15, adversarial_from=0.85, teacher_forcing=0.25, warm_up=500, cosine=True, people=20_000
    ),
    lr_generator=4.0e-4,
    lr_kp_detector=4.0e-4,
    batch_size=32,
)
SMALL = replace(
    FACE,
    name="face-256-small",
    model=replace(
        FACE.model,
        detector=Hourglass(block_expansion=16, max_features=256, blocks=4, scale=0.25),
        dense_motion=Hourglass(block_expansion=16, max_features=256, blocks=4, scale=0.25),
        block_expansion=16,
    ),
)
CPU = replace(
    SMALL,
    name="face-256-cpu",
    weights=replace(TAUGHT, generator_gan=0.0),
    own=SyntheticSettings(steps=3600, motion_first=0.45, teacher_forcing=0.25, ema=0.998, warm_up=100, cosine=True, people=600),
    lr_generator=2.0e-4,
    lr_kp_detector=2.0e-4,
    batch_size=8,
)
"""The small model in the hours that a processor needs: motion first, and no adversary, which so few pictures would not teach anything."""
TINY = Recipe(
    "tiny-64",
    model=Configuration(
        keypoints=16,
        size=64,
        detector=Hourglass(block_expansion=8, max_features=32, blocks=2, scale=0.5),
        dense_motion=Hourglass(block_expansion=8, max_features=32, blocks=2, scale=0.25),
        block_expansion=8,
        max_features=32,
        bottleneck_blocks=1,
    ),
    discriminator=DiscriminatorShape(block_expansion=8, max_features=32, num_blocks=3),
    augmentation=FACE.augmentation,
    weights=replace(TAUGHT, feature_matching=(2.0, 2.0, 2.0)),
    own=replace(FACE.own, steps=200, people=12, warm_up=20),
    scales=(1.0, 0.5),
    lr_generator=1.0e-3,
    lr_kp_detector=1.0e-3,
    batch_size=4,
)
RECIPES = {recipe.name: recipe for recipe in (*PUBLISHED, FACE, SMALL, CPU, TINY)}

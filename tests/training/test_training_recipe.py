"""Configurations by name and by file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch.utils.flop_counter import FlopCounterMode

from livepuppet.engines.fomm.networks.checkpoint import build_model
from livepuppet.engines.fomm.networks.keypoints import Keypoints
from livepuppet.errors import UsageError
from livepuppet.training.recipe import PUBLISHED, RECIPES, Recipe


def test_the_eight_published_configurations_and_ours_are_known_by_name() -> None:
    assert {recipe.name for recipe in PUBLISHED} == {
        "vox-256", "vox-adv-256", "taichi-256", "taichi-adv-256", "fashion-256", "bair-256", "nemo-256", "mgif-256",
    }  # fmt: skip
    vox, adversarial = RECIPES["vox-256"], RECIPES["vox-adv-256"]
    assert vox.weights.generator_gan == 0 and adversarial.weights.generator_gan == 1
    assert vox.model == adversarial.model and adversarial.discriminator.use_kp and vox.discriminator.sn
    assert RECIPES["taichi-adv-256"].lr_kp_detector == 0 and RECIPES["mgif-256"].model.single_jacobian


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_a_recipe_survives_its_yaml(recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / f"{recipe.name}.yaml"
    path.write_text(yaml.safe_dump(recipe.tree()))
    assert Recipe.read(str(path)) == recipe


def test_an_original_yaml_is_read() -> None:
    tree = yaml.safe_load(
        """
        dataset_params: {root_dir: data/x, frame_shape: [128, 128, 3], id_sampling: True,
          augmentation_params: {flip_param: {horizontal_flip: True, time_flip: False}, resize_param: {ratio: [0.9, 1.1]},
                                crop_param: {size: [128, 128]}, jitter_param: {hue: 0.5}}}
        model_params:
          common_params: {num_kp: 7, num_channels: 3, estimate_jacobian: True}
          kp_detector_params: {temperature: 0.1, block_expansion: 32, max_features: 1024, scale_factor: 0.25, num_blocks: 5}
          generator_params: {block_expansion: 64, max_features: 512, num_down_blocks: 2, num_bottleneck_blocks: 6,
            estimate_occlusion_map: True,
            dense_motion_params: {block_expansion: 64, max_features: 1024, num_blocks: 5, scale_factor: 0.25}}
          discriminator_params: {scales: [1, 0.5], block_expansion: 32, max_features: 512, num_blocks: 4}
        train_params: {num_epochs: 10, num_repeats: 2, epoch_milestones: [6],
          lr_generator: 2.0e-4, lr_discriminator: 2.0e-4, lr_kp_detector: 0,
          batch_size: 5, scales: [1, 0.5], checkpoint_freq: 50, transform_params: {sigma_affine: 0.05, sigma_tps: 0.005, points_tps: 5},
          loss_weights: {generator_gan: 1, discriminator_gan: 1, feature_matching: [10, 10, 10, 10], perceptual: [10, 10, 10, 10, 10],
            equivariance_value: 10, equivariance_jacobian: 10}}
        visualizer_params: {kp_size: 5}
        """
    )
    recipe = Recipe.parse(tree, "own")
    assert (recipe.model.keypoints, recipe.model.size, recipe.id_sampling) == (7, 128, True)
    assert recipe.augmentation.zoom == (0.9, 1.1) and not recipe.augmentation.time_flip
    assert recipe.discriminator.scales == (1, 0.5) and recipe.own.steps is None
    assert recipe.steps(clips=50) == 200  # 10 epochs of 50 * 2 / 5
    assert [recipe.rate(step, 50) for step in (0, 119, 120)] == [1.0, 1.0, pytest.approx(0.1)]


def broken(**changes: Any) -> dict[str, Any]:
    tree = RECIPES["tiny-64"].tree()
    for path, value in changes.items():
        section = tree
        *parents, last = path.split("__")
        for name in parents:
            section = section[name]
        section[last] = value
    return tree


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        (broken(train_params__learning_rate=1), "unknown entry 'learning_rate'"),
        (broken(train_params__loss_weights={"gan": 1}), "unknown entry 'gan'"),
        (broken(livepuppet_params={"step": 5}), "unknown entry 'step'; known: adversarial_from"),
        (broken(model_params={}), "no entry 'common_params'"),
        (broken(model_params__common_params__num_kp="many"), "not laid out as"),
    ],
)
def test_strange_entries_are_named(tree: dict[str, Any], said: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(tree))
    with pytest.raises(UsageError, match=said):
        Recipe.read(str(tmp_path / "x.yaml"))


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="choose one of vox-256, vox-adv-256"):
        Recipe.read("vox-1024")
    with pytest.raises(UsageError, match="cannot read"):
        Recipe.read(str(tmp_path / "absent.yaml"))
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(UsageError, match="not laid out"):
        Recipe.read(str(tmp_path / "list.yaml"))
    (tmp_path / "bad.yaml").write_text("{")
    with pytest.raises(UsageError, match="no YAML"):
        Recipe.read(str(tmp_path / "bad.yaml"))


def test_cosine_rises_rests_and_falls() -> None:
    recipe = replace(RECIPES["face-256"], own=replace(RECIPES["face-256"].own, steps=1000, warm_up=10))
    rates = [recipe.rate(step, 1) for step in (0, 9, 399, 700, 999)]
    assert rates[0] == pytest.approx(0.1) and rates[1:3] == [1.0, 1.0]
    assert 0.4 < rates[3] < 0.6 and rates[4] == pytest.approx(0.03, abs=0.001)


@pytest.mark.parametrize("name", ["face-256", "face-256-small", "face-256-cpu"])
def test_our_face_models_keep_their_budget(name: str) -> None:
    """24 MB as float16, 15 GFLOP per frame once the source is encoded: detector, dense motion and decoder at 256 px."""
    model = build_model(RECIPES[name].model)
    count = sum(p.numel() for network in (model.detector, model.generator) for p in network.parameters())
    assert 2 * count < 24e6
    for network in (model.detector, model.generator):
        network.eval()
    source, driving = torch.rand(2, 1, 3, 256, 256)
    with torch.no_grad():
        keypoints: Keypoints = model.detector(source)
        features, small = model.generator.encode(source), model.generator.dense_motion_network.down(source)
        with FlopCounterMode(display=False) as counter:
            motion = model.generator.dense_motion_network.estimate(small, keypoints, model.detector(driving))
            model.generator.decode(features, motion.deformation, motion.occlusion)
    assert counter.get_total_flops() < 15e9


def test_the_command_s_help_names_every_configuration() -> None:
    from livepuppet.cli.train import EPILOG

    assert [name for name in RECIPES if f"  {name} " not in EPILOG] == []


def test_files_keep_the_older_name_of_teacher_forcing() -> None:
    tree = RECIPES["face-256"].tree()
    assert tree["livepuppet_params"]["taught"] == 0.25
    assert Recipe.parse(tree, "again").own == RECIPES["face-256"].own

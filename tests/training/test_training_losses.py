"""Each loss against what its equation says, and the coordinates in which synthetic clips teach."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from livepuppet.engines.fomm.crop import Crop
from livepuppet.engines.fomm.networks.dense_motion import DenseMotion
from livepuppet.engines.fomm.networks.generator import GeneratorOutput
from livepuppet.engines.fomm.networks.keypoints import Keypoints, inverse_jacobians, jacobian_product
from livepuppet.engines.fomm.networks.layers import coordinate_grid, grid_sample
from livepuppet.engines.fomm.paste import build_paste_region, paste_back
from livepuppet.engines.fomm.runtime.interface import RuntimeOutput
from livepuppet.errors import ModelError
from livepuppet.training import losses, supervision
from livepuppet.training.appearance import VGG_FILE, AppearanceLoss, Vgg, find_vgg, pattern_distance, structural_similarity
from livepuppet.training.discriminator import DiscriminatorOutput, MultiScaleDiscriminator
from livepuppet.training.recipe import RECIPES
from livepuppet.training.settings import DiscriminatorShape, ThinPlateWarp
from livepuppet.training.supervision import PairTruth, coordinates, detail_loss, flow_loss, jacobian_units, visibility_loss
from livepuppet.training.transform import Transform

CPU = torch.device("cpu")


def drawn(warp: ThinPlateWarp, batch: int = 2, seed: int = 0) -> Transform:
    return Transform.drawn(warp, batch, torch.Generator().manual_seed(seed), CPU)


def some_keypoints(batch: int = 2, count: int = 5) -> Keypoints:
    generator = torch.Generator().manual_seed(4)
    value = torch.rand(batch, count, 2, generator=generator) * 1.4 - 0.7
    return Keypoints(value, torch.eye(2) + 0.3 * torch.randn(batch, count, 2, 2, generator=generator))


def test_the_warps_jacobian_is_its_derivative() -> None:
    transform = drawn(ThinPlateWarp(0.1, 0.05, 5))
    points = some_keypoints().value.clone().requires_grad_()
    moved = transform.points(points)
    for axis in range(2):
        (row,) = torch.autograd.grad(moved[..., axis].sum(), points, retain_graph=True)
        assert torch.allclose(row, transform.jacobians(points)[..., axis, :], atol=1e-5)


def test_warps_are_the_seeds_own_and_nothing_at_strength_zero() -> None:
    points = some_keypoints().value
    assert torch.equal(drawn(ThinPlateWarp(), seed=3).points(points), drawn(ThinPlateWarp(), seed=3).points(points))
    assert not torch.equal(drawn(ThinPlateWarp(), seed=3).points(points), drawn(ThinPlateWarp(), seed=4).points(points))
    still = drawn(ThinPlateWarp(0.0, 0.0, 5))
    assert torch.allclose(still.points(points), points, atol=1e-6)
    picture = torch.rand(2, 3, 16, 16)
    assert torch.allclose(still.picture(picture), picture, atol=1e-4)


def test_equivariance_is_zero_for_keypoints_that_follow_the_warp_and_only_then() -> None:
    """p(X) = T(p(Y)) and J_X = (dT/dp) J_Y: choose Y's keypoints, and let X's follow."""
    transform, warped = drawn(ThinPlateWarp(0.1, 0.03, 5)), some_keypoints()
    driving = Keypoints(transform.points(warped.value), jacobian_product(transform.jacobians(warped.value), warped.jacobian))
    assert float(losses.equivariance_value_loss(driving, warped, transform)) < 1e-6
    assert float(losses.equivariance_jacobian_loss(driving, warped, transform)) < 1e-5
    shifted = Keypoints(driving.value + torch.tensor([0.1, 0.0]), driving.jacobian * 2)
    assert float(losses.equivariance_value_loss(shifted, warped, transform)) == pytest.approx(0.05, abs=1e-6)
    assert float(losses.equivariance_jacobian_loss(shifted, warped, transform)) == pytest.approx(0.25, abs=1e-5)  # mean of |I - I/2|


def test_adversarial_losses_are_least_squares() -> None:
    real: list[DiscriminatorOutput] = [([], torch.full((1, 1, 2, 2), 0.8))]
    fake: list[DiscriminatorOutput] = [([], torch.full((1, 1, 2, 2), 0.3))]
    assert float(losses.generator_loss(fake)) == pytest.approx(0.49)
    assert float(losses.discriminator_loss(real, fake)) == pytest.approx(0.04 + 0.09)
    maps = [torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 2, 2)]
    other = [torch.ones(1, 2, 4, 4), torch.full((1, 4, 2, 2), 3.0)]
    verdict = torch.zeros(1, 1, 1, 1)
    assert float(losses.feature_matching_loss([(maps, verdict)], [(other, verdict)], (10.0, 2.0))) == pytest.approx(16.0)


def test_the_discriminator_sees_every_scale_and_leaves_keypoints_alone() -> None:
    shape = DiscriminatorShape(scales=(1.0, 0.5), block_expansion=4, max_features=16, num_blocks=3, sn=True, use_kp=True)
    network = MultiScaleDiscriminator(shape, 3, 5)
    assert {name.split(".")[1] for name in network.state_dict() if name.startswith("discs")} == {"1", "0-5"}
    keypoints = Keypoints(some_keypoints().value.requires_grad_(), some_keypoints().jacobian)
    verdicts = network(torch.rand(2, 3, 64, 64), keypoints)
    assert len(verdicts) == 2 and all(len(maps) == 3 for maps, _ in verdicts)
    assert verdicts[0][1].shape[2] > verdicts[1][1].shape[2]
    losses.generator_loss(verdicts).backward()  # type: ignore[no-untyped-call]
    assert keypoints.value.grad is None
    assert all(p.grad is not None for p in network.parameters())


def test_the_original_discriminator_has_the_published_shapes() -> None:
    """vox-adv-256: 3 + 10 channels in, 64 … 512 wide, one map out."""
    network = MultiScaleDiscriminator(RECIPES["vox-adv-256"].discriminator, 3, 10)
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert shapes["discs.1.down_blocks.0.conv.weight"] == (64, 13, 4, 4)
    assert shapes["discs.1.down_blocks.3.conv.weight"] == (512, 256, 4, 4)
    assert shapes["discs.1.conv.weight"] == (1, 512, 1, 1)


def test_patterns_differ_where_pictures_do() -> None:
    picture = torch.rand(1, 3, 32, 32)
    blurred = torch.nn.functional.avg_pool2d(picture, 3, 1, 1)
    assert float(pattern_distance(picture, picture)) == pytest.approx(0, abs=1e-5)
    assert float(structural_similarity(picture, picture)) == pytest.approx(1, abs=1e-5)
    assert float(pattern_distance(blurred, picture)) > 0.2 > float(pattern_distance(picture * 0.99, picture))


def test_without_vgg_the_appearance_is_stated_and_with_it_the_paper_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert find_vgg(None) is None
    with pytest.raises(ModelError, match="no VGG-19 weights"):
        find_vgg(tmp_path / "absent.pth")
    recipe = replace(RECIPES["tiny-64"], scales=(1.0, 0.5))
    plain = AppearanceLoss(recipe, None)
    one, other = torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64)
    assert plain.name == "pattern" and float(plain(one, other)) > float(plain(one, one))

    torch.manual_seed(0)
    weights = {name: value for name, value in Vgg().state_dict().items() if name.startswith("features")}
    file = tmp_path / "random.pth"
    torch.save({**weights, "classifier.0.weight": torch.zeros(1)}, file)  # torchvision's file holds a classifier too
    vgg = Vgg.load(file)
    assert [tuple(m.shape[1:2]) for m in vgg(one)] == [(64,), (128,), (256,), (512,), (512,)]
    perceptual = AppearanceLoss(recipe, vgg)
    made = one.clone().requires_grad_()
    distance = perceptual(made, other)
    distance.backward()
    assert perceptual.name == "perceptual" and made.grad is not None and not any(p.requires_grad for p in vgg.parameters())
    assert float(perceptual(one, one)) == 0

    (tmp_path / VGG_FILE).write_bytes(file.read_bytes())
    with pytest.raises(ModelError, match="sha256 does not begin with dcbb9e9d"):
        Vgg.load(tmp_path / VGG_FILE)
    (tmp_path / "other.pth").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="holds no VGG-19 weights"):
        Vgg.load(tmp_path / "other.pth")
    torch.save({"features.0.weight": weights["features.0.weight"]}, tmp_path / "few.pth")
    with pytest.raises(ModelError, match="is missing"):
        Vgg.load(tmp_path / "few.pth")


def shifted_truth(shift_px: float, size: int = 64, cells: int = 16) -> PairTruth:
    """Truth of a driving picture whose every point lies `shift_px` to the right in the source."""
    middle = (torch.arange(cells) + 0.5) * (size / cells)
    y, x = torch.meshgrid(middle, middle, indexing="ij")
    place = torch.stack([x + shift_px, y], -1)[None]
    zeros, eye = torch.zeros(1, 16, 2), torch.eye(2).expand(1, 16, 2, 2)
    flow = coordinates(place, size, cells)
    return PairTruth(zeros, eye, zeros, eye, flow, (flow.abs().amax(-1) <= 1).float()[:, None], torch.ones(1))


def test_true_flow_deforms_features_as_the_generator_does() -> None:
    """The convention itself: halved twice like the encoder's features, the source sampled at the true flow is the driving picture."""
    size, cells, shift = 64, 16, 8
    source = torch.rand(1, 3, size, size)
    driving = torch.roll(source, -shift, dims=3)
    truth = shifted_truth(shift, size, cells)
    features = [torch.nn.functional.avg_pool2d(torch.nn.functional.avg_pool2d(p, 2), 2) for p in (source, driving)]
    moved = grid_sample(features[0], truth.flow, align_corners=True)
    inside = truth.seen.bool().expand_as(moved)
    assert 0.8 < float(truth.seen.mean()) < 1
    assert float((moved - features[1]).abs()[inside].max()) < 1e-4
    grid = coordinate_grid(cells, cells, CPU)
    assert torch.allclose(shifted_truth(0.0).flow[0], grid, atol=1e-6)


def test_flow_and_visibility_losses_count_what_is_known() -> None:
    truth = shifted_truth(8.0)
    exact = DenseMotion(truth.flow, truth.seen.clamp(0.01, 0.99), torch.zeros(1, 17, 16, 16))
    assert float(flow_loss(exact, truth, 0.0)) < 1e-6
    off = exact._replace(deformation=truth.flow + torch.where(truth.seen.permute(0, 2, 3, 1) > 0, 0.1, 9.0))
    assert float(flow_loss(off, truth, 0.0)) == pytest.approx(0.2, abs=1e-5)  # x and y each 0.1; the unseen 9 does not count
    assert float(flow_loss(off, truth, 3.0)) == pytest.approx(0.2, abs=1e-5)
    for focus in (0.0, 3.0):
        inverted = exact._replace(occlusion=1 - exact.occlusion)
        assert float(visibility_loss(exact, truth, focus)) < 0.02 < float(visibility_loss(inverted, truth, focus))
    unknown = replace(truth, known=torch.zeros(1))
    assert float(flow_loss(off, unknown, 3.0)) == 0 and float(visibility_loss(exact, unknown, 3.0)) == 0


def test_flow_counts_more_around_eyes_and_mouth() -> None:
    truth = replace(shifted_truth(0.0), driving_landmarks=torch.full((1, 16, 2), -0.8))
    near, far = (truth.flow.clone() for _ in range(2))
    near[:, :3, :3] += 0.5
    far[:, -3:, -3:] += 0.5
    occlusion, mask = truth.seen, torch.zeros(1, 17, 16, 16)
    assert float(flow_loss(DenseMotion(near, occlusion, mask), truth, 3.0)) > 2 * float(
        flow_loss(DenseMotion(far, occlusion, mask), truth, 3.0)
    )


def test_visibility_and_detail_count_around_eyes_and_mouth() -> None:
    truth = replace(shifted_truth(0.0), driving_landmarks=torch.full((1, 16, 2), -0.8))
    near, far = (truth.seen.clone() for _ in range(2))
    near[:, :, :3, :3], far[:, :, -3:, -3:] = 0.0, 0.0
    motions = [DenseMotion(truth.flow, occlusion, torch.zeros(1, 17, 16, 16)) for occlusion in (near, far)]
    assert float(visibility_loss(motions[0], truth, 3.0)) > 2 * float(visibility_loss(motions[1], truth, 3.0))
    picture = torch.full((1, 3, 64, 64), 0.5)
    dark, elsewhere = picture.clone(), picture.clone()
    dark[:, :, 4:10, 4:10] = 0.0
    elsewhere[:, :, 50:60, 50:60] = 0.0
    assert float(detail_loss(picture, picture, truth)) == 0
    assert float(detail_loss(dark, picture, truth)) > 0.2 and float(detail_loss(elsewhere, picture, truth)) < 1e-3
    assert float(detail_loss(dark, picture, replace(truth, known=torch.zeros(1)))) == 0


def smooth_picture(size: int, seed: int) -> torch.Tensor:
    coarse = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(seed)) * 0.5 + 0.25
    return torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic", align_corners=True).clamp(0, 1)


def a_generation(size: int = 64, cells: int = 16) -> tuple[torch.Tensor, GeneratorOutput, GeneratorOutput]:
    """A source, what a network might make of it now, with a moved and half hidden part, and at rest."""
    rough = smooth_picture(size, 0)
    source = rough + 0.15 * torch.cos(torch.arange(size) * 1.7)[None, None, None]  # what a network has no eye for
    grid = coordinate_grid(cells, cells, CPU)[None]
    bump = torch.exp(-4 * (grid**2).sum(-1, keepdim=True))
    moved = DenseMotion(grid + 0.08 * bump, 1 - 0.4 * bump.permute(0, 3, 1, 2), torch.zeros(1, 17, cells, cells))
    still = DenseMotion(grid, torch.ones(1, 1, cells, cells), torch.zeros(1, 17, cells, cells))
    return source, GeneratorOutput(smooth_picture(size, 1), moved), GeneratorOutput(rough, still)


def test_what_is_shown_at_rest_is_the_portrait_itself() -> None:
    source, _, rest = a_generation()
    assert torch.allclose(losses.composite_as_shown(source, rest, rest, True), source, atol=1e-5)


def test_only_the_picture_learns_from_what_is_shown() -> None:
    source, now, rest = a_generation()
    leaves = [x.clone().requires_grad_(True) for x in (now.prediction, now.motion.deformation, now.motion.occlusion)]
    learning = GeneratorOutput(leaves[0], now.motion._replace(deformation=leaves[1], occlusion=leaves[2]))
    (losses.composite_as_shown(source, learning, rest, True) ** 2).mean().backward()  # type: ignore[no-untyped-call]
    assert leaves[0].grad is not None and leaves[1].grad is None and leaves[2].grad is None


def test_training_compares_what_the_engine_shows() -> None:
    """The engine's paste in uint8 at the portrait's size, and the loss's in tensors: the same picture, away from the fading edge."""

    def image(x: torch.Tensor) -> np.ndarray[Any, np.dtype[np.uint8]]:
        return (x[0].permute(1, 2, 0) * 255).round().byte().numpy()

    def rendered(made: GeneratorOutput) -> RuntimeOutput:
        return RuntimeOutput(image(made.prediction), True, made.motion.deformation[0].numpy(), made.motion.occlusion[0, 0].numpy())

    source, now, rest = a_generation()
    portrait = image(source)
    place = build_paste_region(portrait, Crop(32.0, 32.0, 64.0), portrait, rendered(rest))
    shown = paste_back(portrait, place, rendered(now)).astype(np.float32) / 255
    ours = losses.composite_as_shown(source, now, rest, True)[0].permute(1, 2, 0).clamp(0, 1).numpy()
    inside = slice(10, -10)
    unmoved = losses.composite_as_shown(source, now._replace(motion=rest.motion), rest, True)[0].permute(1, 2, 0).clamp(0, 1).numpy()
    difference, control = (float(np.abs(shown - x)[inside, inside].mean()) for x in (ours, unmoved))
    assert difference < 0.01 and difference < control / 3


def test_landmarks_outside_the_picture_do_not_count() -> None:
    wanted = torch.tensor([[[0.0, 0.0], [1.5, 0.0]]])
    found = Keypoints(torch.tensor([[[0.2, 0.0], [0.0, 0.0]]]), torch.eye(2).expand(1, 2, 2, 2) * 2)
    assert float(supervision.landmark_loss(found, wanted, torch.ones(1))) == pytest.approx(0.1)
    assert float(supervision.jacobian_loss(found, wanted, torch.eye(2).expand(1, 2, 2, 2), torch.ones(1))) == pytest.approx(0.5)
    assert float(supervision.landmark_loss(found, wanted, torch.zeros(1))) == 0


def test_frames_and_coordinates_share_a_unit() -> None:
    """A frame tells how far a point lies from its landmark: moving 0.3 dm to the side moves `coordinates` by J * 0.3 / FRAME_DM."""
    frame_px = torch.tensor([[40.0, 5.0], [-3.0, 38.0]])
    offset = torch.tensor([0.3, -0.2])
    start, end = torch.tensor([100.0, 90.0]), torch.tensor([100.0, 90.0]) + frame_px @ offset
    moved = coordinates(end, 256, 64) - coordinates(start, 256, 64)
    assert torch.allclose(moved, jacobian_units(frame_px, 256, 64) @ (offset / supervision.FRAME_DM), atol=1e-6)
    assert torch.allclose(jacobian_product(inverse_jacobians(frame_px[None]), frame_px[None])[0], torch.eye(2), atol=1e-5)

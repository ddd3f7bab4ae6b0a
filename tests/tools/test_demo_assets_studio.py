"""The named people: who was written down must be who is seen, and the face must do what it is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from livepuppet.errors import UsageError
from livepuppet.synthetic.acting import Acting
from livepuppet.synthetic.head import EYE, SKIN, Head
from livepuppet.synthetic.person import without_direction
from tools.demo_assets.casting import PAINTED, PEOPLE
from tools.demo_assets.grooming import UP_AND_DOWN, Groomed, shape_weights
from tools.demo_assets.lids import components
from tools.demo_assets.lighting import LIGHTS, PORTRAIT, lit_share, performance_light, portrait_light, shadow_maps
from tools.demo_assets.painting import Buffers, developed
from tools.demo_assets.posing import Pose, posed, still
from tools.demo_assets.scattering import scattered
from tools.demo_assets.strand_group import BEARD, LASHES
from tools.demo_assets.studio import Studio

ASSETS = Path(__file__).parents[2] / "livepuppet" / "assets" / "avatars"
SIZE = 128
GREY = np.full((SIZE, SIZE, 3), 0.3, np.float32)
QUICK = replace(performance_light("day"), taps=2, resolution=224)
FACE = (slice(SIZE * 26 // 100, SIZE * 74 // 100), slice(SIZE * 34 // 100, SIZE * 66 // 100))


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Head:
    try:
        return Head.load(cache=tmp_path_factory.mktemp("geometry"))
    except UsageError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def studio(head: Head) -> Studio:
    return Studio(head)


@pytest.fixture(scope="module")
def ada(studio: Studio) -> Groomed:
    return studio.person(PEOPLE["ada"])


def portrayed(studio: Studio, groomed: Groomed, pose: Pose) -> tuple[NDArray[np.float32], Buffers]:
    return studio.shot(groomed, pose, QUICK, SIZE, SIZE, 2, GREY)


@pytest.fixture(scope="module")
def at_rest(studio: Studio, ada: Groomed) -> tuple[NDArray[np.float32], Buffers]:
    return portrayed(studio, ada, still(studio.head))


def shipped(name: str) -> NDArray[np.float32]:
    """RGB, SIZE x SIZE."""
    picture = cv2.imread(str(ASSETS / f"{name}.jpg"))
    assert picture is not None
    small = cv2.resize(picture, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return np.asarray(small[..., ::-1], np.float32)


def test_ada_looks_like_her_shipped_portrait_and_like_nobody_else(at_rest: tuple[NDArray[np.float32], Buffers]) -> None:
    face = developed(at_rest[0])[FACE].astype(np.float32)
    photographed = [name for name in PEOPLE if name != "sam"]
    error = {name: float(np.abs(face - shipped(name)[FACE]).mean()) for name in photographed}
    assert min(error, key=lambda name: error[name]) == "ada", error
    assert error["ada"] < 8, error


def test_equal_arguments_give_equal_pictures(studio: Studio, at_rest: tuple[NDArray[np.float32], Buffers]) -> None:
    again = studio.person(PEOPLE["ada"])
    picture = studio.shot(again, still(studio.head), QUICK, SIZE, SIZE, 2, GREY)[0]
    assert np.array_equal(picture, at_rest[0])


def test_the_buffers_tell_what_each_pixel_shows(at_rest: tuple[NDArray[np.float32], Buffers]) -> None:
    picture, buffers = at_rest
    large = (2 * SIZE, 2 * SIZE)
    assert picture.shape == (SIZE, SIZE, 3) and picture.dtype == np.float32 and np.isfinite(picture).all()
    assert buffers.material.shape == buffers.strand.shape == buffers.depth.shape == large
    assert buffers.albedo.shape == buffers.light.shape == buffers.linear.shape == (*large, 3)
    assert np.allclose(cv2.resize(buffers.linear, (SIZE, SIZE), interpolation=cv2.INTER_AREA), picture)
    corner = (slice(0, 20), slice(0, 20))
    assert (buffers.material[corner] == -1).all() and np.allclose(picture[:10, :10], 0.3)
    assert set(np.unique(buffers.hair_group)) == {-1, 0, 1, 2}  # none, scalp, brows, lashes
    assert np.abs(buffers.depth[buffers.body] - PORTRAIT.distance).max() < 3


def test_an_open_jaw_opens_the_mouth(studio: Studio, ada: Groomed, at_rest: tuple[NDArray[np.float32], Buffers]) -> None:
    _, opened = portrayed(studio, ada, still(studio.head, {"jawOpen": 0.9, "mouthUpperUp": 0.4}))
    teeth_and_tongue = (opened.material > EYE).sum()
    assert teeth_and_tongue > 30 + (at_rest[1].material > EYE).sum()


def test_lids_close(studio: Studio, ada: Groomed, at_rest: tuple[NDArray[np.float32], Buffers]) -> None:
    _, closed = portrayed(studio, ada, still(studio.head, {"eyeBlink": 1.0}))
    assert (at_rest[1].material == EYE).sum() > 100
    assert (closed.material == EYE).sum() < 0.1 * (at_rest[1].material == EYE).sum()


def test_head_and_hair_turn_together(studio: Studio, ada: Groomed) -> None:
    turned = Pose.of(studio.head, Acting({}, head=(0.5, 0.0, 0.0)))
    before, after = (posed(studio.head, ada, pose) for pose in (still(studio.head), turned))
    nose = studio.head.rest[:, 2].argmax()
    assert after.mesh[nose, 0] > before.mesh[nose, 0] + 0.4
    for strands, moved in zip(before.strands[1:], after.strands[1:], strict=True):
        assert (moved[..., 0] - strands[..., 0]).mean() > 0.3


def test_everybody_can_be_groomed(studio: Studio) -> None:
    for character in [*PEOPLE.values(), *(painted.character for painted in PAINTED.values())]:
        groomed = studio.person(character)
        kinds = groomed.kinds.tolist()
        assert (BEARD in kinds) == (character.beard is not None) and kinds[-1] == LASHES
        assert float(groomed.surface[:, 1].max()) == pytest.approx(8.49, abs=0.1)
        for group in groomed.groups:
            points = group.placed(studio.head, groomed.surface)
            assert torch.isfinite(points).all()
            nearest = torch.cdist(points[::97, 0], groomed.surface).amin(1)
            assert nearest.max() < 0.2  # roots lie on the skin


def test_what_is_written_down_about_a_shape_names_real_targets(head: Head) -> None:
    known = {without_direction(name, UP_AND_DOWN)[0].replace("/l-", "/*-").replace("/r-", "/*-") for name in head.names}
    for character in [*PEOPLE.values(), *(painted.character for painted in PAINTED.values())]:
        assert set(character.shape) <= known
        weights = shape_weights(head, character, np.random.default_rng(character.seed))
        assert set(weights) <= set(head.names)
        assert min(weights.values()) >= 0


def test_lashes_grow_along_four_lids(studio: Studio) -> None:
    assert sorted((margin.left, margin.upper) for margin in studio.margins) == [
        (False, False), (False, True), (True, False), (True, True),
    ]  # fmt: skip
    for margin in studio.margins:
        x = studio.head.rest[margin.vertices, 0].abs()
        assert (x.diff() > 0).all()  # from nose to temple


def test_connected_parts_are_found() -> None:
    chain = torch.tensor([[5, 4, 6], [6, 7, 8], [1, 2, 3]])
    assert components(chain, 10).tolist() == [0, 1, 1, 1, 4, 4, 4, 4, 4, 9]


def test_a_board_shades_what_lies_behind_it_softly() -> None:
    light = portrait_light("day")
    towards_lamp = light.lamps[0].direction
    square = torch.tensor([[-1.0, -1.0, 0.0], [1.0, -1.0, 0.0], [1.0, 1.0, 0.0], [-1.0, 1.0, 0.0]])
    triangles = torch.tensor([[0, 1, 2], [0, 2, 3]])
    maps = shadow_maps(square, triangles, torch.zeros(0, 3), light)
    assert len(maps) == light.taps
    behind = torch.tensor([[0.0, 0.0, 0.0], [0.9, 0.0, 0.0], [1.0, 0.0, 0.0], [1.3, 0.0, 0.0]]) - 0.4 * towards_lamp
    share = lit_share(maps, behind)
    assert share[0] == 0 and share[-1] == 1
    assert (share.diff() >= 0).all() and 0 < share[2] < 1


def test_hair_dims_light_the_more_the_deeper() -> None:
    light = performance_light("window")
    towards_lamp = light.lamps[0].direction
    cloud = 0.2 * torch.rand(20000, 3, generator=torch.Generator().manual_seed(1)) - 0.1
    none = torch.zeros(0, 3, dtype=torch.int64)
    maps = shadow_maps(torch.zeros(1, 3), none, cloud, light)
    share = lit_share(maps, torch.stack([k * towards_lamp for k in (1.0, 0.0, -0.3)]), in_hair=True)
    assert share[0] == 1 and share[1] < 0.9 and share[2] < share[1]


def test_flipped_light_comes_from_the_other_side() -> None:
    for kind in LIGHTS:
        one, other = portrait_light(kind), portrait_light(kind, flipped=True)
        assert torch.allclose(one.lamps[0].direction * torch.tensor([-1.0, 1.0, 1.0]), other.lamps[0].direction)
        assert one.windows[0].direction[0] == pytest.approx(-float(other.windows[0].direction[0]))


def test_light_spreads_under_the_skin_and_nowhere_else() -> None:
    size = (64, 64)
    even = torch.full((64 * 64, 3), 0.7)
    skin = torch.ones(64 * 64)
    assert torch.allclose(scattered(even, skin, size, size, PORTRAIT), even, atol=1e-5)
    edge = torch.zeros(64, 64, 3)
    edge[:, 32:] = 1.0
    edge = edge.view(-1, 3)
    assert torch.equal(scattered(edge, 0 * skin, size, size, PORTRAIT), edge)
    beside = scattered(edge, skin, size, size, PORTRAIT).view(64, 64, 3)[32, 31]
    assert beside[0] > beside[1] > beside[2] > 0  # red goes furthest


def test_the_body_hides_what_is_behind_it(at_rest: tuple[NDArray[np.float32], Buffers]) -> None:
    buffers = at_rest[1]
    middle = buffers.material[SIZE - 40 : SIZE + 40, SIZE - 20 : SIZE + 20]
    assert (middle >= SKIN).all()

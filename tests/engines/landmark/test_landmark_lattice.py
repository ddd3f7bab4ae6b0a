"""What surrounds a face follows it by shares that fall off with the distance, and bends as the lattice does."""

from __future__ import annotations

import numpy as np
import pytest

from livepuppet.engines.landmark.face_model import CHIN, FOREHEAD, OVAL
from livepuppet.engines.landmark.lattice import BODY, LATTICE, head_shares, lattice_shift, lattice_weights, rim_measure
from livepuppet.engines.landmark.mesh import build_warp_mesh
from livepuppet.engines.landmark.retarget import MODEL
from livepuppet.types import Floats

FACE: Floats = 150 * MODEL + np.array([320.0, 240.0, 0.0])


def test_weights_give_back_any_plane_and_add_up_to_one() -> None:
    places = np.random.default_rng(0).uniform([-3.2, -2.0], [3.2, 2.8], (200, 2))
    weights = lattice_weights(places)
    assert weights.sum(1) == pytest.approx(np.ones(200))
    assert weights @ LATTICE == pytest.approx(places)


def test_beyond_the_lattice_its_edge_goes_on() -> None:
    inside, outside = lattice_weights(np.array([[3.2, 2.8], [9.0, 7.0]]))
    assert inside == pytest.approx(outside)


def test_places_are_in_half_rims() -> None:
    measure = rim_measure(FACE)
    places = measure(FACE)
    assert places[OVAL, 0].min() == pytest.approx(-1, abs=0.1) and places[OVAL, 0].max() == pytest.approx(1, abs=0.1)
    assert places[CHIN, 1] - places[FOREHEAD, 1] == pytest.approx(2, abs=0.05)
    assert measure.pixels(places) == pytest.approx(FACE[:, :2])


def test_the_rings_of_the_net_follow_as_places_do() -> None:
    net = build_warp_mesh(FACE)
    follows = head_shares(net.points[478:, :2], FACE)
    assert np.abs(follows.turning - net.turning[:, 0]).max() < 0.03
    assert np.abs(follows.shifting - net.shifting[:, 0]).max() < 0.03
    assert np.abs(follows.depth - net.points[478:, 2]).max() < 0.06 * 150


def test_a_shift_of_the_body_moves_what_is_below_the_chin_only() -> None:
    moved = lattice_shift(np.array([0.2, -0.1])).reshape(-1, 2)
    assert moved[LATTICE[:, 1] > 1.5] == pytest.approx(np.broadcast_to([0.2, -0.1], ((LATTICE[:, 1] > 1.5).sum(), 2)))
    assert not moved[LATTICE[:, 1] < 0.6].any() and BODY.max() == 1

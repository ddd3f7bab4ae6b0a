"""A puppet that numbers drive: no reference to wait for, the same filters, and a plain word from engines that need pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from blob_engine import BlobAvatar, BlobEngine, portrait
from session_fixtures import Shelf

from livepuppet.errors import UsageError
from livepuppet.live.puppet import Puppet
from livepuppet.live.session import Session
from livepuppet.types import ExpressionFrame, Floats, Image, Motion, Tuning
from livepuppet.vision.expressions import EXPRESSION_UNITS


class NumberEngine(BlobEngine):
    """A blob that the head's yaw moves."""

    def express(self, told: ExpressionFrame) -> Motion:
        return Motion(np.array([float(told.head[0]), 0.0]), np.array([float(told.weights.sum())]), np.asarray(told.head, float))

    def add_expression(self, motion: Motion, weights: Floats) -> Motion:
        return replace(motion, expression=motion.expression + weights.sum())

    def replace_mouth(self, motion: Motion, weights: Floats) -> Motion:
        return replace(motion, expression=np.array([weights.sum()]))

    def tell(self, reference: Motion, driving: Motion) -> ExpressionFrame:
        return told(0, float(driving.pose[0] - reference.pose[0]))


class Teller:
    """A source of numbers."""

    name, live, fps, mirrored, trouble = "teller", False, 30.0, False, ""
    delivers_expressions = True

    def __init__(self, frames: list[ExpressionFrame]) -> None:
        self._frames = iter(frames)

    def read(self) -> ExpressionFrame | None:
        return next(self._frames, None)

    def close(self) -> None:
        return None


def told(index: int, yaw: float = 0.0) -> ExpressionFrame:
    return ExpressionFrame(np.zeros(len(EXPRESSION_UNITS)), index, index / 30, index / 30, head=np.array([yaw, 0.0, 0.0]))


def shift(image: Image) -> int:
    row, rest = image[0, :, 0].astype(int), portrait()[0, :, 0].astype(int)
    return min(range(-32, 32), key=lambda dx: int(np.abs(np.roll(rest, dx) - row).sum()))


def test_it_moves_from_the_first_frame_on() -> None:
    engine = NumberEngine()
    puppet = Puppet(engine, engine.prepare(portrait()), Tuning(smoothing=0.0))
    moved = [shift(puppet.animate(told(i, 0.125)).image) for i in range(20)]
    assert moved[-1] == 8 and puppet.condition.referenced and puppet.condition.face
    out = puppet.animate(told(33, 0.125))
    assert (out.index, out.captured_at, out.media_time) == (33, 1.1, 1.1)


def test_a_reference_that_somebody_takes_counts_from_there() -> None:
    engine = NumberEngine()
    puppet = Puppet(engine, engine.prepare(portrait()), Tuning(smoothing=0.0))
    for i in range(20):
        puppet.animate(told(i, 0.125))
    puppet.reset_reference()
    assert [shift(puppet.animate(told(i, 0.125)).image) for i in range(20, 40)][-1] == 0


@pytest.mark.parametrize(("mirror", "expected"), [(False, 8), (True, -8)])
def test_a_session_of_numbers_may_be_mirrored(mirror: bool, expected: int) -> None:
    engine, shelf = NumberEngine(), Shelf()
    puppet = Puppet(engine, engine.prepare(portrait()), Tuning(smoothing=0.0))
    session = Session(Teller([told(i, 0.125) for i in range(20)]), puppet, [shelf], mirror=mirror)
    session.run()
    assert len(shelf.frames) == 20 and shift(shelf.frames[-1].image) == expected


def test_a_key_adds_to_the_driver_and_what_is_done_can_be_read() -> None:
    engine = NumberEngine()
    puppet = Puppet(engine, engine.prepare(portrait()), Tuning(smoothing=0.0))
    assert puppet.told() is None
    puppet.animate(told(0, 0.1))
    read = puppet.told()
    assert read is not None and read.head[0] == pytest.approx(0.1)
    added: list[Floats] = []
    engine.add_expression = lambda motion, weights: (added.append(weights), motion)[1]  # type: ignore[method-assign,func-returns-value]
    puppet.expressions.hold("smile")
    for i in range(1, 15):
        puppet.animate(told(i, 0.1))
    assert added[-1].max() == pytest.approx(0.75)
    puppet.rest(15, 1.0)
    assert puppet.told() is None


def test_an_engine_that_needs_pictures_says_so() -> None:
    engine = BlobEngine()
    avatar = engine.prepare(portrait())
    assert isinstance(avatar, BlobAvatar)
    with pytest.raises(UsageError, match="engine 'blob' needs pictures") as caught:
        Puppet(engine, avatar).animate(told(0))
    assert caught.value.parameter == "engine"

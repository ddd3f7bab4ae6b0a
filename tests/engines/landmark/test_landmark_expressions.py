"""Numbers drive the landmark engine as a face would: units, head, gaze, and back."""

from __future__ import annotations

from importlib.resources import files

import cv2
import numpy as np
import pytest

from livepuppet.engines.landmark import LandmarkEngine
from livepuppet.engines.landmark.engine import LandmarkAvatar
from livepuppet.engines.landmark.eyes import measure_eyes
from livepuppet.engines.landmark.face_model import COUNT
from livepuppet.engines.landmark.mouth import mouth_opening
from livepuppet.engines.landmark.retarget import MODEL
from livepuppet.types import ExpressionFrame, ExpressiveEngine, Floats, Motion, Tuning
from livepuppet.vision.expressions import EXPRESSION_UNITS, mirrored_expression, unit_weights

REST = ExpressionFrame(np.zeros(len(EXPRESSION_UNITS)))


@pytest.fixture(scope="module")
def engine() -> LandmarkEngine:
    return LandmarkEngine()


@pytest.fixture(scope="module")
def avatar(engine: LandmarkEngine) -> LandmarkAvatar:
    path = files("livepuppet") / "assets/avatars/ada.jpg"
    image = cv2.resize(np.asarray(cv2.imread(str(path))), (256, 256), interpolation=cv2.INTER_AREA)
    return engine.prepare(np.asarray(image[..., ::-1], np.uint8))


def told(head: tuple[float, float, float] = (0, 0, 0), gaze: tuple[float, float] = (0, 0), **units: float) -> ExpressionFrame:
    return ExpressionFrame(unit_weights(units), head=np.array(head), gaze=np.array(gaze))


def shape(motion: Motion) -> Floats:
    """A driver's face."""
    return np.asarray(MODEL + motion.expression.reshape(COUNT, 3))


def test_it_says_that_numbers_can_drive_it(engine: LandmarkEngine) -> None:
    assert isinstance(engine, ExpressiveEngine)


def test_a_face_at_rest_is_the_reference(engine: LandmarkEngine, avatar: LandmarkAvatar) -> None:
    motion = engine.transfer(avatar, engine.express(REST), engine.express(REST), Tuning())
    assert not motion.pose.any() and not motion.expression.any()
    assert np.array_equal(engine.render(avatar, motion, Tuning()), avatar.image)


def test_units_do_what_they_are_called(engine: LandmarkEngine) -> None:
    rest = shape(engine.express(REST))
    opened, smiling, puckered = (shape(engine.express(frame)) for frame in (told(jawOpen=1.0), told(mouthSmile=1.0), told(mouthPucker=1.0)))
    assert mouth_opening(opened) > mouth_opening(rest) + 0.15
    corners = [61, 291]
    assert (smiling[corners, 1] < rest[corners, 1] - 0.03).all()
    assert np.ptp(puckered[corners, 0]) < np.ptp(rest[corners, 0]) - 0.03 < np.ptp(smiling[corners, 0]) - 0.03
    brows = shape(engine.express(told(browInnerUp=1.0, browOuterUp=1.0)))
    assert (brows[[105, 334], 1] < rest[[105, 334], 1] - 0.015).all()
    chewing = shape(engine.express(told(jawOpen=0.6, mouthClose=0.6)))
    assert mouth_opening(chewing) < mouth_opening(rest) + 0.03


def test_lids_close_wholly_and_on_the_side_that_is_meant(engine: LandmarkEngine, avatar: LandmarkAvatar) -> None:
    rest = engine.express(REST)
    wink = engine.transfer(avatar, rest, engine.express(told(eyeBlinkLeft=1.0)), Tuning())
    picture_left, picture_right = wink.expression[COUNT * 3 : COUNT * 3 + 2]
    assert picture_right > 0.95 and abs(picture_left) < 0.05  # the person's left eye is in the picture's right half
    half = measure_eyes(shape(engine.express(told(eyeBlink=0.5)))).opening / measure_eyes(MODEL).opening
    assert np.allclose(half, 0.5, atol=0.1)


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("amount", [0.2, -0.2])
def test_the_head_turns_as_the_numbers_say(engine: LandmarkEngine, avatar: LandmarkAvatar, number: int, amount: float) -> None:
    head = [0.0, 0.0, 0.0]
    head[number] = amount
    motion = engine.express(told(head=(head[0], head[1], head[2])))
    assert np.allclose(motion.view, head, atol=1e-9)
    turned = engine.transfer(avatar, engine.express(REST), motion, Tuning()).view - avatar.neutral.view
    assert np.argmax(np.abs(turned)) == number and turned[number] == pytest.approx(amount, abs=0.06)


def test_gaze_goes_where_it_is_told_by_angle_or_by_units(engine: LandmarkEngine, avatar: LandmarkAvatar) -> None:
    def look(frame: ExpressionFrame) -> Floats:
        motion = engine.transfer(avatar, engine.express(REST), engine.express(frame), Tuning())
        return np.asarray(motion.expression[COUNT * 3 + 2 :].reshape(2, 2).mean(0))

    assert look(told(gaze=(0.3, 0.0)))[0] > 0.05 and look(told(gaze=(0.0, 0.3)))[1] > 0.03
    assert look(told(eyeLookOutLeft=0.6, eyeLookInRight=0.6))[0] > 0.05  # to the person's left, the picture's right
    assert look(mirrored_expression(told(eyeLookOutLeft=0.6, eyeLookInRight=0.6)))[0] < -0.05


def test_what_was_told_can_be_read_back(engine: LandmarkEngine) -> None:
    frame = ExpressionFrame(
        unit_weights({"jawOpen": 0.5, "mouthSmile": 0.6, "browInnerUp": 0.7, "eyeBlinkRight": 0.8}),
        head=np.array([0.2, -0.1, 0.05]),
        shift=np.array([0.1, -0.05, 0.3]),
    )
    read = engine.tell(engine.express(REST), engine.express(frame))
    assert np.allclose(read.head, frame.head, atol=1e-6) and np.allclose(read.shift, frame.shift, atol=1e-6)
    for name in ("jawOpen", "mouthSmileLeft", "browInnerUp", "eyeBlinkRight"):
        place = EXPRESSION_UNITS.index(name)
        assert read.weights[place] == pytest.approx(frame.weights[place], abs=0.25), name
    assert read.weights[EXPRESSION_UNITS.index("eyeBlinkLeft")] < 0.15


def test_another_mouth_leaves_eyes_and_brows_alone(engine: LandmarkEngine) -> None:
    seen = engine.express(told(jawOpen=0.8, eyeBlink=1.0, browInnerUp=1.0))
    silent = engine.replace_mouth(seen, REST.weights)
    assert mouth_opening(shape(silent)) == pytest.approx(mouth_opening(MODEL), abs=1e-6)
    upper = MODEL[:, 1] < MODEL[4, 1]
    assert np.array_equal(shape(silent)[upper], shape(seen)[upper])
    assert np.array_equal(silent.pose, seen.pose)
    louder = engine.add_expression(silent, told(jawOpen=0.8).weights)
    assert mouth_opening(shape(louder)) == pytest.approx(mouth_opening(shape(seen)), abs=0.02)

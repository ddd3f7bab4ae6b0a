"""Whether a face can be seen where its landmarks were found: a hand, a book, a telephone or a microphone before it misleads a tracker,
which goes on from the previous frame and bends the face round whatever is there.

Two witnesses that do not rest on the previous frame are heard. The texture of brows and eyes, nose and lips, taken at the landmarks, is
compared with what it was in earlier views of the same face; and where it differs, a detector that is shown this frame only says how sure
it is that there is a face. A face that turns, speaks or stands in another light changes the first and not the second; what hides a face
changes both.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.types import Floats, Image
from livepuppet.vision.cuts import CutDetector
from livepuppet.vision.face_detection import FaceDetector
from livepuppet.vision.orientation import quarters_to_upright
from livepuppet.vision.windows import bounding_box, cut_window, window_round

log = logging.getLogger("livepuppet.vision.face_watch")

Verdict: TypeAlias = Literal["seen", "hidden", "nobody"]
"""Of landmarks: they show the face; something is before it; there is no face at all where they are."""

# fmt: off
PARTS = tuple(np.array(points) for points in (
    [22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 34, 35, 46, 47, 52, 53, 55, 56, 63, 65, 66, 68, 69, 70, 71, 104, 105, 107, 108, 110, 111,
     112, 113, 114, 116, 117, 119, 120, 121, 124, 128, 130, 139, 143, 156, 189, 190, 221, 222, 223, 224, 225, 226, 227, 228, 229, 230,
     231, 232, 233, 243, 244, 247],
    [252, 253, 254, 255, 256, 257, 258, 259, 260, 261, 264, 265, 276, 277, 282, 283, 285, 286, 293, 295, 296, 298, 299, 300, 301, 333,
     334, 336, 337, 339, 340, 341, 342, 343, 345, 346, 348, 349, 350, 353, 357, 359, 368, 372, 383, 413, 414, 441, 442, 443, 444, 445,
     446, 447, 448, 449, 450, 451, 452, 453, 463, 464, 467],
    [1, 2, 3, 4, 5, 19, 20, 44, 45, 48, 49, 51, 59, 60, 64, 75, 79, 94, 97, 98, 99, 100, 102, 115, 125, 126, 129, 131, 134, 141, 142,
     164, 165, 166, 167, 195, 198, 203, 209, 217, 218, 219, 220, 235, 236, 237, 238, 239, 240, 241, 242, 248, 250, 274, 275, 278, 279,
     281, 289, 290, 294, 305, 309, 326, 327, 328, 329, 331, 344, 354, 355, 358, 360, 363, 370, 371, 391, 392, 393, 420, 423, 429, 437,
     438, 439, 440, 455, 456, 457, 458, 459, 460, 461, 462],
    [0, 11, 12, 15, 16, 17, 18, 37, 38, 39, 40, 41, 42, 43, 57, 61, 62, 72, 73, 74, 76, 77, 83, 84, 85, 86, 89, 90, 91, 92, 96, 106, 146,
     179, 180, 181, 182, 183, 184, 185, 186, 194, 202, 204, 211, 267, 268, 269, 270, 271, 272, 273, 287, 291, 292, 302, 303, 304, 306,
     307, 313, 314, 315, 316, 319, 320, 321, 322, 325, 335, 375, 403, 404, 405, 406, 407, 408, 409, 410, 418, 422, 424, 431],
))
# fmt: on
"""Landmarks of the brow and the surroundings of the eye, left and right in the picture, of the nose, and of the lips, without what opens
and shuts."""
NOSE, LIPS = 2, 3
CHIN = 152

SAMPLE_PX, SAMPLE_ROOM, BLUR_PX = 96, 1.6, 1.2
"""Colours are taken from a window `SAMPLE_ROOM` times as large as the face, shown at `SAMPLE_PX`."""
NOISE = 3.0
"""Levels that a colour trembles by: a part with less texture than that says nothing."""
LEAST_SHOWN = 0.8
"""Of a part that lies outside the picture for the most part, nothing is said."""
VIEWS = 8
NEW_VIEW = 0.8
"""A face that is less like all remembered views than this is remembered as another one."""
LEARNING = 0.05
"""Share of a frame in what is remembered."""
TELLING = 0.6
"""A part that is usually this alike from frame to frame, at least, is a witness."""
GONE, BACK = 0.6, 0.75
"""A part is gone where it is less alike than this share of what is usual; once the face is hidden, until it is more alike than that."""
LIPS_GONE, NOSE_CHANGED = 0.4, 0.85
"""A smile changes the lips as much as a hand does: lips alone are gone only where they are less alike than this, or the nose is, too."""
CHANGED = 0.8
"""A part that is less alike than this share of what is usual is learnt only where the detector has no doubt."""
JUMP, GROWTH = 0.35, 0.2
"""Sides that a face does not go from one frame to the next, and the change of its log size."""
CHECK_EVERY = 10
"""Frames after which the detector is asked in any case, so that what it usually says is known."""
SURE, WITNESS = 0.5, 0.7
"""Below the one score the detector sees no face; below the other it usually says too little of this face to be heard."""
DOUBT, SLIGHT_DOUBT = 0.09, 0.012
"""So much less sure than usual the detector is when something is before the face, and when it is before the mouth only."""
ONE_SIDE_DOUBT = 0.15
"""The same where only an eye or the nose is gone: a head that turns hides one of them itself."""
CHECK_PX = 192
"""The detector is shown the face's surroundings at this size."""
UPRIGHT_ROOM, REFUSED_FRAMES = 3.0, 30
"""How much is looked at, in sizes of the face, to see whether it is upright; one that is not is not looked at again for so many frames."""
LIPS_FRAMES = 2
"""Lips must be gone for so many frames: they may move faster than the landmarks follow."""
SEARCH_ROOM = 3.0
"""A face that was hidden is looked for in a window this much larger than it, before it is looked for anywhere."""
STRANGE = 3
"""A face that comes back with so many parts gone, or is elsewhere with so many parts changed, is somebody else: who comes out from behind a
hand is who was behind it."""
ELSEWHERE = 1.0
"""Sides of the face."""
ADOPT_FRAMES, STEADY, ADOPT_DOUBT = 90, 14.0, 0.15
"""A face that looks otherwise for this long, within so many levels the same, has changed: it wears a mask now, or is another that stays."""


@dataclass(frozen=True, eq=False)
class Texture:
    """The colours at the landmarks.

    Attributes:
        colours: (478, 3) levels.
        shown: (478,) bool, which of them are in the picture.
    """

    colours: Floats
    shown: NDArray[np.bool_]

    def likeness(self, other: Texture) -> Floats:
        """Correlation of each part with the other's, -1 … 1; NaN where too little of it is shown. Neither brightness nor tint count."""
        both = self.shown & other.shown
        found = []
        for points in PARTS:
            joint = points[both[points]]
            found.append(correlation(self.colours[joint], other.colours[joint]) if len(joint) >= LEAST_SHOWN * len(points) else np.nan)
        return np.array(found)

    def difference(self, other: Texture) -> float:
        """Levels, on average over what both show."""
        both = self.shown & other.shown
        return float(np.abs(self.colours[both] - other.colours[both]).mean()) if both.any() else np.inf

    def blended(self, other: Texture, weight: float) -> Texture:
        """This texture with a share of the other's."""
        weights = np.where(self.shown, np.where(other.shown, weight, 0.0), 1.0)[:, None]
        return Texture(self.colours + weights * (other.colours - self.colours), self.shown | other.shown)


class FaceWatch:
    """Remembers how one face looks, and judges landmarks by it. Belongs to a tracker: one thread, one stream of frames."""

    def __init__(self) -> None:
        self._cuts = CutDetector()
        self._detector: FaceDetector | None = None
        self._refused = 0
        self._told = False
        self.forget()

    def forget(self) -> None:
        """Begin with another face."""
        self._views: list[Texture] = []
        self._usual = np.full(len(PARTS), np.nan)
        self._score_usual: float | None = None
        self._doubt = 0.0
        self._place: tuple[float, float, float] | None = None
        self._last_place: tuple[float, float, float] | None = None
        self._before: Texture | None = None
        self._since_check = self._lips_gone = self._hidden = self._steady = 0

    def is_cut(self, image: Image) -> bool:
        """Whether this frame begins another shot; what was remembered is then forgotten."""
        cut = self._cuts(image)
        if cut:
            self.forget()
        return cut

    def where_it_was(self, image: Image) -> Image:
        """The image with nothing but the surroundings of where the face was last seen; the image itself where it never was."""
        if self._last_place is None:
            return image
        left, top, reach = window_round(*self._last_place, SEARCH_ROOM)
        rows, columns = slice(max(0, top), max(0, top + reach)), slice(max(0, left), max(0, left + reach))
        only = np.zeros_like(image)
        only[rows, columns] = image[rows, columns]
        return only

    def judge(self, image: Image, landmarks: Floats) -> Verdict:
        """Whether the face is seen at these landmarks (478, 3), pixels of the image; what is seen is learnt from."""
        place = bounding_box(landmarks)
        texture = sample_texture(image, landmarks, place)
        likeness = self._likeness(texture)
        jumped = self._place is not None and jump(self._place, place)
        self._since_check += 1
        if self._score_usual is None:
            verdict: Verdict = self._first_look(image, place)
        elif jumped or self._below(likeness, CHANGED).any() or self._since_check >= CHECK_EVERY:
            elsewhere = self._last_place is not None and distance(self._last_place, place) > ELSEWHERE
            verdict = self._check(self._score_usual - self._score(image, place), likeness, jumped, elsewhere)
        else:
            verdict, self._doubt = "seen", 0.0
        if verdict == "seen":
            self._hidden, self._steady, self._before = 0, 0, None
            self._place = self._last_place = place
            changed, lips_gone = self._below(likeness, CHANGED).any(), self._below(likeness, GONE)[LIPS]
            if not changed or (self._doubt <= SLIGHT_DOUBT and not lips_gone):
                self._learn(texture, likeness)
        else:
            steady = self._before is not None and texture.difference(self._before) < STEADY and self._doubt <= ADOPT_DOUBT
            self._hidden, self._place = self._hidden + 1, None
            self._steady, self._before = (self._steady + 1, self._before) if steady else (0, texture)
        return verdict

    def _first_look(self, image: Image, place: tuple[float, float, float]) -> Verdict:
        """The verdict on a face that nothing is known of: it need only be upright, for of others the landmarks are nonsense."""
        if self._refused > 0:
            self._refused -= 1
            return "nobody"
        quarters = quarters_to_upright([cut_window(image, window_round(*place, UPRIGHT_ROOM), 2 * CHECK_PX)])
        if quarters:
            self._refused = REFUSED_FRAMES
            if not self._told:
                log.info("the driver is not upright: turn the camera or the video by %d°", 90 * quarters if quarters < 3 else 90)
            self._told = True
            return "nobody"
        self._score_usual, self._doubt = self._score(image, place), 0.0
        return "seen"

    def _check(self, doubt: float, likeness: Floats, jumped: bool, elsewhere: bool) -> Verdict:
        """The verdict on a face that may be hidden.

        Args:
            doubt: how much less sure than usual the detector is.
            jumped: farther than a face goes within a frame.
            elsewhere: far from where the face was last seen.
        """
        assert self._score_usual is not None
        self._since_check, self._doubt = 0, doubt
        gone = self._below(likeness, BACK if self._hidden else GONE)
        if self._score_usual - doubt < SURE <= self._score_usual and (gone.any() or jumped):
            return "nobody"
        stranger = bool(gone.sum() >= STRANGE and self._hidden) or bool(self._below(likeness, CHANGED).sum() >= STRANGE and elsewhere)
        if not stranger and (not gone.any() or self._score_usual < WITNESS):
            self._score_usual -= 2 * LEARNING * doubt
            self._lips_gone = 0
            return "seen"
        lips = bool(gone[LIPS]) and (bool(self._hidden) or self._lips_hidden(likeness))
        self._lips_gone = self._lips_gone + 1 if lips and doubt > (0.0 if self._hidden else SLIGHT_DOUBT) else 0
        others = int(np.delete(gone, LIPS).sum())
        enough = DOUBT if others + lips > 1 or lips else ONE_SIDE_DOUBT
        if not stranger and not (doubt > enough and (others or lips)) and self._lips_gone < (1 if self._hidden else LIPS_FRAMES):
            return "seen"
        if self._steady < ADOPT_FRAMES:
            return "nobody" if stranger else "hidden"
        self.forget()
        return "seen"

    def _lips_hidden(self, likeness: Floats) -> bool:
        """Whether lips that are gone are behind something: so unlike as no smile makes them, or not alone."""
        turned = self._below(likeness, CHANGED)[:NOSE].any()
        return bool(self._below(likeness, LIPS_GONE)[LIPS] or (self._below(likeness, NOSE_CHANGED)[NOSE] and not turned))

    def _below(self, likeness: Floats, share: float) -> NDArray[np.bool_]:
        """Which telling parts are less alike than this share of what is usual."""
        return np.asarray((self._usual >= TELLING) & (likeness < share * self._usual))  # NaN is not less than anything

    def _likeness(self, texture: Texture) -> Floats:
        """To the most alike of the remembered views, part by part."""
        if not self._views:
            return np.full(len(PARTS), np.nan)
        return np.asarray(np.fmax.reduce([texture.likeness(view) for view in self._views]))

    def _learn(self, texture: Texture, likeness: Floats) -> None:
        known = ~np.isnan(likeness)
        usual = np.where(np.isnan(self._usual), likeness, self._usual)
        self._usual = np.where(known, usual + LEARNING * (likeness - usual), self._usual)
        alike = [mean_likeness(texture.likeness(view)) for view in self._views]
        nearest = int(np.argmax(alike)) if alike else None
        if nearest is not None and alike[nearest] >= NEW_VIEW:
            self._views[nearest] = self._views[nearest].blended(texture, LEARNING)
        else:
            self._views = [*self._views[-(VIEWS - 1) :], texture]

    def _score(self, image: Image, place: tuple[float, float, float]) -> float:
        """How sure the detector is of a face there, 0 … 1."""
        if self._detector is None:
            self._detector = FaceDetector(0.05)
        faces = self._detector(cut_window(image, window_round(*place, 2.0), CHECK_PX))
        middle, reach = CHECK_PX / 2, CHECK_PX / 4
        near = [face.score for face in faces if max(abs(face.x - middle), abs(face.y - middle)) < reach < face.side]
        return max(near, default=0.0)

    def close(self) -> None:
        """Free the detector. May be called twice."""
        if self._detector is not None:
            self._detector.close()
            self._detector = None


def mean_likeness(likeness: Floats) -> float:
    """Of the parts that are known; -1 where none is."""
    known = likeness[~np.isnan(likeness)]
    return float(known.mean()) if known.size else -1.0


def distance(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    """How far apart two places are, in sides of the larger face."""
    return float(np.hypot(one[0] - other[0], one[1] - other[1]) / max(one[2], other[2]))


def jump(before: tuple[float, float, float], now: tuple[float, float, float]) -> bool:
    """Whether a face cannot have gone, or grown, from the one place to the other within a frame."""
    (x, y, side), (there_x, there_y, there_side) = before, now
    return bool(max(abs(x - there_x), abs(y - there_y)) > JUMP * max(side, there_side) or abs(np.log(there_side / side)) > GROWTH)


def sample_texture(image: Image, landmarks: Floats, place: tuple[float, float, float]) -> Texture:
    """The colours at the landmarks, a little blurred."""
    left, top, reach = window_round(*place, SAMPLE_ROOM)
    seen = cv2.GaussianBlur(cut_window(image, (left, top, reach), SAMPLE_PX), (0, 0), BLUR_PX)
    at = ((landmarks[:, :2] - [left, top]) * (SAMPLE_PX / reach)).astype(np.float32)
    inside = ((landmarks[:, :2] >= 0) & (landmarks[:, :2] < image.shape[1::-1])).all(axis=1)
    colours = np.asarray(cv2.remap(seen, at[None, :, 0].copy(), at[None, :, 1].copy(), cv2.INTER_LINEAR)[0], np.float64)
    if not inside[CHIN]:  # where the chin is outside the picture, the lips are guessed
        inside[PARTS[LIPS]] = False
    return Texture(colours, inside)


def correlation(one: Floats, other: Floats) -> float:
    """Mean over the colour channels, -1 … 1; near 0 for what is hardly textured."""
    a, b = one - one.mean(axis=0), other - other.mean(axis=0)
    noise = len(one) * NOISE**2
    return float(((a * b).sum(axis=0) / np.sqrt((np.square(a).sum(axis=0) + noise) * (np.square(b).sum(axis=0) + noise))).mean())

"""What the mouth does for each sound, and how it moves from one sound to the next.

The names are those that Festival and Flite print for their English, Italian, Finnish and Czech voices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from livepuppet.speech.features import HOP_S
from livepuppet.speech.mouth_network import CHANNELS

SHAPES = 4
"""So many of the network's channels are shapes that blend; the others hold or do not."""


@dataclass(frozen=True)
class Viseme:
    """A mouth to aim at.

    Attributes:
        shape: jaw, spread, round, teeth.
        pull: how strongly it draws its neighbours to itself (Cohen and Massaro, "Modeling coarticulation", 1993).
        reach_s: how far in time.
    """

    shape: tuple[float, float, float, float]
    pull: float = 1.0
    reach_s: float = 0.06


VISEMES: dict[str, Viseme] = {
    "a": Viseme((1.0, 0.15, 0.0, 0.5), 1.2, 0.07),
    "ae": Viseme((0.85, 0.5, 0.0, 0.6), 1.2, 0.07),
    "uh": Viseme((0.5, 0.2, 0.05, 0.3), 0.8),
    "e": Viseme((0.6, 0.55, 0.0, 0.5), 1.0),
    "i": Viseme((0.28, 0.8, 0.0, 0.45), 1.0),
    "o": Viseme((0.65, 0.0, 0.65, 0.15), 1.2, 0.07),
    "u": Viseme((0.2, 0.0, 1.0, 0.0), 1.3, 0.08),
    "r": Viseme((0.32, 0.1, 0.4, 0.2), 0.7),
    "sh": Viseme((0.22, 0.1, 0.6, 0.5), 0.9, 0.05),
    "s": Viseme((0.15, 0.45, 0.0, 0.5), 0.9, 0.04),
    "t": Viseme((0.25, 0.3, 0.0, 0.35), 0.5, 0.04),
    "l": Viseme((0.35, 0.3, 0.0, 0.3), 0.5, 0.04),
    "th": Viseme((0.25, 0.3, 0.0, 0.4), 0.7, 0.04),
    "k": Viseme((0.35, 0.25, 0.0, 0.3), 0.25, 0.05),
    "h": Viseme((0.4, 0.2, 0.0, 0.3), 0.12, 0.05),
    "p": Viseme((0.0, 0.1, 0.05, 0.0), 4.0, 0.025),
    "f": Viseme((0.08, 0.2, 0.0, 0.3), 3.0, 0.03),
    "rest": Viseme((0.0, 0.0, 0.0, 0.0), 1.5, 0.06),
}

_ENGLISH = {
    "a": "aa", "ae": "ae", "uh": "ax ah", "e": "eh", "i": "iy ih y", "o": "ao", "u": "uw uh w", "r": "r er axr", "sh": "sh zh ch jh",
    "s": "s z", "t": "t d n dx nx", "l": "l el", "th": "th dh", "k": "k g ng", "h": "hh hv", "p": "p b m", "f": "f v",
    "rest": "pau h# brth #",
}  # fmt: skip
_ITALIAN = {
    "a": "a a1", "e": "e e1 E E1", "i": "i i1 j", "o": "o o1 O O1", "u": "u u1 w", "r": "r", "sh": "S Z tS dZ", "s": "s z ts dz",
    "t": "t d n J", "l": "l L LL", "k": "k g ng nf", "p": "p b m", "f": "f v", "rest": "# ## ",
}  # fmt: skip
_FINNISH = {
    "a": "a a: aa", "ae": "ae ae: @ @@ @:", "e": "e e: ee", "i": "i i: ii j", "o": "o o: oo oe oe: 7 77 7:", "u": "u u: uu y y: yy",
    "r": "r", "sh": "sh S", "s": "s", "t": "t t: d n n: N", "l": "l l:", "k": "k k: g ng", "h": "h", "p": "p p: b m m: w", "f": "f v",
    "rest": "# ## _ pau",
}  # fmt: skip
_CZECH = {
    "a": "a a:", "e": "e e:", "i": "i i: j", "o": "o o:", "u": "u u:", "r": "r r~ r~*", "sh": "s~ z~ c~ dz~ ch~", "s": "s z c dz",
    "t": "t d n t~ d~ n~", "l": "l", "k": "k g n* ch", "h": "h", "p": "p b m", "f": "f v", "rest": "# _",
}  # fmt: skip


def _table(groups: dict[str, str]) -> dict[str, str]:
    return {phone: viseme for viseme, phones in groups.items() for phone in phones.split()}


LANGUAGES = {"english": _table(_ENGLISH), "italian": _table(_ITALIAN), "finnish": _table(_FINNISH), "czech": _table(_CZECH)}
DIPHTHONGS = {"ay": ("a", "i"), "aw": ("a", "u"), "oy": ("o", "i"), "ey": ("e", "i"), "ow": ("o", "u")}

Segment = tuple[str, float]
"""A sound's name and when it ends, in seconds."""


def aims_of(phone: str, language: str) -> tuple[str, ...]:
    """The mouths that a sound goes through, one after the other. Raises KeyError for a sound that the language's table lacks."""
    if phone == "rest":
        return ("rest",)
    if language == "english" and phone in DIPHTHONGS:
        return DIPHTHONGS[phone]
    return (LANGUAGES[language][phone],)


def targets(segments: Sequence[Segment], language: str, rows: int) -> NDArray[np.float32]:
    """(rows, CHANNELS): what the mouth does at each hundredth of a second, for sounds that end at the given times.

    Raises:
        KeyError: a sound that the language's table lacks.
    """
    times = np.arange(rows) * HOP_S
    pulled, total = np.zeros((rows, SHAPES)), np.full(rows, 1e-6)
    out = np.zeros((rows, len(CHANNELS)), np.float32)
    begin = 0.0
    for phone, end in segments:
        aims = aims_of(phone, language)
        for number, name in enumerate(aims):
            aim = VISEMES[name]
            low = begin + (end - begin) * number / len(aims)
            high = low + (end - begin) / len(aims)
            middle, half = (low + high) / 2, (high - low) / 2
            outside = np.maximum(np.abs(times - middle) - 0.5 * half, 0.0)  # the middle half of a sound is the sound
            weight = aim.pull * np.exp(-outside / aim.reach_s)
            pulled += weight[:, None] * np.array(aim.shape)
            total += weight
            inside = (times >= low) & (times < high)
            out[inside, CHANNELS.index("voice")] = name != "rest"
            if name in ("p", "f"):
                out[inside, CHANNELS.index("shut" if name == "p" else "bite")] = 1.0
        begin = end
    out[:, :SHAPES] = pulled / total[:, None]
    return out

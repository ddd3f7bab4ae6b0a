"""Expressions at a key: a smile, a wink, an "o" that come quickly, stay as long as they are held, and fade into whatever drives."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from livepuppet.errors import UsageError
from livepuppet.types import Floats
from livepuppet.vision.expressions import EXPRESSION_UNITS, unit_weights

EXPRESSIONS: Mapping[str, Mapping[str, float]] = {
    "smile": {"mouthSmile": 0.75, "cheekSquint": 0.5, "mouthDimple": 0.2, "eyeSquint": 0.2},
    "surprise": {"browInnerUp": 0.9, "browOuterUp": 0.9, "eyeWide": 0.8, "jawOpen": 0.3, "mouthFunnel": 0.15},
    "wink": {"eyeBlinkLeft": 1.0, "cheekSquintLeft": 0.6, "mouthSmileLeft": 0.45, "browDownLeft": 0.2},
    "brows": {"browInnerUp": 0.8, "browOuterUp": 0.8},
    "sadness": {"browInnerUp": 0.85, "mouthFrown": 0.75, "mouthShrugLower": 0.4, "eyeLookDown": 0.2},
    "o": {"jawOpen": 0.32, "mouthFunnel": 0.6, "mouthPucker": 0.35},
}
"""Names and what they add, in ARKit's units at full strength."""
ATTACK_S, RELEASE_S = 0.18, 0.40


class ExpressionKeys:
    """Which named expressions are held, and how far each has come. For one thread.

    Args:
        attack_s, release_s: how long one takes to come and to go.
    """

    def __init__(self, attack_s: float = ATTACK_S, release_s: float = RELEASE_S) -> None:
        self._attack, self._release = attack_s, release_s
        self._held: set[str] = set()
        self._levels: dict[str, float] = {}
        self._at: float | None = None

    @property
    def held(self) -> frozenset[str]:
        """The expressions that are held now."""
        return frozenset(self._held)

    def hold(self, name: str, on: bool = True) -> None:
        """Begin an expression, or let it go.

        Raises:
            UsageError: there is none of that name.
        """
        if name not in EXPRESSIONS:
            raise UsageError(f"no expression '{name}': choose one of {', '.join(EXPRESSIONS)}", parameter="expression")
        (self._held.add if on else self._held.discard)(name)

    def toggle(self, name: str) -> bool:
        """Hold it if it is not held, else let it go; whether it is held now. Raises what `hold` does."""
        self.hold(name, name not in self._held)
        return name in self._held

    def weights(self, seconds: float) -> Floats | None:
        """What is added at that time (52,), 0 … 1; None: nothing. seconds: rising; after a step back time goes on from there."""
        passed = 0.0 if self._at is None else max(0.0, seconds - self._at)
        self._at = seconds
        out = np.zeros(len(EXPRESSION_UNITS))
        for name in self._held | self._levels.keys():
            level = self._levels.get(name, 0.0)
            level += passed / self._attack if name in self._held else -passed / self._release
            self._levels[name] = level = min(1.0, max(0.0, level))
            out += level * level * (3 - 2 * level) * unit_weights(EXPRESSIONS[name])
        self._levels = {name: level for name, level in self._levels.items() if level > 0 or name in self._held}
        return np.minimum(out, 1.0) if out.any() else None

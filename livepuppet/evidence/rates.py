"""The error rates that `verify` prints: measured by benchmarks/evidence.py, shipped beside this file, never estimated here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np

from livepuppet.evidence.measurement import ClueName, Measurements


@dataclass(frozen=True, slots=True)
class ErrorRates:
    """How a test did on people it never saw.

    Attributes:
        threshold: below it lies the puppets' side.
        usual: from where to where nine of ten camera recordings lie.
        false_alarms: share of camera recordings below the threshold that was chosen on other people.
        misses: share of puppets not below it.
        area: under the ROC curve; 0.5 is chance.
        area_interval: 95 % of it, by bootstrap over people.
        recordings, puppets: how many were measured.
    """

    threshold: float
    usual: tuple[float, float]
    false_alarms: float
    misses: float
    area: float
    area_interval: tuple[float, float]
    recordings: int
    puppets: int

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> ErrorRates:
        """From the shipped file's entry."""
        return cls(**{**entry, "usual": tuple(entry["usual"]), "area_interval": tuple(entry["area_interval"])})


@dataclass(frozen=True, slots=True)
class Combination:
    """Several tests in one number: a sum of their logarithms, each brought to one scale.

    Attributes:
        terms: test -> mean and spread of its logarithm, and weight.
    """

    terms: Mapping[ClueName, tuple[float, float, float]]

    def __call__(self, values: Mapping[ClueName, float | None]) -> float | None:
        """Higher is more like a camera recording. A test without a value counts as undecided; None where no test has one."""
        known = [(name, value) for name in self.terms if (value := values.get(name)) is not None]
        if not known:
            return None
        return sum(self.terms[name][2] * standardised(value, *self.terms[name][:2]) for name, value in known)


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What was measured.

    Attributes:
        people: how many different ones.
        clues: those that are of use, by name.
        combination, combined: all in one number, and how that did.
    """

    people: int
    clues: Mapping[ClueName, ErrorRates]
    combination: Combination
    combined: ErrorRates

    def combine(self, measured: Measurements) -> float | None:
        return self.combination({name: one.value for name, one in measured.clues.items()})


FLOOR = 0.1
"""Added before the logarithm: nothing at all is not infinitely much evidence."""
FARTHEST = 3.0
"""Spreads from the middle beyond which a value counts no more."""


def standardised(value: float, mean: float, spread: float) -> float:
    """The value's logarithm in spreads from the mean."""
    return float(np.clip((np.log(value + FLOOR) - mean) / spread, -FARTHEST, FARTHEST))


@lru_cache
def shipped_benchmark() -> Benchmark:
    """The benchmark's outcome that comes with this release."""
    found = json.loads((files("livepuppet.evidence") / "rates.json").read_text("utf-8"))
    return Benchmark(
        people=found["people"],
        clues={name: ErrorRates.of(entry) for name, entry in found["tests"].items()},
        combination=Combination({name: tuple(term) for name, term in found["terms"].items()}),
        combined=ErrorRates.of(found["combined"]),
    )

"""What `examine` returns: provenance first, then each test with its value, its usual range, its measured error rates and its limits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from livepuppet.evidence.measurement import ClueName, Measured, Measurements
from livepuppet.evidence.rates import Benchmark, ErrorRates
from livepuppet.provenance.verification import VerificationResult
from livepuppet.types import Image

TOO_LITTLE = "too little to tell"


@dataclass(frozen=True, slots=True)
class ClueText:
    """title, unit of the value, what is looked at, and one sentence on what it cannot show."""

    title: str
    unit: str
    question: str
    limit: str


TEXTS: dict[ClueName, ClueText] = {
    "new_pixels": ClueText(
        "New light and skin",
        "%",
        "how much the skin's brightness changes beyond what any warp of one frame explains",
        "Cannot show: who made the frames; a face swapped or generated frame by frame has new pixels too, "
        "a puppet whose shading follows its driver has some, and a person in soft light who hardly turns has few.",
    ),
    "background": ClueText(
        "Background that breathes",
        "%",
        "how much of what lies beside the person changes at all within eight frames",
        "Cannot show: whether the person is the camera's; a virtual background, noise reduction and strong compression also freeze a "
        "background, and a puppet before a filmed one has one that moves.",
    ),
    "blinks": ClueText(
        "How far the lids close",
        "of the way",
        "the depth of the blinks that were seen",
        "Cannot show: whose blinks these are; a puppet repeats its driver's.",
    ),
}
COMBINED_LIMIT = (
    "Cannot show: anything about kinds of video that were not measured, drawn faces among them; only livepuppet's own puppets were, "
    "and another program's may leave other traces."
)
TOGETHER = ClueText("Taken together", "points", "all tests in one number", COMBINED_LIMIT)


@dataclass(frozen=True, eq=False)
class EvidenceReport:
    """Evidence, and no verdict.

    Attributes:
        path: the file.
        provenance: its credentials and livepuppet's mark.
        measurements: what the tests measured.
        benchmark: how well these tests do.
        seconds: from where to where the video was looked at; None: nobody was seen.
        still: a frame of that stretch.
    """

    path: Path
    provenance: VerificationResult
    measurements: Measurements
    benchmark: Benchmark
    seconds: tuple[float, float] | None = None
    still: Image | None = None

    def rows(self) -> list[tuple[ClueName, Measured, ErrorRates]]:
        """The tests that are of use, each with what it measured and how well it does."""
        return [(name, self.measurements.clues[name], rates) for name, rates in self.benchmark.clues.items()]

    @property
    def combined(self) -> float | None:
        """All tests in one number, higher is more like a camera recording; None: too little to tell."""
        return self.benchmark.combine(self.measurements)

    def sentences(self) -> list[str]:
        """All of it in words, provenance first."""
        return [*self.provenance.sentences(), *self._evidence()]

    def _evidence(self) -> Iterator[str]:
        if self.seconds is not None:
            yield f"Evidence from {self.seconds[0]:.1f} to {self.seconds[1]:.1f} s, the longest stretch with one face and no cut:"
        for name, measured, rates in self.rows():
            yield f"{TEXTS[name].title}: {outcome_in_words(measured, rates, TEXTS[name])}"
        together = Measured(self.combined, "no test has enough to go on")
        yield f"Taken together: {outcome_in_words(together, self.benchmark.combined, TOGETHER)}"
        yield (
            f"Rates were measured on {self.benchmark.combined.recordings} camera recordings and "
            f"{self.benchmark.combined.puppets} puppets of {self.benchmark.people} people, "
            "each person with thresholds chosen on the others: so few people make them rough."
        )

    def as_json(self) -> dict[str, Any]:
        combined = self.combined
        return {
            **self.provenance.as_json(),
            "evidence": {
                "seconds": None if self.seconds is None else [round(second, 2) for second in self.seconds],
                "tests": {
                    name: outcome_as_json(measured, rates) | {"unit": TEXTS[name].unit, "cannot_show": TEXTS[name].limit}
                    for name, measured, rates in self.rows()
                },
                "combined": outcome_as_json(Measured(combined, "no test has enough to go on"), self.benchmark.combined),
                "people_measured": self.benchmark.people,
                "sentences": list(self._evidence()),
            },
        }


def outcome_in_words(measured: Measured, rates: ErrorRates, text: ClueText) -> str:
    """A value, where camera recordings lie, how often its side of the threshold is the wrong one, and what it cannot show."""
    if measured.value is None:
        return f"{TOO_LITTLE} ({measured.reason})."
    low, high = rates.usual
    below = measured.value < rates.threshold
    recordings, puppets = (rates.false_alarms, 1 - rates.misses) if below else (1 - rates.false_alarms, rates.misses)
    return (
        f"{measured.value:.2f} {text.unit} (nine of ten camera recordings: {low:.2f} to {high:.2f}). "
        f"{'Below' if below else 'Not below'} {rates.threshold:.2f}, as here, were {recordings:.0%} of the camera recordings "
        f"and {puppets:.0%} of the puppets (false alarms {rates.false_alarms:.0%}, misses {rates.misses:.0%}). {text.limit}"
    )


def outcome_as_json(measured: Measured, rates: ErrorRates) -> dict[str, Any]:
    return {
        "value": None if measured.value is None else round(measured.value, 4),
        "too_little_to_tell": None if measured.value is not None else measured.reason,
        "usual_range": list(rates.usual),
        "threshold": rates.threshold,
        "side": None if measured.value is None else "puppets" if measured.value < rates.threshold else "camera recordings",
        "false_alarm_rate": rates.false_alarms,
        "miss_rate": rates.misses,
        "area_under_roc": rates.area,
        "area_interval_95": list(rates.area_interval),
    }

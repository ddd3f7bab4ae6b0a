"""What came of protecting a photo: figures per animator, one plain sentence each, and what no figure covers."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from livepuppet.protection.departure import Departure

PROTECTED, AFTER_JPEG = "protected", "protected, JPEG 80"
LIMITS = (
    "Not stopped by this, and not measured: programs made otherwise (diffusion models, 3D methods), blurred, denoised or strongly scaled "
    "copies, other photos of the person. What protects best is who gets to see a photo."
)


@dataclass(frozen=True, slots=True)
class ReportLine:
    """An animator, a version of the photo, and how far its animation is from the original's."""

    animator: str
    version: str
    found: Departure


@dataclass(frozen=True, slots=True)
class ProtectionReport:
    """output: the protected photo.  largest_change: of any value in it, in levels of 255, as measured.  sheet: the before/after picture."""

    photo: Path
    output: Path
    sheet: Path
    strength: float
    largest_change: int
    lines: tuple[ReportLine, ...]

    def verdicts(self) -> list[str]:
        """One sentence per animator."""
        return [self._verdict(name) for name in dict.fromkeys(line.animator for line in self.lines)]

    def _verdict(self, animator: str) -> str:
        found = {line.version: line.found for line in self.lines if line.animator == animator}
        if not found[PROTECTED].disturbed:
            return f"{animator}: NOT stopped. It animates the protected photo about as well as the original."
        if not found[AFTER_JPEG].disturbed:
            return f"{animator}: disturbed, but no longer after the photo is saved as JPEG 80."
        return f"{animator}: disturbed, also after JPEG 80."

    def text(self) -> str:
        """For a terminal, about 90 columns wide."""
        names = [f"{line.animator}, {line.version}" for line in self.lines]
        width = max(map(len, names))
        rows = [f"{'how far the animation departs':<{width}}{'L1':>8}{'SSIM':>8}{'AKD':>9}{'no face':>9}"]
        for name, line in zip(names, self.lines, strict=True):
            found = line.found
            akd = "-" if math.isnan(found.akd) else f"{100 * found.akd:.2f} %"
            rows.append(f"{name:<{width}}{found.l1:>8.2f}{found.ssim:>8.3f}{akd:>9}{found.lost:>9.0%}")
        rows.append("L1 in levels of 255; SSIM 1 = alike; AKD: distance of the face's points, of the face's width")
        head = f"{self.output}: no value changed by more than {self.largest_change} of 255. Before and after: {self.sheet}"
        return "\n\n".join([head, "\n".join(rows), "\n".join([*self.verdicts(), LIMITS])])

    def as_json(self) -> dict[str, Any]:
        return {
            "photo": str(self.photo),
            "output": str(self.output),
            "sheet": str(self.sheet),
            "strength": self.strength,
            "largest_change": self.largest_change,
            "departures": [
                {
                    "animator": line.animator,
                    "version": line.version,
                    **{key: None if math.isnan(value) else round(value, 5) for key, value in asdict(line.found).items()},
                    "disturbed": line.found.disturbed,
                }
                for line in self.lines
            ],
            "verdicts": self.verdicts(),
            "limits": LIMITS,
        }

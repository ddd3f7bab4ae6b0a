"""One measured run of the live loop: what it was, how fast, and how late."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from livepuppet.live.stats import Statistics
from livepuppet.types import Floats


@dataclass(frozen=True, eq=False)
class Measurement:
    """One measured run. moments and latencies: seconds, of the newest deliveries;

    Attributes:
        stages: seconds, the newest of each.
    """

    statistics: Statistics
    driver_frames: Floats
    latencies: Floats
    stages: dict[str, Floats]
    output: str
    warm_up_s: float
    live: bool
    """Whether frames come at their own pace and may be dropped."""
    machine: dict[str, str]
    packages: dict[str, str]
    failures: tuple[str, ...]

    @property
    def bound_kept(self) -> bool:
        """No frame was older at the sinks than one frame's work plus one camera interval: nothing queues."""
        return self.statistics.latency.worst <= self.statistics.age_bound_ms

    def as_dict(self) -> dict[str, Any]:
        """For JSON, with the latency of every frame."""
        return {
            "machine": self.machine,
            "packages": self.packages,
            "output": self.output,
            "warm_up_s": self.warm_up_s,
            "live": self.live,
            **self.statistics.as_dict(),
            "age_bound_kept": self.bound_kept if self.live else None,
            "failures": list(self.failures),
            "samples": {
                "at_s": [round(float(driver_frame), 4) for driver_frame in self.driver_frames],
                "latency_ms": [round(float(latency) * 1000, 2) for latency in self.latencies],
            },
        }

"""What the server knows of the session it serves, and what it says of it in plain values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from livepuppet.live.controls import ACTIONS, SETTINGS
from livepuppet.live.keymap import KEY_BINDINGS
from livepuppet.live.recordings import Recordings
from livepuppet.live.session import Session
from livepuppet.live.stats import MS
from livepuppet.studio.gallery import Gallery
from livepuppet.studio.page_camera import CameraSeat
from livepuppet.studio.picture import PagePicture

RECENT_S = 3.0
"""What the live figures are of."""


@dataclass(frozen=True)
class StudioContext:
    """One session, and what the page adds to it."""

    session: Session
    picture: PagePicture
    gallery: Gallery
    recordings: Recordings
    seat: CameraSeat

    def state(self) -> dict[str, Any]:
        """Everything about how the session stands; see `SessionState`."""
        session = self.session
        return asdict(session.state) | {
            "recordings": [path.name for path in self.recordings.finished],
            "failures": [str(failure) for failure in session.failures],
            "seat_taken": self.seat.taken,
            "seat_way": self.seat.way,
        }

    def figures(self) -> dict[str, Any]:
        """How fast it is at this moment: of the last RECENT_S seconds, times in milliseconds."""
        numbers = self.session.meter.snapshot()
        moments, latencies = self.session.meter.latencies()
        recent = latencies[moments > moments[-1] - RECENT_S] * MS if len(moments) else np.zeros(0)
        p50, p95 = np.percentile(recent, (50, 95)) if len(recent) else (0.0, 0.0)
        return {
            "fps": round(numbers.fps, 1),
            "source_fps": round(numbers.source_fps, 1),
            "latency_p50": round(float(p50), 1),
            "latency_p95": round(float(p95), 1),
            "delivered": numbers.delivered,
            "dropped": numbers.dropped,
            "cpu_ms": round(numbers.cpu_ms, 1),
        }

    def recording(self, name: str) -> Path | None:
        """A finished recording, looked up by its exact name."""
        return next((path for path in self.recordings.finished if path.name == name), None)


def control_model() -> dict[str, Any]:
    """Every setting and action, described."""
    keys: dict[str, list[dict[str, object]]] = {}
    for binding in KEY_BINDINGS:
        keys.setdefault(binding.control, []).append({"keys": list(binding.keys), "by": binding.by, "help": binding.help})
    settings = [setting.described() | {"keys": keys.get(name, [])} for name, setting in SETTINGS.items()]
    actions = [
        {"name": action.name, "label": action.label, "help": action.help, "keys": keys.get(action.name, [])} for action in ACTIONS.values()
    ]
    return {"settings": settings, "actions": actions}

"""A live session from its parts to its last words: what `livepuppet` and `livepuppet studio` have in common."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from livepuppet.cli.options import identity_for, mark_from
from livepuppet.errors import SinkError
from livepuppet.factory import sign_files
from livepuppet.files import write_atomically
from livepuppet.live.assembly import PuppetSettings, assemble_session, interruptible
from livepuppet.live.recordings import Recordings
from livepuppet.live.session import Limits, Session
from livepuppet.live.stats import Meter, Statistics
from livepuppet.provenance.consent import consent_line
from livepuppet.provenance.marks import sign_video
from livepuppet.types import Sink, Source

if TYPE_CHECKING:
    from livepuppet.studio.page_camera import CameraSeat
    from livepuppet.studio.picture import PagePicture
    from livepuppet.studio.server import ControlServer

log = logging.getLogger("livepuppet")
STARTED_AT = time.monotonic()


@dataclass(frozen=True)
class Service:
    """How a session is controlled from outside.

    Attributes:
        host, port: where it listens.
        picture: the sink that the page shows.
        seat: of a browser whose camera may drive.
        ready: told when it listens.
    """

    host: str
    port: int
    picture: PagePicture
    seat: CameraSeat
    ready: Callable[[ControlServer], None]


@dataclass(frozen=True)
class SessionPlan:
    """What a command decided on.

    Attributes:
        source, sinks: the parts.
        settings: engine, avatars and the like.
        limits: when it ends by itself.
        videos: the files among the sinks.
        watched: somebody watches as it happens.
        stats: where to write what was measured.
        service: None where nobody controls it from outside.
        inset: when the driver's own image is shown at first, see `controls`.
    """

    source: Source
    sinks: list[Sink]
    settings: PuppetSettings
    limits: Limits
    watched: bool
    videos: list[Path] = field(default_factory=list)
    stats: Path | None = None
    service: Service | None = None
    inset: str = "when needed"


def run_plan(plan: SessionPlan, options: argparse.Namespace) -> int:
    """Run the session to its end; returns the exit code. The plan's source and sinks are closed, whatever happens."""
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(plan.source.close)
        for sink in plan.sinks:
            cleanup.callback(close_quietly, sink)
        identity, mark = identity_for(options), mark_from(options, video=not plan.watched)
        session = assemble_session(plan.settings, plan.source, plan.sinks, plan.limits, Meter())
        engine = session.puppet.engine
        cleanup.callback(engine.close)
        session.mark, session.controls.mark = mark.apply, mark
        session.controls.inset = plan.inset
        sign_files(plan.sinks, lambda video: sign_video(video, engine.name, mark, identity))
        recordings = Recordings(Path(), engine.name, mark, identity)
        session.new_recording, session.recorded = recordings.new, recordings.finish
        mention_consent(session)
        if plan.service is not None:
            serve(cleanup, plan.service, session, recordings)
        with interruptible():
            try:
                session.run()
            except KeyboardInterrupt:
                session.reason = "stopped"
            finally:
                recordings.close()
                statistics = session.meter.snapshot()
                if plan.stats:
                    write_statistics(plan.stats, session, statistics)
        log_summary(session, statistics, [*plan.videos, *recordings.finished])
    return 1 if session.failures else 0


def serve(cleanup: contextlib.ExitStack, service: Service, session: Session, recordings: Recordings) -> None:
    """Serve the session from now on, until the cleanup."""
    from livepuppet.studio.assembly import serve_session

    server = serve_session(session, service.picture, recordings, service.seat, service.host, service.port)
    service.ready(cleanup.enter_context(server))


def remember_choice(source: Source) -> None:
    """A webcam that was named is the one that `auto` takes from now on."""
    from livepuppet.devices.choice import remember_camera
    from livepuppet.sources.camera import CameraSource

    if isinstance(source, CameraSource):
        remember_camera(source.name)


def mention_consent(session: Session) -> None:
    """Once per user, in terminal and window: whose portraits may be animated."""
    line = consent_line(session.avatars.portraits[session.avatars.chosen]) if session.avatars else None
    if line:
        log.info("%s", line)
        session.controls.say(line)


def close_quietly(sink: Sink) -> None:
    """For sinks that the session did not get to close, because it never began."""
    with contextlib.suppress(SinkError):  # whatever went wrong first is what the person is told
        sink.close()


def write_statistics(path: Path, session: Session, statistics: Statistics) -> None:
    """What was measured, as JSON.

    Raises:
        RunError: where the file cannot be written.
    """
    document = statistics.as_dict() | {
        "reason": session.reason,
        "failures": [str(failure) for failure in session.failures],
        "startup_s": round(session.first_delivered_at - STARTED_AT, 3) if session.first_delivered_at else None,
    }
    write_atomically(path, lambda file: file.write(json.dumps(document, indent=2).encode() + b"\n"))


def log_summary(session: Session, statistics: Statistics, videos: list[Path]) -> None:
    """The closing lines."""
    late = statistics.latency
    log.info(
        "%s: %d frames, %.0f fps, capture to output %.0f ms (p95 %.0f)",
        session.reason or "done",
        session.delivered,
        statistics.mean_fps,
        late.p50,
        late.p95,
    )
    for video in videos:
        if video.is_file():
            log.info("wrote %s (%.1f MB)", video, video.stat().st_size / 1e6)

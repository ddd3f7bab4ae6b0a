"""`livepuppet`: the puppet moves."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from livepuppet.cli.options import (
    add_marking_arguments,
    add_output_arguments,
    add_overwrite_argument,
    add_puppet_arguments,
    choose_outputs,
    confirm_overwriting,
    driver_from,
    identity_for,
    mark_from,
    positive_float,
    positive_int,
    settings_from,
)
from livepuppet.cli.running import Service, SessionPlan, remember_choice, run_plan
from livepuppet.factory import make_sink, open_source
from livepuppet.files import check_ending, check_folder, refuse_overwriting
from livepuppet.live.session import Limits
from livepuppet.types import Source
from livepuppet.vision.portrait import find_portraits

SUMMARY = "Bring a still portrait to life with your webcam, in real time."
USAGE = """livepuppet [--avatar PATH ...] [--camera WHICH] [--output WHERE]... [options]
       livepuppet COMMAND [options]"""
EPILOG = """\
examples:
  livepuppet                                      your webcam moves the first of the shipped avatars
  livepuppet --avatar mona_lisa.jpg               ... or the Mona Lisa, in a window
  livepuppet --avatar portraits/ --output window --output virtual
                                                  choose among a folder by keys 1-9, and join a call with it
  livepuppet --avatar me.jpg --camera talk.mp4 --output talking.mp4
                                                  a video moves a photo, into a file
  livepuppet --camera demo                        no webcam at hand: the built-in performance
  livepuppet --camera none --microphone auto      no webcam wanted: your voice moves the mouth
  livepuppet --camera ifacialmocap://192.168.1.20 an iPhone moves it; livelink://:11111 and vmc://:39539 likewise

Press H in the window for the keys. Look into the camera and hold still for a moment: that is the
reference from which all motion is counted (X takes a new one).
"""

log = logging.getLogger("livepuppet")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    image = parser.add_argument_group("what moves, and what moves it")
    add_puppet_arguments(image)
    out = parser.add_argument_group("where it goes")
    add_output_arguments(out)
    out.add_argument(
        "--send", action="append", default=[], metavar="vmc://HOST:PORT", help="tell another program in numbers what the face does (VMC)"
    )
    add_marking_arguments(parser.add_argument_group("how it says that it is synthetic"))
    control = parser.add_argument_group("how it is controlled from outside (pip install 'livepuppet[studio]')")
    control.add_argument("--control", metavar="[HOST:]PORT", help="let programs and a page control it (0: a free port)")
    run_time = parser.add_argument_group("how long, and what is written down")
    end = run_time.add_mutually_exclusive_group()
    end.add_argument("--seconds", type=positive_float, metavar="S", help="stop after so many seconds")
    end.add_argument("--frames", type=positive_int, metavar="N", help="stop after so many frames")
    run_time.add_argument("--stats", type=Path, metavar="FILE", help="write what was measured as JSON: fps, latency, drops, time per stage")
    add_overwrite_argument(run_time)


def run(options: argparse.Namespace) -> int:
    options.output = choose_outputs(options.output)
    identity_for(options)
    videos = [Path(output) for output in options.output if Path(output).suffix]
    portraits = find_portraits(options.avatar) if options.avatar else []
    written = [*(("output", path) for path in videos), ("stats", options.stats)]
    driving = [Path(options.camera), *([Path(options.microphone)] if options.microphone else [])]
    refuse_overwriting([*portraits, *driving, *(options.sign_with or [])], written)
    check_ending(options.stats, (".json", ""), "stats", "a JSON file")
    check_folder(options.stats, "stats")
    overwrite = confirm_overwriting(written, options.overwrite)
    sinks = [make_sink(place, overwrite=overwrite) for place in (*options.output, *options.send)]
    watched = any(sink.live for sink in sinks)
    mark_from(options, video=not watched)
    settings = settings_from(options, options.output)
    service = _service_for(options.control, watched) if options.control is not None else None
    source = open_source(driver_from(options), paced=watched, fps=options.fps)
    if options.camera not in ("auto", "camera"):
        remember_choice(source)
    limits = Limits(options.seconds or _one_performance(options, source, watched), options.frames, options.fps)
    if service is not None:
        sinks.append(service.picture)
    return run_plan(SessionPlan(source, sinks, settings, limits, watched, videos, options.stats, service), options)


def _service_for(address: str, watched: bool) -> Service:
    """The control interface that was asked for. Raises in one line where it cannot be had."""
    from livepuppet.studio.opening import parse_address, require_studio
    from livepuppet.studio.page_camera import CameraSeat
    from livepuppet.studio.picture import PagePicture

    host, port = parse_address(address)
    require_studio()
    return Service(
        host,
        port,
        PagePicture(live=watched),
        CameraSeat(),
        lambda server: log.info("control it at %s (the link is for you alone)", server.access.link),
    )


def _one_performance(options: argparse.Namespace, source: Source, watched: bool) -> float | None:
    """The demo goes on for ever; into a file, and with no end asked for, it plays once."""
    duration: float | None = getattr(source, "duration", None)
    return duration if not watched and not options.frames else None

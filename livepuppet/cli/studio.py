"""`livepuppet studio`: the puppet moves, seen and controlled in a browser."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import webbrowser
from pathlib import Path

from livepuppet.cli.options import (
    add_marking_arguments,
    add_output_arguments,
    add_puppet_arguments,
    identity_for,
    mark_from,
    settings_from,
)
from livepuppet.cli.running import Service, SessionPlan, remember_choice, run_plan
from livepuppet.factory import make_sink, screen_available
from livepuppet.files import refuse_overwriting
from livepuppet.live.session import Limits
from livepuppet.types import Sink
from livepuppet.vision.portrait import find_portraits, shipped_avatars

SUMMARY = "Open the studio: a page in your browser that shows the puppet and everything that can be adjusted."
EPILOG = """
examples:
  livepuppet studio                          the page opens by itself
  livepuppet studio --output virtual         ... and a camera that calls can select
  livepuppet studio --camera browser         the browser's own camera drives, also through an SSH tunnel
  livepuppet studio --listen 9000 --no-open  at a port of your choice; open the link that is printed
"""

log = logging.getLogger("livepuppet")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    page = parser.add_argument_group("the page")
    page.add_argument("--listen", dest="control", default="0", metavar="[HOST:]PORT", help="where it is served (default: a free port)")
    page.add_argument("--no-open", action="store_true", help="only print the link")
    add_puppet_arguments(parser.add_argument_group("what moves, and what moves it"))
    add_output_arguments(parser.add_argument_group("where it goes besides"), default="the page alone")
    add_marking_arguments(parser.add_argument_group("how it says that it is synthetic"))


def run(options: argparse.Namespace) -> int:
    from livepuppet.studio.assembly import open_switchable
    from livepuppet.studio.gallery import own_avatars
    from livepuppet.studio.opening import parse_address, require_studio
    from livepuppet.studio.page_camera import CameraSeat
    from livepuppet.studio.picture import PagePicture

    host, port = parse_address(options.control)
    require_studio()
    identity_for(options)
    mark_from(options, video=False)
    outputs = list(dict.fromkeys(options.output or []))
    videos = [Path(output) for output in outputs if Path(output).suffix]
    portraits = find_portraits(options.avatar) if options.avatar else [*own_avatars(), *shipped_avatars()]
    refuse_overwriting([*portraits, Path(options.camera), *(options.sign_with or [])], [("output", path) for path in videos])
    settings = dataclasses.replace(settings_from(options, outputs), avatars=tuple(portraits))
    picture, seat = PagePicture(), CameraSeat()
    sinks: list[Sink] = [*(make_sink(output) for output in outputs), picture]
    service = Service(host, port, picture, seat, lambda server: show_page(server.access.link, open_it=not options.no_open))
    source = open_switchable(options.camera, seat, fps=options.fps, chosen=remember_choice)
    return run_plan(SessionPlan(source, sinks, settings, Limits(fps=options.fps), True, videos, None, service, "always"), options)


def show_page(link: str, *, open_it: bool) -> None:
    """Open the page, and say where it is for those whose browser did not open."""
    log.info("the studio is open at %s (the link is for you alone; Ctrl-C ends)", link)
    if open_it and screen_available():  # without a screen a text browser would take over the terminal
        webbrowser.open(link)

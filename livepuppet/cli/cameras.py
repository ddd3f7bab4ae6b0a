"""`livepuppet cameras`: which cameras there are, and which one to take."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from livepuppet.cli.options import add_overwrite_argument, confirm_overwriting
from livepuppet.devices import Device, find_camera, list_devices
from livepuppet.devices.choice import forget_camera, remember_camera, remembered_camera
from livepuppet.errors import UsageError
from livepuppet.files import check_ending, check_folder, write_atomically

SUMMARY = "List cameras and virtual cameras, and choose the one to use."
EPILOG = """
examples:
  livepuppet cameras                       what there is
  livepuppet cameras --preview seen.png    ... and one picture of what each sees
  livepuppet cameras --use "HD Webcam"     take this one from now on, whatever its number
  livepuppet cameras --forget              take the first that delivers again
"""
PAGE_COLUMNS = 140
"""Where the output is no terminal."""
PREVIEW_ENDINGS = (".png", ".jpg", ".jpeg")
TILE = (480, 270)
CAPTION_PX = 34
COLUMNS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--preview", type=Path, metavar="FILE", help="write a picture with one frame of each camera (.png or .jpg)")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--use", metavar="WHICH", help="remember this camera, by index, name or part of a name")
    choice.add_argument("--forget", action="store_true", help="forget the remembered camera")
    add_overwrite_argument(parser)
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")


def run(options: argparse.Namespace) -> int:
    check_ending(options.preview, PREVIEW_ENDINGS, "preview", "a preview")
    check_folder(options.preview, "preview")
    confirm_overwriting([("preview", options.preview)], options.overwrite)
    if options.use is not None:
        camera = find_camera(options.use)
        if camera.accepts:
            raise UsageError(
                f"'{camera.label}' is a virtual camera: remembering it would feed the puppet into itself (--camera takes it once)"
            )
        remember_camera(camera.label)
    if options.forget:
        forget_camera()
    devices = list_devices()
    if options.json:
        print(json.dumps({"remembered": remembered_camera(), "devices": [camera_as_dict(device) for device in devices]}, indent=2))
    else:
        print_cameras(devices, remembered_camera())
    if options.preview is not None:
        write_previews(options.preview, [device for device in devices if device.captures])
    return 0


def camera_as_dict(device: Device) -> dict[str, Any]:
    return {
        "index": device.index,
        "name": device.label,
        "path": device.path,
        "driver": device.driver,
        "port": device.bus,
        "kind": kind(device),
        "problem": device.obstacle,
        "modes": [{"size": list(mode.size), "fps": round(mode.fps, 2), "pixels": mode.pixels.strip()} for mode in device.modes],
    }


def kind(device: Device) -> str:
    if not device.accepts:
        return "camera"
    return "virtual camera, in use" if device.captures else "virtual camera, free"


def print_cameras(devices: Sequence[Device], chosen: str) -> None:
    """The table, for people."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else PAGE_COLUMNS)
    if not devices:
        console.print(
            "no cameras on this machine; [bold]livepuppet --camera demo[/bold] needs none, [bold]livepuppet doctor[/bold] says more"
        )
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("index", "name", "kind", "driver", "offers"):
        table.add_column(heading, justify="right" if heading == "index" else "left", overflow="fold")
    for device in devices:
        mark = " *" if chosen and chosen in {device.label, device.name} and not device.accepts else ""
        offers = device.obstacle or ", ".join(offered_modes(device)) or "-"
        table.add_row(str(device.index), device.label + mark, kind(device), device.driver, offers)
    console.print(table)
    if chosen:
        present = any(chosen in {device.label, device.name} for device in devices)
        console.print(f"* remembered: {chosen}{'' if present else ' (not plugged in now)'}; --forget clears it", style="dim", markup=False)


def offered_modes(device: Device, most: int = 4) -> list[str]:
    """'1280x720 at 30 (MJPG)': per size the fastest readable way, the largest sizes first."""
    from livepuppet.devices.device import READABLE

    best: dict[tuple[int, int], tuple[float, str]] = {}
    for mode in device.modes:
        if mode.pixels in READABLE and mode.fps > best.get(mode.size, (-1.0, ""))[0]:
            best[mode.size] = mode.fps, mode.pixels.strip()
    sizes = sorted(best, key=lambda size: -size[0] * size[1])
    lines = [f"{w}x{h}" + (f" at {best[w, h][0]:g}" if best[w, h][0] else "") + f" ({best[w, h][1]})" for w, h in sizes]
    return lines[:most] + (["..."] if len(lines) > most else [])


def write_previews(path: Path, cameras: Sequence[Device]) -> None:
    """A contact sheet, one tile per camera: its newest picture after a second, or what is wrong.

    Raises:
        RunError: it cannot be written.
    """
    from PIL import Image as PILImage
    from PIL import ImageDraw

    from livepuppet.diagnostics.camera_probe import probe_camera
    from livepuppet.vision.fonts import typeface

    if not cameras:
        print("no camera to preview", file=sys.stderr)
        return
    rows = -(-len(cameras) // COLUMNS)
    columns = min(COLUMNS, len(cameras))
    wide, high = TILE[0], TILE[1] + CAPTION_PX
    sheet = PILImage.new("RGB", (columns * wide, rows * high), (24, 25, 30))
    pen = ImageDraw.Draw(sheet)
    font = typeface(15)
    for place, camera in enumerate(cameras):
        left, top = place % COLUMNS * wide, place // COLUMNS * high
        seen = probe_camera(camera)
        if seen.image is not None:
            tile = PILImage.fromarray(seen.image)
            tile.thumbnail((TILE[0] - 8, TILE[1] - 8))
            sheet.paste(tile, (left + (wide - tile.width) // 2, top + (TILE[1] - tile.height) // 2))
            note = f"{seen.size[0]}x{seen.size[1]}, {seen.fps:.0f} fps" + (", black" if seen.black else "")
        else:
            note = "no picture"
            print(seen.problem, file=sys.stderr)
        pen.text((left + 10, top + TILE[1] + 6), f"{camera.index}  {camera.label}: {note}", fill=(220, 222, 228), font=font)
    write_atomically(path, lambda file: sheet.save(file, "PNG" if path.suffix.lower() == ".png" else "JPEG"))
    print(f"wrote {path}")

"""What is known about one capture device or virtual camera."""

from __future__ import annotations

from dataclasses import dataclass

from livepuppet.types import Size


@dataclass(frozen=True, slots=True)
class Mode:
    """One of the ways in which a camera can deliver.

    Attributes:
        fps: the highest at this size, 0 where unknown.
        pixels: V4L2 FOURCC, four characters.
    """

    size: Size
    fps: float
    pixels: str


@dataclass(frozen=True, slots=True)
class Device:
    """A camera, a virtual camera, or both.

    Attributes:
        index: the number OpenCV opens it by; may change when it is plugged in again.
        name: what the device calls itself; two of one model share it (see `label`).
        path: the device file (Linux) or system path (Windows), '' where the system has none.
        driver, bus: as the system names them, '' where unknown.
        captures: pictures can be read from it now.
        accepts: a program can write pictures into it: a virtual camera ("loopback"), ours or another's. Reading the puppet's own output
            back as the driver would make it move itself, so `auto` never takes one.
        modes: what it offers, as the driver says; empty where the system does not tell.
        obstacle: why it cannot be opened and what to do about it, '' if nothing is known to be in the way.
        label: the name, made unique among the devices present by the port it is plugged into; stays the same when its number changes.
    """

    index: int
    name: str
    path: str = ""
    driver: str = ""
    bus: str = ""
    captures: bool = True
    accepts: bool = False
    modes: tuple[Mode, ...] = ()
    obstacle: str = ""
    label: str = ""

    @property
    def target(self) -> str | int:
        """What OpenCV opens it by."""
        return self.path if self.path.startswith("/dev/") else self.index

    def best_mode(self, size: Size | None, fps: float) -> Mode | None:
        """The mode nearest to what is wanted: rate first, then size, then format; None where the device lists none we can read.

        size None: the size nearest to 1280x720. Motion JPEG wins a draw: uncompressed video at these rates fills a USB 2 bus, and
        cameras that promise it anyway deliver 5 to 10 frames per second.
        """
        wide, high = size or (1280, 720)

        def cost(mode: Mode) -> tuple[float, int, int]:
            missing = max(0.0, 0.9 * fps - mode.fps) if mode.fps else 0.0
            return missing, abs(mode.size[0] - wide) + abs(mode.size[1] - high), READABLE.index(mode.pixels)

        return min((mode for mode in self.modes if mode.pixels in READABLE), key=cost, default=None)


READABLE = (
    "MJPG", "JPEG", "YUYV", "UYVY", "NV12", "NV21", "YU12", "YV12", "RGB3", "BGR3", "XR24", "AR24",
    "GREY", "Y10 ", "Y12 ", "Y16 ", "BA81", "GBRG", "GRBG", "RGGB",
)  # fmt: skip
"""V4L2 pixel formats that OpenCV turns into right pictures (each tried with the kernel's vivid driver); the first wins a draw.

Others it takes without complaint and delivers with wrong colours or as raw bytes.
"""

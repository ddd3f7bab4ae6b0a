"""How well the invisible mark survives, how rarely it is found where it is not, and what it costs.

    python benchmarks/watermark.py MEDIA [--json FILE] [--frames 20]            the table watermark x attack, PSNR, milliseconds
    python benchmarks/watermark.py MEDIA --false-positives 10000 --json FILE    unmarked frames: how high does chance reach?

MEDIA: a folder with videos and pictures (searched through). Every picture is brought to 720p for the table.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from livepuppet.provenance.watermark.embedder import CALL, VIDEO, Embedder, Strength
from livepuppet.provenance.watermark.reader import FOUND, Reader, Reading
from livepuppet.types import Image
from livepuppet.vision.portrait import SUFFIXES, load_portrait

SESSION = 0x51C7
VIDEOS = {".mp4", ".gif", ".mov", ".mkv", ".webm"}


def files(folder: Path, suffixes: set[str] | frozenset[str]) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes)


def video_frames(path: Path, most: int = 10**9) -> Iterator[Image]:
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number >= most:
                return
            yield frame.to_ndarray(format="rgb24")


def to_720p(image: Image) -> Image:
    """The upper middle of the picture at 1280x720."""
    height, width = image.shape[:2]
    cut_height, cut_width = min(height, round(width * 9 / 16)), min(width, round(height * 16 / 9))
    top, left = (height - cut_height) // 3, (width - cut_width) // 2
    cut = image[top : top + cut_height, left : left + cut_width]
    return np.asarray(cv2.resize(cut, (1280, 720), interpolation=cv2.INTER_AREA if cut_width > 1280 else cv2.INTER_CUBIC), np.uint8)


def scaled(image: Image, factor: float) -> Image:
    height, width = image.shape[:2]
    size = (round(width * factor / 2) * 2, round(height * factor / 2) * 2)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC), np.uint8)


def jpeg(image: Image, quality: int) -> Image:
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR), np.uint8)


def cropped(image: Image, part: float) -> Image:
    height, width = image.shape[:2]
    rows, columns = int(height * (1 - part)) // 2 * 2, int(width * (1 - part)) // 2 * 2
    top, left = (height - rows) // 3, (width - columns) * 2 // 3
    return np.ascontiguousarray(image[top : top + rows, left : left + columns])


def screenshot(image: Image) -> Image:
    """A window of 1000 pixels' width somewhere on a 1920x1080 screen with text-like clutter, saved as JPEG 90."""
    screen = np.full((1080, 1920, 3), 235, np.uint8)
    rng = np.random.default_rng(5)
    for _ in range(900):
        x, y, length = int(rng.integers(0, 1800)), int(rng.integers(0, 1070)), int(rng.integers(4, 60))
        screen[y : y + 7, x : x + length : 3] = 40
    small = scaled(image, 1000 / image.shape[1])
    screen[211 : 211 + small.shape[0], 377 : 377 + small.shape[1]] = small
    return jpeg(screen, 90)


def coded(frames: list[Image], codec: str, bits_per_second: int) -> list[Image]:
    """The frames after a codec at a bitrate."""
    buffer = io.BytesIO()
    height, width = frames[0].shape[:2]
    with av.open(buffer, "w", format="matroska") as container:
        options = {"libx264": {}, "libvpx": {"deadline": "realtime", "cpu-used": "5"}}[codec]
        stream: Any = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = width, height, "yuv420p", bits_per_second
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    buffer.seek(0)
    with av.open(buffer) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def each(change: Callable[[Image], Image]) -> Callable[[list[Image]], list[Image]]:
    return lambda frames: [change(image) for image in frames]


ATTACKS: dict[str, Callable[[list[Image]], list[Image]]] = {
    "none": lambda frames: frames,
    "JPEG 60": each(lambda image: jpeg(image, 60)),
    "JPEG 30": each(lambda image: jpeg(image, 30)),
    "scale 50 %": each(lambda image: scaled(image, 0.5)),
    "scale 150 %": each(lambda image: scaled(image, 1.5)),
    "crop 10 %": each(lambda image: cropped(image, 0.1)),
    "crop 30 %": each(lambda image: cropped(image, 0.3)),
    "crop 10 %, 50 %, JPEG 60": each(lambda image: jpeg(scaled(cropped(image, 0.1), 0.5), 60)),
    "mirrored": each(lambda image: np.ascontiguousarray(image[:, ::-1])),
    "noise of 5 levels": each(lambda image: np.clip(image + np.random.default_rng(1).normal(0, 5, image.shape), 0, 255).astype(np.uint8)),
    "screenshot of the window": each(screenshot),
    "H.264 1 Mbit/s": lambda frames: coded(frames, "libx264", 1_000_000),
    "H.264 500 kbit/s": lambda frames: coded(frames, "libx264", 500_000),
    "H.264 1 Mbit/s, crop 10 %": lambda frames: each(lambda image: cropped(image, 0.1))(coded(frames, "libx264", 1_000_000)),
    "call: VP8 1 Mbit/s, 360p H.264 400 kbit/s": lambda frames: coded(
        each(lambda image: scaled(image, 0.5))(coded(frames, "libvpx", 1_000_000)), "libx264", 400_000
    ),
    "call: 360p VP8 300 kbit/s": lambda frames: coded(each(lambda image: scaled(image, 0.5))(frames), "libvpx", 300_000),
}


def read(frames: list[Image]) -> Reading:
    reader = Reader()
    for image in frames:
        reader.add(image)
    return reader.read()


def decibels(one: Image, other: Image) -> float:
    return float(10 * np.log10(255**2 / max(1e-9, np.mean((one.astype(float) - other) ** 2))))


def clips(media: Path, count: int) -> Iterator[tuple[str, list[Image]]]:
    """Each video's first frames, and each picture as a clip that is panned by a pixel a frame, all at 720p."""
    for path in files(media, VIDEOS):
        frames = [to_720p(image) for image in video_frames(path, count)]
        if len(frames) == count:
            yield path.stem, frames
    for path in files(media, SUFFIXES - {".gif"}):
        wide = to_720p(load_portrait(path, None))
        yield path.stem, [np.ascontiguousarray(np.roll(wide, shift, 1)) for shift in range(count)]


def survival(media: Path, count: int, strength: Strength, chosen: list[str]) -> dict[str, Any]:
    """Detection from a single frame and from five, over all clips."""
    embedder = Embedder(SESSION, strength)
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in chosen}
    costs: list[float] = []
    for name, frames in clips(media, count):
        marked = [embedder.embed(image) for image in frames]
        costs.append(min(decibels(*pair) for pair in zip(frames, marked, strict=True)))
        for attack, change in ((name, ATTACKS[name]) for name in chosen):
            after = change(marked if "H.264" in attack or "VP8" in attack else marked[:: max(1, count // 5)])
            one, several = read(after[len(after) // 2 :][:1]), read(after[:: max(1, len(after) // 5)])
            rows[attack].append(
                {
                    "one": one.found,
                    "one_id": one.session_id == SESSION,
                    "five": several.found,
                    "five_id": several.session_id == SESSION,
                    "score": several.score,
                    "one_score": one.score,
                }
            )
        print(f"{name}: {costs[-1]:.1f} dB", flush=True)
    print(f"\n| attack | found, 1 frame | id, 1 frame | found, 5 frames | id, 5 frames | weakest score (found from {FOUND}) |")
    print("|---|---|---|---|---|---|")
    for attack, results in rows.items():
        shares = [sum(result[key] for result in results) / len(results) for key in ("one", "one_id", "five", "five_id")]
        weakest = min(result["one_score"] for result in results)
        print(f"| {attack} | " + " | ".join(f"{share:.0%}" for share in shares) + f" | {weakest:.1f} |")
    print(f"\nclips: {len(costs)}; PSNR of the mark: lowest {min(costs):.1f} dB, median {np.median(costs):.1f} dB")
    return {"clips": len(costs), "psnr_db": costs, "attacks": rows}


def cost() -> dict[str, float]:
    """Milliseconds per 720p frame on one thread, over the frames of a moving noise picture."""
    cv2.setNumThreads(1)
    image = cv2.resize(np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8), (1280, 720), interpolation=cv2.INTER_CUBIC)
    frames = [np.ascontiguousarray(np.roll(image, shift, 1)) for shift in range(8)]
    embedder = Embedder(SESSION)
    times = []
    for number in range(220):
        start = time.perf_counter()
        embedder.embed(frames[number % 8])
        times.append((time.perf_counter() - start) * 1e3)
    measured = {"median_ms": float(np.median(times[20:])), "p95_ms": float(np.percentile(times[20:], 95)), "least_ms": min(times)}
    print("embedding, 1280x720, one thread: " + ", ".join(f"{name[:-3]} {value:.2f} ms" for name, value in measured.items()))
    return measured


def synthetic(number: int) -> Image:
    """Unmarked pictures of many kinds: photograph-like noise, gradients, stripes, checks, blocks, text-like clutter."""
    rng = np.random.default_rng(number)
    height, width = int(rng.integers(200, 400)), int(rng.integers(200, 500))
    rows, columns = np.mgrid[:height, :width].astype(float)
    kind = number % 6
    if kind == 0:
        frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]) + 1e-3
        picture = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((height, width))) / frequency ** rng.uniform(0.3, 1.5), s=(height, width))
        picture = 128 + picture / picture.std() * rng.uniform(10, 60)
    elif kind == 1:
        angle, slope = rng.uniform(0, np.pi), rng.uniform(0.05, 2)
        picture = (columns * np.cos(angle) + rows * np.sin(angle)) * slope + rng.normal(0, rng.uniform(0, 3), (height, width))
    elif kind == 2:
        angle, period = rng.uniform(0, np.pi), rng.uniform(2, 80)
        picture = 128 + 100 * np.sign(np.sin((columns * np.cos(angle) + rows * np.sin(angle)) * 2 * np.pi / period))
    elif kind == 3:
        period = rng.uniform(2, 60)
        picture = 128 + 90 * np.sign(np.sin(columns * np.pi / period) * np.sin(rows * np.pi / period))
    elif kind == 4:
        side = int(rng.integers(2, 24))
        cells = rng.integers(0, 256, (height // side + 1, width // side + 1)).astype(float)
        picture = np.kron(cells, np.ones((side, side)))[:height, :width]
    else:
        picture = np.full((height, width), 240.0)
        for _ in range(400):
            y, x = int(rng.integers(0, height)), int(rng.integers(0, width))
            picture[y : y + int(rng.integers(1, 9)), x : x + int(rng.integers(1, 30))] = rng.uniform(0, 120)
    return np.repeat(np.clip(picture, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def unmarked(media: Path) -> Iterator[tuple[str, Image]]:
    """Frames nobody marked, media and synthetic in turn: frames of every video, crops of every picture."""

    def real() -> Iterator[tuple[str, Image]]:
        for path in files(media, VIDEOS):
            for number, image in enumerate(video_frames(path)):
                yield path.stem, scaled(image, 0.5) if min(image.shape[:2]) > 600 and number % 4 else image
        rng = np.random.default_rng(2)
        for path in files(media, SUFFIXES - {".gif"}) * 20:
            image = load_portrait(path, None)
            height, width = image.shape[:2]
            side = int(rng.integers(192, min(height, width, 700)))
            top, left = int(rng.integers(0, height - side)), int(rng.integers(0, width - side))
            yield path.stem, np.ascontiguousarray(image[top : top + side, left : left + side])

    images, number = real(), 0
    while True:
        picture = next(images, None)
        if picture is not None:
            yield picture
        yield f"synthetic kind {number % 6}", synthetic(number)
        number += 1


def false_positives(media: Path, count: int, skip: int, target: Path | None) -> dict[str, Any]:
    """Scores of unmarked frames, and what chance would reach once in ten thousand (Gumbel distribution fitted to the scores)."""
    scores: list[float] = []
    leads: list[float] = []
    highest: dict[str, float] = {}
    report: dict[str, Any] = {}
    for number, (name, image) in enumerate(islice(unmarked(media), skip, None), 1):
        reading = read([image])
        scores.append(reading.score)
        leads.append(reading.lead)
        highest[name] = max(highest.get(name, 0), reading.score)
        if number % 200 == 0 or number == count:
            beta = float(np.std(scores)) * 6**0.5 / np.pi
            mode = float(np.mean(scores)) - 0.5772 * beta
            report = {
                "frames": number,
                "threshold": FOUND,
                "false_positives": sum(score >= FOUND for score in scores),
                "highest": max(scores),
                "highest_lead": max(leads),
                "percentiles_50_99_99.9": [float(np.percentile(scores, share)) for share in (50, 99, 99.9)],
                "expected_beyond_threshold": float(-np.expm1(-np.exp(-(FOUND - mode) / beta))),
                "highest_by_source": highest,
            }
            if target:
                target.write_text(json.dumps(report, indent=1))
            print({key: value for key, value in report.items() if key != "highest_by_source"}, flush=True)
        if number == count:
            break
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("media", type=Path)
    parser.add_argument("--frames", type=int, default=20, help="frames of each clip in the table")
    parser.add_argument("--video", action="store_true", help="the fainter mark of videos, not that of live sessions")
    parser.add_argument("--attacks", nargs="+", choices=ATTACKS, metavar="NAME", help="only these")
    parser.add_argument("--false-positives", type=int, default=0, metavar="N", help="read N unmarked frames instead")
    parser.add_argument("--skip", type=int, default=0, metavar="N", help="leave out the first N unmarked frames (to share the work)")
    parser.add_argument("--json", type=Path, help="write all figures there")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    report: dict[str, Any] = {"machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"}
    if options.false_positives:
        false_positives(options.media, options.false_positives, options.skip, options.json)
        return
    report["cost"] = cost()
    chosen = [name for name in ATTACKS if not options.attacks or name in options.attacks]
    report["survival"] = survival(options.media, options.frames, VIDEO if options.video else CALL, chosen)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()

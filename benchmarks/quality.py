"""How good the moving picture is, measured on real clips: self-reenactment, contact sheets of other portraits, and sweeps of the head.

    python benchmarks/quality.py --clips DIR --portraits DIR --out DIR [--engine landmark] [--model NAME] [--only d0,d3] [--frames 60]

Self-reenactment: a clip's first frame is the portrait and the clip drives it; compared on the face's crop (2 x the face's box, at 256 px)
with the clip itself, beside the still first frame. L1 (0-1), SSIM and PSNR compare pixels; sharpness is the variance of the Laplacian as
a share of the clip's own, on the same window at the clip's resolution. AKD (px at 256), jitter and the lips' and lids'
figures compare landmarks: MediaPipe measures there, and with the landmark engine it also drives, so they say "goes where asked",
not "looks real". Writes quality.json, quality.md and the sheets into --out.
"""

from __future__ import annotations

import argparse
import io
import json
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from livepuppet.engines.landmark.face_model import LOWER_LID, LOWER_LIP, UPPER_LID, UPPER_LIP
from livepuppet.registry import find_part
from livepuppet.types import Floats, Image, Motion, Tuning
from livepuppet.vision.face_landmarks import FaceTracker, Landmarks
from livepuppet.vision.smoothing import MotionFilter, smooth_window
from livepuppet.vision.windows import bounding_box

SIDE_PX = 256
MOVIES = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".gif"}
PICTURES = {".jpg", ".jpeg", ".png", ".webp"}


@dataclass(frozen=True)
class Score:
    """Means over a clip's frames. still_*: the unmoved first frame. lips, lids: correlation with and mean distance from the driver's."""

    frames: int
    l1: float
    still_l1: float
    ssim: float
    still_ssim: float
    psnr: float
    still_psnr: float
    akd_px: float
    still_akd_px: float
    jitter_px: float
    driver_jitter_px: float
    lips_correlation: float
    lips_error: float
    lids_correlation: float
    lids_error: float
    lost: int
    sharpness: float

    @property
    def ratio(self) -> float:
        return self.l1 / self.still_l1


def read(path: Path, most: int) -> tuple[list[Image], list[float]]:
    """The clip's frames, RGB, at most `most` (0: all), and their times in seconds."""
    images, times = [], []
    with av.open(str(path)) as clip:
        rate = float(clip.streams.video[0].average_rate or 25)
        for i, frame in enumerate(clip.decode(video=0)):
            if most and i >= most:
                break
            images.append(frame.to_ndarray(format="rgb24"))
            times.append(frame.time if frame.time is not None else i / rate)
    return images, times


def through_codec(images: list[Image], crf: int) -> list[Image]:
    """The frames after H.264, as a recording would show them; odd sides lose their last line."""
    height, width = (n - n % 2 for n in images[0].shape[:2])
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": str(crf)})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for image in images:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width]), format="rgb24")
            for packet in stream.encode(picture):
                out.mux(packet)
        for packet in stream.encode():
            out.mux(packet)
    file.seek(0)
    with av.open(file) as back:
        return [frame.to_ndarray(format="rgb24") for frame in back.decode(video=0)]


def crop(image: Image, window: tuple[float, float, float]) -> Image:
    """The square window (left, top, side) at SIDE_PX."""
    left, top, side = window
    scale = SIDE_PX / side
    matrix = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
    return np.asarray(cv2.warpAffine(image, matrix, (SIDE_PX, SIDE_PX), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def ssim(one: Image, other: Image) -> float:
    """Wang et al. 2004 on grey, Gaussian window of 11 px, sigma 1.5."""
    x, y = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64) for image in (one, other))

    def mean(values: Floats) -> Floats:
        return np.asarray(cv2.GaussianBlur(values, (11, 11), 1.5))

    mx, my = mean(x), mean(y)
    sx, sy, sxy = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return float(((2 * mx * my + c1) * (2 * sxy + c2) / ((mx * mx + my * my + c1) * (sx + sy + c2))).mean())


def follow(images: list[Image]) -> list[Landmarks | None]:
    tracker = FaceTracker()
    try:
        return [tracker.track(image) for image in images]
    finally:
        tracker.close()


def apertures(landmarks: list[Landmarks | None]) -> Floats:
    """Lips' and lids' opening per frame (F, 2) as shares of the mouth's and the eyes' widths; NaN where the face was lost."""
    out = np.full((len(landmarks), 2), np.nan)
    for i, points in enumerate(landmarks):
        if points is None:
            continue
        p = points[:, :2]
        lips = np.linalg.norm(p[UPPER_LIP[1:-1]] - p[LOWER_LIP[1:-1]], axis=1).mean() / np.linalg.norm(p[61] - p[291])
        lids = [
            np.linalg.norm(p[up[1:-1]] - p[low[1:-1]], axis=1).mean() / np.linalg.norm(p[up[0]] - p[up[-1]])
            for up, low in zip(UPPER_LID, LOWER_LID, strict=True)
        ]
        out[i] = lips, np.mean(lids)
    return out


def jitter(landmarks: list[Landmarks | None]) -> float:
    """Mean absolute second difference of the points, px per frame squared."""
    steps = []
    for before, now, after in zip(landmarks, landmarks[1:], landmarks[2:], strict=False):
        if before is not None and now is not None and after is not None:
            steps.append(np.linalg.norm((before - 2 * now + after)[:, :2], axis=1).mean())
    return float(np.mean(steps)) if steps else float("nan")


def agreement(ours: Floats, theirs: Floats) -> tuple[float, float]:
    """Correlation and mean absolute difference of two series, where both are known."""
    known = ~np.isnan(ours) & ~np.isnan(theirs)
    a, b = ours[known], theirs[known]
    if len(a) < 3 or a.std() < 1e-6 or b.std() < 1e-6:
        return float("nan"), float("nan")
    return float(np.corrcoef(a, b)[0, 1]), float(np.abs(a - b).mean())


def smoothed(motions: list[Motion | None], times: list[float], way: str) -> Iterator[Motion | None]:
    """The motions as `render` (window), the live puppet (live) or nobody (none) smooths them."""
    live = MotionFilter()
    for i, motion in enumerate(motions):
        if motion is None or way == "none":
            yield motion
        elif way == "live":
            yield live(motion, times[i])
        else:
            near = [j for j in range(max(0, i - 12), min(len(motions), i + 13)) if motions[j] is not None]
            yield smooth_window([motions[j] for j in near], [times[j] for j in near], near.index(i))  # type: ignore[misc]


def reenact(engine: Any, images: list[Image], times: list[float], way: str, tuning: Tuning) -> list[Image]:
    """The first frame, driven by all; a lost face holds the picture."""
    motions = [engine.observe(image) for image in images]
    avatar = engine.prepare(images[0])
    reference: Motion | None = None
    out: list[Image] = []
    for motion in smoothed(motions, times, way):
        reference = reference or motion
        if motion is not None and reference is not None:
            out.append(engine.render(avatar, engine.transfer(avatar, reference, motion, tuning), tuning))
        else:
            out.append(out[-1] if out else avatar.image)
    return out


def pixels(ours: list[Image], truth: list[Image]) -> tuple[float, float, float]:
    """L1, SSIM and PSNR, means over the frames."""
    l1, similar, noise = [], [], []
    for a, b in zip(ours, truth, strict=True):
        off = a.astype(np.float64) - b
        l1.append(np.abs(off).mean() / 255)
        similar.append(ssim(a, b))
        noise.append(10 * np.log10(255**2 / max(float((off**2).mean()), 1e-9)))
    return float(np.mean(l1)), float(np.mean(similar)), float(np.mean(noise))


def sharpness(image: Image, window: tuple[float, float, float]) -> float:
    """Variance of the Laplacian of grey in a square window, at the image's own resolution."""
    left, top, side = (round(value) for value in window)
    part = image[max(0, top) : top + side, max(0, left) : left + side]
    return float(cv2.Laplacian(cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_RGB2GRAY), cv2.CV_32F).var())


def face_window(image: Image) -> tuple[float, float, float] | None:
    """Twice the face's box in this picture, square."""
    tracker = FaceTracker()
    try:
        landmarks = tracker.track(image)
    finally:
        tracker.close()
    if landmarks is None:
        return None
    x, y, side = bounding_box(landmarks)
    return x - side, y - side, 2 * side


def made(options: argparse.Namespace) -> Any:
    """The engine asked for, with its model."""
    return find_part("engine", options.engine)(**({"model": options.model} if options.model else {}))


def judge(path: Path, options: argparse.Namespace) -> tuple[Score, Image] | None:
    """One clip's score and a strip: the clip, ours, the difference, and the still frame's difference (both four times as bright)."""
    images, times = read(path, options.frames)
    window = face_window(images[0])
    if window is None or len(images) < 3:
        return None
    driving = through_codec(images, 8) if options.codec else images
    engine = made(options)  # a new one for each clip: a tracker looks first where the last face was
    ours = reenact(engine, [images[0], *driving[1:]] if options.codec else images, times, options.smoothing, Tuning(mouth=options.mouth))
    engine.close()
    still = [images[0]] * len(images)
    if options.codec:
        ours, still = through_codec(ours, 12), through_codec(still, 12)
    height, width = images[0].shape[:2]

    def shown(image: Image) -> Image:
        fits = image.shape[:2] == (height, width)
        return crop(image if fits else np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8), window)

    same_size = ours[0].shape == images[0].shape
    sharp = [sharpness(a, window) / max(sharpness(b, window), 1e-9) for a, b in zip(ours[1:], images[1:], strict=True)] if same_size else []
    truth, result, unmoved = ([shown(image) for image in series] for series in (images, ours, still))
    theirs, found, rest = follow(truth), follow(result), follow(unmoved)

    def distance(series: list[Landmarks | None]) -> float:
        pairs = [(a, b) for a, b in zip(series, theirs, strict=True) if a is not None and b is not None]
        return float(np.mean([np.linalg.norm((a - b)[:, :2], axis=1).mean() for a, b in pairs])) if pairs else float("nan")

    opened, wanted = apertures(found), apertures(theirs)
    lips, lids = (agreement(opened[:, i], wanted[:, i]) for i in (0, 1))
    l1, similar, noise = pixels(result, truth)
    still_l1, still_similar, still_noise = pixels(unmoved, truth)
    score = Score(
        len(images), l1, still_l1, similar, still_similar, noise, still_noise,
        distance(found), distance(rest), jitter(found), jitter(theirs),
        *lips, *lids, sum(points is None for points in found), float(np.mean(sharp)) if sharp else float("nan"),
    )  # fmt: skip
    picks = np.linspace(1, len(images) - 1, 8).astype(int)
    rows = [np.hstack([series[i] for i in picks]) for series in (truth, result)]
    rows.append(np.hstack([np.clip(np.abs(result[i].astype(int) - truth[i]) * 4, 0, 255).astype(np.uint8) for i in picks]))
    rows.append(np.hstack([np.clip(np.abs(unmoved[i].astype(int) - truth[i]) * 4, 0, 255).astype(np.uint8) for i in picks]))
    return score, np.vstack(rows)


def save(path: Path, image: Image) -> None:
    cv2.imwrite(str(path), image[..., ::-1])


def cell(image: Image, side: int = SIDE_PX, label: str = "") -> Image:
    """The picture in a square of this side."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    small = cv2.resize(image, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA)
    out = np.zeros((side, side, 3), np.uint8)
    out[: small.shape[0], : small.shape[1]] = small
    if label:
        cv2.putText(out, label, (4, side - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 0), 1, cv2.LINE_AA)
    return out


def load_portraits(folder: Path, side: int) -> dict[str, Image]:
    out = {}
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURES):
        image = cv2.imread(str(path))
        if image is None:
            continue
        scale = min(1.0, side / max(image.shape[:2]))
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image
        out[path.stem] = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)
    return out


def prepare_all(engine: Any, portraits: dict[str, Image]) -> dict[str, Any]:
    """The portraits with a face, ready; the others are named."""
    out = {}
    for name, image in portraits.items():
        try:
            out[name] = engine.prepare(image)
        except ValueError as error:
            print(f"{name}: {error}")
    return out


def contact_sheet(engine: Any, avatars: dict[str, Any], clips: list[Path], per_clip: int, tuning: Tuning) -> Image:
    """Every portrait (rows) x frames of the clips (columns); the drivers above."""
    above = [np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)]
    rows: dict[str, list[Image]] = {name: [cell(avatar.image, label=name)] for name, avatar in avatars.items()}
    for path in clips:
        images, _ = read(path, 300)
        observer = type(engine)()
        motions = [observer.observe(image) for image in images]
        observer.close()
        reference = next((motion for motion in motions if motion is not None), None)
        for i in np.linspace(0, len(images) - 1, per_clip + 1).astype(int)[1:]:
            driving = motions[i]
            if driving is None or reference is None:
                continue
            above.append(cell(images[i], label=f"{path.stem} {i}"))
            for name, avatar in avatars.items():
                rows[name].append(cell(engine.render(avatar, engine.transfer(avatar, reference, driving, tuning), tuning)))
    return np.vstack([np.hstack(above), *[np.hstack(row) for row in rows.values()]])


SWEEPS = {"yaw": 1, "pitch": 0, "roll": 2}
ANGLES = (-45, -30, -20, -10, 10, 20, 30, 45)


def sweep_sheet(engine: Any, avatars: dict[str, Any], driver: Motion, axis: int) -> Image:
    """Every portrait (rows) x angles of one axis (columns), by turning the driver's pose (first three numbers: a rotation vector)."""
    rows = []
    for name, avatar in avatars.items():
        row = [cell(avatar.image, 200, name)]
        for angle in ANGLES:
            pose = driver.pose.copy()
            pose[axis] += np.radians(-angle if axis == 1 else angle)
            driving = Motion(pose, driver.expression, driver.view, driver.points, driver.detail)
            row.append(cell(engine.render(avatar, engine.transfer(avatar, driver, driving, Tuning()), Tuning()), 200, f"{angle}"))
        rows.append(np.hstack(row))
    return np.vstack(rows)


def identity_drift(engine: Any, avatars: dict[str, Any], path: Path) -> dict[str, float]:
    """Per portrait: how much its proportions changed when the driver is back at the reference, % of the distances between landmarks.

    Back at the reference = the clip's frame whose pose and expression are nearest to the first frame's, after its first second.
    """
    images, _ = read(path, 300)
    motions = [engine.observe(image) for image in images]
    reference = motions[0]
    if reference is None:
        return {}
    later = [m for m in motions[30:] if m is not None]
    if not later:
        return {}
    back = min(later, key=lambda m: np.linalg.norm(m.pose - reference.pose) + np.linalg.norm(m.expression - reference.expression))
    out = {}
    picks = np.array([33, 133, 362, 263, 1, 61, 291, 0, 17, 152, 234, 454, 10, 105, 334])
    for name, avatar in avatars.items():
        shapes = [follow([np.asarray(image)])[0] for image in (
            avatar.image, engine.render(avatar, engine.transfer(avatar, reference, back, Tuning()), Tuning()))]  # fmt: skip
        if shapes[0] is None or shapes[1] is None:
            continue
        lengths = [np.linalg.norm(s[picks][:, None, :2] - s[picks][None, :, :2], axis=2)[np.triu_indices(len(picks), 1)] for s in shapes]
        scaled = [x / x.mean() for x in lengths]
        out[name] = float(np.abs(scaled[1] / scaled[0] - 1).mean() * 100)
    return out


def table(scores: dict[str, Score]) -> str:
    """Markdown, one row per clip and the mean."""
    lines = [
        "| clip | L1 still → ours (ratio) | SSIM still → ours | PSNR still → ours | AKD px | jitter / its "
        "| lips r, err | lids r, err | sharp |",
        "|---" * 9 + "|",
    ]
    for name, s in scores.items():
        lines.append(
            f"| {name} | {s.still_l1:.4f} → {s.l1:.4f} ({s.ratio:.2f}) | {s.still_ssim:.3f} → {s.ssim:.3f} "
            f"| {s.still_psnr:.1f} → {s.psnr:.1f} | {s.akd_px:.2f} | {s.jitter_px:.2f} / {s.driver_jitter_px:.2f} "
            f"| {s.lips_correlation:.3f}, {s.lips_error:.3f} | {s.lids_correlation:.3f}, {s.lids_error:.3f} | {s.sharpness:.2f} |"
        )
    values = list(scores.values())
    ratio = np.mean([s.l1 for s in values]) / np.mean([s.still_l1 for s in values])
    worse = [name for name, s in scores.items() if s.l1 > s.still_l1 or s.ssim < s.still_ssim]
    lines.append("")
    lines.append(
        f"Mean L1 {ratio:.3f} of still over {len(values)} clips; AKD {np.mean([s.akd_px for s in values]):.2f} px; "
        f"worse than still: {', '.join(worse) or 'none'}; jitter above the driver's: "
        f"{', '.join(n for n, s in scores.items() if s.jitter_px > s.driver_jitter_px) or 'none'}."
    )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True, help="a folder of clips with one face each")
    parser.add_argument("--portraits", type=Path, help="a folder of portraits, for the sheets")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--engine", default="landmark")
    parser.add_argument("--model", help="of a neural engine: a name of `livepuppet models list`, or a model's folder")
    parser.add_argument("--only", default="", help="clips by name, separated by commas; 'd3' also means 'lp__d3'")
    parser.add_argument("--frames", type=int, default=60, help="per clip; 0 = all")
    parser.add_argument("--smoothing", choices=("window", "live", "none"), default="window", help="as `render`, as the live puppet, none")
    parser.add_argument("--mouth", choices=("driver", "avatar", "none"), default="driver")
    parser.add_argument("--codec", action="store_true", help="send all through H.264, as ../shared/tools/reenact.py does")
    parser.add_argument("--side", type=int, default=512, help="longest side of the portraits in the sheets")
    parser.add_argument("--no-sheets", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    engine = made(options)
    wanted = set(filter(None, options.only.split(",")))
    clips = [p for p in sorted(options.clips.iterdir()) if p.suffix.lower() in MOVIES]
    clips = [p for p in clips if not wanted or p.stem in wanted or p.stem.split("__")[-1] in wanted]
    scores: dict[str, Score] = {}
    for path in clips:
        judged = judge(path, options)
        if judged is None:
            print(f"{path.stem}: no face in the first frame")
            continue
        scores[path.stem], strip = judged
        s = scores[path.stem]
        print(
            f"{path.stem:28} L1 {s.still_l1:.4f}->{s.l1:.4f} ({s.ratio:.2f}) SSIM {s.still_ssim:.3f}->{s.ssim:.3f} "
            f"PSNR {s.still_psnr:.1f}->{s.psnr:.1f} AKD {s.akd_px:.2f} jit {s.jitter_px:.2f}/{s.driver_jitter_px:.2f} "
            f"lips {s.lips_correlation:.3f} lids {s.lids_correlation:.3f} err {s.lids_error:.3f} lost {s.lost} sharp {s.sharpness:.2f}",
            flush=True,
        )
        save(options.out / f"self_{path.stem}.png", strip)
    report: dict[str, Any] = {
        "engine": options.engine, "model": options.model, "device": engine.device, "machine": platform.platform(),
        "smoothing": options.smoothing,
        "codec": options.codec, "self_reenactment": {name: asdict(score) for name, score in scores.items()},
    }  # fmt: skip
    text = f"Engine {options.engine}, smoothing {options.smoothing}, first {options.frames or 'all'} frames.\n\n"
    if scores:
        text += table(scores) + "\n"
        print(text.splitlines()[-1])
    if options.portraits and not options.no_sheets:
        avatars = prepare_all(engine, load_portraits(options.portraits, options.side))
        save(options.out / "sheet.png", contact_sheet(engine, avatars, clips, 2, Tuning(mouth=options.mouth)))
        driver = next((m for m in (engine.observe(image) for image in read(clips[0], 10)[0]) if m is not None), None)
        if driver is not None:
            for name, axis in SWEEPS.items():
                save(options.out / f"sweep_{name}.png", sweep_sheet(engine, avatars, driver, axis))
        report["identity_drift_percent"] = drift = identity_drift(engine, avatars, clips[0])
        if drift:
            text += (
                f"\nIdentity drift, {clips[0].stem} back at its reference: {np.mean(list(drift.values())):.2f} % of landmarks' distances.\n"
            )
            print(text.splitlines()[-1])
    (options.out / "quality.json").write_text(json.dumps(report, indent=1))
    (options.out / "quality.md").write_text(text)
    engine.close()


if __name__ == "__main__":
    main()

"""What a bare machine with a GPU cannot make for itself, made here and carried there.

    python -m benchmarks.gpu.prepare benchmarks/out/carried [--people 24] [--tiny] [--start MODEL.pth.tar]

Writes into the folder
    arrays.npz       crops: faces of the shipped performance, cut as the engine cuts them, uint8 (N, 256, 256, 3); portraits: the same of
                     shipped avatars; landmarks of both, in pixels of the crop, float32 (N, 478, 3)
    head-*.npz       the geometry of people who do not exist
    people/train, people/test   rendered people, so that training begins at once, and held-out figures mean something
    start.pth.tar, start.yaml   the model to go on from (--start)
Everything in it is computer-made. It travels as it is: below 40 MB, and nothing of it belongs into the repository.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np

from livepuppet.synthetic.head import Head
from livepuppet.types import Image
from livepuppet.vision.face_landmarks import FaceTracker, Landmarks

MARGIN = 1.9
CROP_PX = 256
CROPS = 24
EVERY = 5
TINY_PX = 64


def cut(image: Image, landmarks: Landmarks) -> tuple[Image, Landmarks]:
    """The face as a model sees it, and its landmarks there."""
    from livepuppet.engines.fomm.crop import face_crop

    crop = face_crop(landmarks, MARGIN)
    scale = CROP_PX / crop.side
    corner = np.array([crop.x - crop.side / 2, crop.y - crop.side / 2, 0.0])
    return crop.cut(image, CROP_PX), (landmarks - corner) * scale


def faces(images: list[Image], *, static: bool) -> tuple[list[Image], list[Landmarks]]:
    tracker = FaceTracker(static=static)
    try:
        found = [cut(image, landmarks) for image in images if (landmarks := tracker.track(image)) is not None]
    finally:
        tracker.close()
    return [crop for crop, _ in found], [landmarks for _, landmarks in found]


def write_arrays(path: Path) -> None:
    from livepuppet.video.reader import VideoReader
    from livepuppet.vision.portrait import ASSETS, load_portrait, shipped_avatars

    video = VideoReader(ASSETS / "performance.mp4")
    images = [frame.image for i, frame in enumerate(video) if i % EVERY == 0][:CROPS]
    video.close()
    crops, landmarks = faces(images, static=False)
    portraits, own = faces([load_portrait(avatar, 640) for avatar in shipped_avatars()[:4]], static=True)
    np.savez_compressed(
        path,
        crops=np.stack(crops),
        landmarks=np.stack(landmarks).astype(np.float32),
        portraits=np.stack(portraits),
        portrait_landmarks=np.stack(own).astype(np.float32),
    )
    print(f"{path}: {len(crops)} crops of the performance, {len(portraits)} portraits", flush=True)


def write_people(folder: Path, count: int, size: int, geometry: Path) -> None:
    """Every sixth is held out."""
    from livepuppet.synthetic.clips import render_clip

    head = Head.load(cache=geometry)
    for index in range(count):
        part = "test" if index % 6 == 5 else "train"
        path = folder / part / f"clip-{index:06d}.npz"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            render_clip(head, 31, index, size=size).save(path)
            print(path, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--people", type=int, default=24)
    parser.add_argument("--tiny", action="store_true", help=f"people of {TINY_PX} px, for the configuration tiny-64")
    parser.add_argument("--start", type=Path, help="model to go on from, with its YAML beside it")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.start:
        shutil.copy(options.start, options.out / "start.pth.tar")
        shutil.copy(options.start.with_name("model.yaml"), options.out / "start.yaml")
    if not (options.out / "arrays.npz").is_file():
        write_arrays(options.out / "arrays.npz")
    write_people(options.out / "people", options.people, TINY_PX if options.tiny else CROP_PX, options.out)
    total = sum(path.stat().st_size for path in options.out.rglob("*") if path.is_file())
    print(f"{options.out}: {total / 1e6:.1f} MB", flush=True)


if __name__ == "__main__":
    main()

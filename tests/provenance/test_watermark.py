"""The mark is not seen, survives what happens to pictures, spells its session, and is not found where it is not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from livepuppet.provenance.watermark import code
from livepuppet.provenance.watermark.embedder import VIDEO, Embedder
from livepuppet.provenance.watermark.reader import Reader, Reading
from livepuppet.types import Image

SESSION = 0xBEAD


def scene(height: int = 720, width: int = 1280, seed: int = 1) -> Image:
    """A picture with a photograph's statistics (amplitude falls as 1 / frequency) and a flat part."""
    noise = np.random.default_rng(seed).standard_normal((3, height, width))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = 1
    picture = np.fft.irfft2(np.fft.rfft2(noise) / frequency, s=(height, width))
    picture = 120 + 45 * picture / picture.std()
    picture[:, :, : width // 3] = 200
    return np.ascontiguousarray(np.clip(picture, 0, 255).astype(np.uint8).transpose(1, 2, 0))


def read(*images: Image) -> Reading:
    reader = Reader()
    for image in images:
        reader.add(image)
    return reader.read()


def decibels(one: Image, other: Image) -> float:
    return float(10 * np.log10(255**2 / np.mean((one.astype(float) - other) ** 2)))


def half(image: Image) -> Image:
    height, width = image.shape[:2]
    return np.asarray(cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA), np.uint8)


def jpeg(image: Image, quality: int = 60) -> Image:
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR), np.uint8)


def cropped(image: Image) -> Image:
    """Without a tenth of its height and width, unevenly."""
    height, width = image.shape[:2]
    return np.ascontiguousarray(image[height // 13 : height // 13 + height * 9 // 10, width // 31 : width // 31 + width * 9 // 10])


def on_screen(image: Image) -> Image:
    """A window half as high as its screen."""
    screen = np.full((1080, 1920, 3), 70, np.uint8)
    small = cv2.resize(image, (960, 540), interpolation=cv2.INTER_AREA)
    screen[311 : 311 + 540, 203 : 203 + 960] = small
    return screen


ATTACKS: dict[str, Callable[[Image], Image]] = {
    "none": lambda image: image,
    "jpeg 60": jpeg,
    "half": half,
    "crop": cropped,
    "crop, half, jpeg 60": lambda image: jpeg(half(cropped(image))),
    "mirrored": lambda image: np.ascontiguousarray(image[:, ::-1]),
    "screenshot": on_screen,
    "grey": lambda image: np.repeat(image.mean(2, keepdims=True).astype(np.uint8), 3, axis=2),
}


def encoded(path: Path, frames: list[Image], bits_per_second: int) -> list[Image]:
    """The frames after H.264."""
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = width, height, "yuv420p", bits_per_second
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.mark.parametrize("session", [0, 1, SESSION, code.IDS - 1])
def test_every_session_spells_itself(session: int) -> None:
    spelled, lead = code.decode_word(code.watermark_tile(session))
    assert spelled == session and lead > 15


def test_pattern_never_changes() -> None:
    """Pictures marked by an earlier version must stay readable: a new pattern takes a new number in code.SEED."""
    pattern = np.concatenate([code.watermark_tile(session) for session in (0, SESSION)])
    assert hashlib.sha256(pattern.astype(np.int8).tobytes()).hexdigest()[:16] == "4a93d2407c56dfbc"


@pytest.mark.parametrize("session", [-1, code.IDS])
def test_session_outside_16_bits_is_refused(session: int) -> None:
    with pytest.raises(ValueError, match="65535"):
        Embedder(session)


@pytest.mark.parametrize("size", [(720, 1280), (256, 256), (513, 385), (192, 400)])
def test_mark_costs_at_most_42_decibels(size: tuple[int, int]) -> None:
    embedder = Embedder(SESSION)
    busy = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    for image in (scene(*size), np.full((*size, 3), 128, np.uint8), np.full((*size, 3), 255, np.uint8), busy):
        before = image.copy()
        marked = embedder.embed(image)
        assert (image == before).all(), "the picture given stays as it is"
        assert marked.shape == image.shape and marked.dtype == np.uint8 and marked.flags.c_contiguous
        assert 42 <= decibels(image, marked) < 60


def test_pictures_too_small_for_a_cell_come_back_unmarked() -> None:
    image = scene(190, 300)
    marked = Embedder(SESSION).embed(image)
    assert (marked == image).all() and marked is not image


@pytest.mark.parametrize("attack", ATTACKS)
def test_mark_survives(attack: str) -> None:
    marked = ATTACKS[attack](Embedder(SESSION).embed(scene()))
    reading = read(marked)
    assert reading.found and reading.session_id == SESSION, reading
    assert reading.mirrored == (attack == "mirrored")


@pytest.mark.parametrize("attack", ["none", "crop, half, jpeg 60", "screenshot"])
def test_unmarked_pictures_stay_unfound(attack: str) -> None:
    reading = read(ATTACKS[attack](scene(seed=2)))
    assert not reading.found and reading.session_id is None, reading


def test_mark_survives_a_megabit_and_then_a_call(tmp_path: Path) -> None:
    """A slowly panned scene, so that the codec has something to do: H.264 at 1 Mbit/s, then half the size at 400 kbit/s."""
    wide, embedder = scene(720, 1320), Embedder(SESSION)
    plain = [np.ascontiguousarray(wide[:, shift : shift + 1280]) for shift in range(0, 40, 2)]
    marked = [embedder.embed(image) for image in plain]
    recording = encoded(tmp_path / "recording.mp4", marked, 1_000_000)
    call = encoded(tmp_path / "call.mp4", [half(image) for image in recording], 400_000)
    for frames in (recording, call):
        reading = read(*frames[::4])
        assert reading.found and reading.session_id == SESSION, reading
    unmarked = read(*encoded(tmp_path / "plain.mp4", plain, 1_000_000)[::4])
    assert not unmarked.found and unmarked.frames == 5


def test_the_film_s_mark_is_fainter_and_survives_a_megabit(tmp_path: Path) -> None:
    wide, embedder = scene(720, 1320), Embedder(SESSION, VIDEO)
    plain = [np.ascontiguousarray(wide[:, shift : shift + 1280]) for shift in range(0, 40, 2)]
    marked = [embedder.embed(image) for image in plain]
    assert decibels(plain[0], marked[0]) > max(44.0, decibels(plain[0], Embedder(SESSION).embed(plain[0])))
    for attack in ATTACKS.values():
        reading = read(attack(marked[0]))
        assert reading.found and reading.session_id == SESSION, reading
    reading = read(*encoded(tmp_path / "video.mp4", marked, 1_000_000)[::4])
    assert reading.found and reading.session_id == SESSION, reading


def test_two_sessions_are_told_apart() -> None:
    image = scene()
    assert [read(Embedder(session).embed(image)).session_id for session in (7, 8)] == [7, 8]


def test_frames_of_one_video_have_one_size() -> None:
    reader = Reader()
    reader.add(scene(128, 128))
    with pytest.raises(ValueError, match="one size"):
        reader.add(scene(128, 256))


def test_a_reader_without_frames_found_nothing() -> None:
    assert not Reader().read().found


def test_flat_and_striped_pictures_hold_no_mark() -> None:
    """Regular patterns, at and beside the period of the tile."""
    rows = np.arange(768)
    for period in (6, 24, 192):
        stripes = np.repeat(((rows // period) % 2 * 255).astype(np.uint8)[:, None, None], 768, axis=1).repeat(3, axis=2)
        checks = (stripes ^ stripes.transpose(1, 0, 2)).copy()
        for image in (stripes, checks):
            assert not read(np.ascontiguousarray(image)).found, period
    assert not read(np.zeros((300, 400, 3), np.uint8)).found

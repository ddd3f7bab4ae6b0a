"""Portraits: every odd file either becomes an upright RGB image or is refused in one line."""

from __future__ import annotations

import io
import logging
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pictures
from PIL import ImageCms

from livepuppet.errors import PortraitError, UsageError
from livepuppet.types import Image
from livepuppet.vision.portrait import LIVE_LIMIT, NEUTRAL, find_portraits, load_alpha, load_portrait, shipped_avatars

CASES = Path(__file__).parents[1] / "cases"


def picture(width: int = 96, height: int = 64) -> Image:
    """Red grows to the right, green downwards; blue is constant."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(0, 255, width)[None]
    image[..., 1] = np.linspace(0, 255, height)[:, None]
    image[..., 2] = 90
    return image


def close(a: Image, b: Image, within: int = 6) -> bool:
    return a.shape == b.shape and int(np.abs(a.astype(int) - b).max()) <= within


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tiff", "ppm"])
def test_reads_common_formats(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Pictures.fromarray(picture()).save(path, quality=95)
    image = load_portrait(path)
    assert image.dtype == np.uint8 and image.flags.c_contiguous and image.flags.writeable
    assert close(image, picture(), 12)


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    upright = Pictures.fromarray(picture())
    exif = Pictures.Exif()
    exif[0x0112] = 6  # the camera lay on its side: rotate by 90 degrees clockwise to show it
    upright.rotate(90, expand=True).save(tmp_path / "a.jpg", quality=97, exif=exif)
    assert close(load_portrait(tmp_path / "a.jpg"), picture(), 12)


def test_grey_and_black_and_white(tmp_path: Path) -> None:
    grey = picture()[..., 0]
    Pictures.fromarray(grey).save(tmp_path / "grey.png")
    assert close(load_portrait(tmp_path / "grey.png"), np.repeat(grey[..., None], 3, axis=2), 0)
    Pictures.fromarray(grey > 127).save(tmp_path / "bw.png")
    assert set(np.unique(load_portrait(tmp_path / "bw.png"))) == {0, 255}


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_shows_neutral_grey(tmp_path: Path, mode: str) -> None:
    image = Pictures.fromarray(picture()).convert("L" if mode == "LA" else "RGB")
    alpha = np.zeros((64, 96), np.uint8)
    alpha[:, 48:] = 255
    image.putalpha(Pictures.fromarray(alpha))
    image.convert(mode).save(tmp_path / "a.png")
    loaded = load_portrait(tmp_path / "a.png")
    assert (loaded[:, :40] == NEUTRAL).all()
    assert loaded[:, 60:].std() > 1


def test_sixteen_bit_grey(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 96).astype(np.uint16)[None].repeat(64, 0)
    Pictures.fromarray(ramp).save(tmp_path / "a.png")
    expected = np.rint(ramp / 257.0).astype(np.uint8)
    assert close(load_portrait(tmp_path / "a.png"), np.repeat(expected[..., None], 3, axis=2), 1)


def test_sixteen_bit_colour(tmp_path: Path) -> None:
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in (picture().astype(np.uint16) * 257))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 96, 64, 16, 2, 0, 0, 0))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    assert close(load_portrait(tmp_path / "a.png"), picture(), 1)


def test_floating_point_tiff(tmp_path: Path) -> None:
    ramp = np.linspace(0, 1, 96, dtype=np.float32)[None].repeat(64, 0)
    Pictures.fromarray(ramp).save(tmp_path / "a.tiff")
    assert load_portrait(tmp_path / "a.tiff")[0, -1].tolist() == [255, 255, 255]


def test_cmyk_jpeg(tmp_path: Path) -> None:
    Pictures.fromarray(picture()).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert close(load_portrait(tmp_path / "a.jpg"), picture(), 16)


def test_colour_profile_is_honoured_and_a_broken_one_is_not_fatal(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (srgb, b"no profile at all"):
        Pictures.fromarray(picture()).save(tmp_path / "a.png", icc_profile=profile)
        assert close(load_portrait(tmp_path / "a.png"), picture(), 2)


def test_animated_gif_gives_its_first_picture_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second = Pictures.new("RGB", (64, 64), (255, 0, 0)), Pictures.new("RGB", (64, 64), (0, 0, 255))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    with caplog.at_level(logging.INFO):
        image = load_portrait(tmp_path / "a.gif")
    assert image[32, 32].tolist() == [255, 0, 0]
    assert "animated (2 pictures): taking the first" in caplog.text


def test_large_pictures_are_reduced(tmp_path: Path) -> None:
    Pictures.fromarray(picture(3000, 2000)).save(tmp_path / "a.png")
    assert load_portrait(tmp_path / "a.png").shape == (853, LIVE_LIMIT, 3)
    assert load_portrait(tmp_path / "a.png", limit=None).shape == (2000, 3000, 3)
    assert close(load_portrait(tmp_path / "a.png", limit=300), picture(300, 200), 4)


def test_a_jpeg_of_20000_pixels_is_decoded_reduced(tmp_path: Path) -> None:
    wide = Pictures.new("L", (20_000, 10_000), 200)
    wide.save(tmp_path / "a.jpg", quality=20)
    assert load_portrait(tmp_path / "a.jpg").shape == (LIVE_LIMIT // 2, LIVE_LIMIT, 3)


def test_a_png_of_20000_pixels_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    for side in (12_000, 20_000):  # below and above where Pillow itself refuses; the data would fail to decode
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
        (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
        with pytest.raises(PortraitError, match="save it smaller, or as baseline JPEG"):
            load_portrait(tmp_path / "a.png")


def test_a_progressive_jpeg_that_claims_to_be_huge_is_refused(tmp_path: Path) -> None:
    Pictures.fromarray(picture()).save(tmp_path / "a.jpg", progressive=True)
    data = bytearray((tmp_path / "a.jpg").read_bytes())
    at = data.index(b"\xff\xc2") + 5
    data[at : at + 4] = struct.pack(">HH", 65500, 65500)
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(PortraitError, match="progressive"):
        load_portrait(tmp_path / "a.jpg", limit=256)


def damaged(kind: str, folder: Path) -> Path:
    path = folder / f"{kind}.jpg"
    stream = io.BytesIO()
    Pictures.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)).save(stream, "JPEG")
    data = stream.getvalue()
    contents = {
        "empty": b"",
        "text": b"this is no picture\n" * 20,
        "truncated": data[: len(data) // 2],
        "header only": data[:3],
        "cut png": b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0)),
        "tiny": b"P6 2 2 255 " + bytes(12),
    }
    if kind == "folder":
        path.mkdir()
    elif kind in contents:
        path.write_bytes(contents[kind])
    return path


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("empty", "is empty"),
        ("text", "not a readable picture"),
        ("truncated", "damaged or cut short"),
        ("header only", "cannot read|no picture"),
        ("cut png", "cannot read|not a readable picture"),
        ("tiny", "only 2x2 pixels"),
        ("missing", "no such picture"),
        ("folder", "is a folder"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path: Path, kind: str, says: str) -> None:
    path = damaged(kind, tmp_path)
    with pytest.raises(PortraitError, match=says) as caught:
        load_portrait(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_hints_for_what_people_try(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    with pytest.raises(PortraitError, match="export it as JPEG"):
        load_portrait(tmp_path / "a.heic")
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(40))
    with pytest.raises(PortraitError, match="save a still"):
        load_portrait(tmp_path / "a.mp4")


@pytest.mark.parametrize(
    ("start", "says"),
    [
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"%PDF-1.7", "PDF"),
        (b"\xff\x0a", "JPEG XL"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"<svg xmlns=", "SVG"),
        (b"\0\0\0\x18ftypisom", "save a still"),
        (b"\x1aE\xdf\xa3", "save a still"),
    ],
)
def test_what_is_no_picture_is_named_by_its_content(tmp_path: Path, start: bytes, says: str) -> None:
    (tmp_path / "photo.jpg").write_bytes(start + bytes(200))
    with pytest.raises(PortraitError, match=says) as refusal:
        load_portrait(tmp_path / "photo.jpg")
    assert "\n" not in str(refusal.value)


def test_photos_of_phones_are_read_whatever_they_are_called(tmp_path: Path) -> None:
    photo = CASES / "photo.heic"
    image = load_portrait(photo)
    assert image.shape == (400, 320, 3)
    expected = np.asarray(Pictures.open(shipped_avatars()[0]).resize((320, 400)).convert("RGB")).astype(int)
    assert np.abs(image.astype(int) - expected).mean() < 3
    shutil.copy(photo, tmp_path / "IMG_0001.jpg")
    assert np.array_equal(load_portrait(tmp_path / "IMG_0001.jpg"), image) and load_alpha(photo) is None


def test_a_folder_s_pictures_are_found_by_their_content(tmp_path: Path) -> None:
    for name, kind in (("a.jfif", "JPEG"), ("b.jpe", "JPEG"), ("c.download", "PNG"), ("d", "WEBP"), ("notes.txt", "")):
        if kind:
            Pictures.new("RGB", (64, 64)).save(tmp_path / name, kind)
        else:
            (tmp_path / name).write_text("BMW is no bitmap, but begins like one"[4:])
    assert [p.name for p in find_portraits([tmp_path])] == ["a.jfif", "b.jpe", "c.download", "d"]


def test_folders_are_searched_in_order(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "notes.txt", ".hidden.png"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "odd").write_bytes(b"x")
    assert [p.name for p in find_portraits([tmp_path, tmp_path / "odd", tmp_path / "b.png"])] == ["a.JPG", "b.png", "odd"]


def test_nothing_found_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no pictures in the folder"):
        find_portraits([tmp_path])
    with pytest.raises(PortraitError, match="no such picture or folder"):
        find_portraits([tmp_path / "nowhere"])
    with pytest.raises(UsageError, match="no portrait given"):
        find_portraits([])


def test_shipped_avatars_load() -> None:
    avatars = shipped_avatars()
    assert len(avatars) == 10
    assert all(load_portrait(path).shape == (1024, 1024, 3) for path in avatars)

"""Portraits are prepared in the background, in the order asked for, and odd ones are named."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from blob_engine import BlobEngine
from PIL import Image as PILImage

from livepuppet.errors import NoFaceError, PortraitError, UsageError
from livepuppet.live.avatar_loader import AvatarLoader
from livepuppet.types import Avatar, Image, Size


class PatientEngine(BlobEngine):
    """Prepares only when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.go.set()
        self.prepared: list[int] = []

    def prepare(self, portrait: Image, size: Size | None = None, face: int | None = None) -> Avatar:
        self.go.wait(5)
        self.prepared.append(int(portrait.max()))
        return super().prepare(portrait, size)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, shade in enumerate((40, 80, 120, 160)):
        PILImage.fromarray(np.full((48, 64, 3), shade, np.uint8)).save(tmp_path / f"p{number}.png")
    return tmp_path


def wait_for(avatars: AvatarLoader) -> Avatar:
    until = time.monotonic() + 5
    while time.monotonic() < until:
        avatar = avatars.poll()
        if avatar is not None:
            return avatar
        time.sleep(0.005)
    raise AssertionError("no avatar came")


def test_first_and_next_come_in_one_size(folder: Path) -> None:
    PILImage.fromarray(np.full((90, 30, 3), 99, np.uint8)).resize((40, 90)).save(folder / "p1.png")
    avatars = AvatarLoader(BlobEngine(), [folder])
    assert avatars.first().image.max() == 40 and avatars.name == "p0"
    assert avatars.step(+1).startswith("avatar 2/4: p1")
    assert wait_for(avatars).image.shape == (48, 64, 3)
    avatars.close()


def test_only_the_last_wish_is_delivered(folder: Path) -> None:
    engine = PatientEngine()
    avatars = AvatarLoader(engine, [folder])
    avatars.first()
    engine.go.clear()
    avatars.choose(1)
    time.sleep(0.05)
    avatars.choose(2)
    avatars.choose(3)
    engine.go.set()
    assert wait_for(avatars).image.max() == 160
    assert engine.prepared[:2] == [40, 80] and 120 not in engine.prepared
    avatars.close()
    assert avatars.poll() is None


def test_a_prepared_portrait_is_not_prepared_twice(folder: Path) -> None:
    engine = PatientEngine()
    avatars = AvatarLoader(engine, [folder])
    avatars.first()
    for number in (1, 0, 1, 0):
        avatars.choose(number)
        wait_for(avatars)
    assert engine.prepared == [40, 80]
    avatars.close()


def test_a_portrait_that_cannot_be_used_is_named_and_the_old_one_stays(folder: Path) -> None:
    PILImage.fromarray(np.zeros((48, 64, 3), np.uint8)).save(folder / "p1.png")
    avatars = AvatarLoader(BlobEngine(), [folder])
    avatars.first()
    avatars.choose(1)
    until = time.monotonic() + 5
    trouble = ""
    while not trouble and time.monotonic() < until:
        trouble = avatars.trouble()
        time.sleep(0.005)
    assert "p1.png" in trouble and avatars.poll() is None
    avatars.close()


def test_unusable_first_portraits_are_skipped_with_a_line(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "a.jpg").write_bytes(b"no picture at all")
    avatars = AvatarLoader(BlobEngine(), [folder])
    assert avatars.first().image.max() == 40
    assert "a.jpg" in caplog.text and avatars.chosen == 1


def test_one_unusable_portrait_is_the_error_itself(tmp_path: Path) -> None:
    PILImage.fromarray(np.zeros((48, 64, 3), np.uint8)).save(tmp_path / "black.png")
    with pytest.raises(NoFaceError, match=r"black\.png"):
        AvatarLoader(BlobEngine(), [tmp_path]).first()
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    with pytest.raises(PortraitError):
        AvatarLoader(BlobEngine(), [tmp_path / "broken.png"]).first()
    with pytest.raises(UsageError, match="none of the 2"):
        AvatarLoader(BlobEngine(), [tmp_path]).first()


def test_reload_finds_new_and_changed_files(folder: Path) -> None:
    avatars = AvatarLoader(BlobEngine(), [folder])
    avatars.first()
    PILImage.fromarray(np.full((48, 64, 3), 222, np.uint8)).save(folder / "p0.png")
    PILImage.fromarray(np.full((48, 64, 3), 200, np.uint8)).save(folder / "p4.png")
    assert avatars.reload().startswith("avatar 1/5")
    assert wait_for(avatars).image.max() == 222
    avatars.close()


def test_there_is_no_tenth_of_four(folder: Path) -> None:
    avatars = AvatarLoader(BlobEngine(), [folder])
    assert avatars.choose(9) == "there are 4 avatars"

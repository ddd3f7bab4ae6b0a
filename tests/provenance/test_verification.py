"""`verify` finds what livepuppet left, says how sure it is, and claims nothing from what is missing."""

from __future__ import annotations

import json
import wave
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from media import set_display_matrix, shared_path
from PIL import Image as PILImage

from livepuppet.cli import main
from livepuppet.errors import UsageError
from livepuppet.provenance.c2pa import ProvenanceFacts, sign_file
from livepuppet.provenance.marks import Mark
from livepuppet.provenance.signing import SigningIdentity, own_identity
from livepuppet.provenance.verification import ABSENT, verify
from livepuppet.types import Image
from livepuppet.vision.portrait import load_portrait, shipped_avatars

SESSION = 4711


@pytest.fixture(scope="module")
def portrait() -> Image:
    return load_portrait(shipped_avatars()[0], 480)


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> SigningIdentity:
    return own_identity(tmp_path_factory.mktemp("keys"))


def video(path: Path, frames: list[Image], fps: int = 10, apart: int = 1) -> Path:
    """A video of the frames. apart: how many frame times pass from one to the next."""
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = width // 2 * 2, height // 2 * 2, "yuv420p"
        for number, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[: height // 2 * 2, : width // 2 * 2]), format="rgb24")
            frame.pts, frame.time_base = number * apart, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def still(path: Path, image: Image) -> Path:
    PILImage.fromarray(image).save(path, quality=80)
    return path


def test_recording_with_both_marks(tmp_path: Path, portrait: Image, identity: SigningIdentity) -> None:
    path = video(tmp_path / "recording.mp4", [Mark(SESSION).apply(portrait)] * 12)
    sign_file(path, facts=ProvenanceFacts("landmark", True, SESSION), identity=identity)
    finding = verify(path)
    assert finding.verdict == "livepuppet" and finding.watermark.session_id == SESSION and finding.stretch is None
    text = " ".join(finding.sentences())
    assert "not proof" in text and "nobody vouches" in text and f"session {SESSION}" in text and "disagree" not in text


def test_a_phone_s_clip_is_looked_at_upright(tmp_path: Path, portrait: Image) -> None:
    """A recording that was filmed or saved sideways, with a note how to turn it: the mark is in the frames as players show them."""
    sideways = np.ascontiguousarray(np.rot90(Mark(SESSION).apply(portrait)))
    path = video(tmp_path / "phone.mp4", [sideways] * 12)
    assert not verify(path).watermark.found
    set_display_matrix(path, (0, 1, -1, 0))
    assert verify(path).watermark.session_id == SESSION


def test_a_mark_behind_a_cover_picture_is_found() -> None:
    """Where the first stream is a cover picture, players show the second."""
    assert verify(shared_path("cases/marked_with_cover.mp4")).verdict == "livepuppet"


def test_copy_without_credentials_still_carries_the_mark(tmp_path: Path, portrait: Image) -> None:
    finding = verify(still(tmp_path / "copy.jpg", Mark(SESSION).apply(portrait)))
    assert finding.verdict == "livepuppet" and finding.credentials is None and finding.watermark.session_id == SESSION


def test_excerpt_inside_something_else(tmp_path: Path, portrait: Image) -> None:
    """Four marked seconds in a video of other scenes."""
    rng = np.random.default_rng(3)
    other = [np.kron(rng.integers(0, 256, (30, 30, 3), np.uint8), np.ones((16, 16, 1), np.uint8)) for _ in range(20)]
    frames = [*other[:12], *[Mark(SESSION).apply(portrait)[:480, :480]] * 4, *other[12:]]
    finding = verify(video(tmp_path / "montage.mp4", frames, fps=1))
    assert finding.verdict == "livepuppet" and finding.watermark.session_id == SESSION
    assert finding.stretch is None or finding.stretch[0] <= 15 <= finding.stretch[1] + 4


def test_long_video_is_sampled_by_seeking(tmp_path: Path, portrait: Image) -> None:
    finding = verify(video(tmp_path / "long.mp4", [Mark(SESSION).apply(portrait)] * 40, fps=10, apart=50))
    assert finding.verdict == "livepuppet" and finding.watermark.frames == 24


def test_unmarked_picture_proves_nothing(tmp_path: Path, portrait: Image) -> None:
    finding = verify(still(tmp_path / "plain.png", portrait))
    assert finding.verdict == "nothing" and ABSENT in finding.sentences()[0]


def test_marks_that_disagree_are_said_to(tmp_path: Path, portrait: Image, identity: SigningIdentity) -> None:
    path = still(tmp_path / "one.png", Mark(SESSION).apply(portrait))
    sign_file(path, facts=ProvenanceFacts("landmark", True, SESSION + 1), identity=identity)
    assert any("disagree" in sentence for sentence in verify(path).sentences())
    path = still(tmp_path / "two.png", portrait)
    sign_file(path, facts=ProvenanceFacts("landmark", True, SESSION), identity=identity)
    assert any("disagree" in sentence for sentence in verify(path).sentences())


def test_left_out_on_request_is_said(tmp_path: Path, portrait: Image, identity: SigningIdentity) -> None:
    path = still(tmp_path / "one.png", portrait)
    sign_file(path, facts=ProvenanceFacts("landmark", False), identity=identity)
    finding = verify(path)
    assert finding.verdict == "livepuppet" and any("left out on request" in sentence for sentence in finding.sentences())


def test_command_prints_json_and_answers_by_exit_code(
    tmp_path: Path, portrait: Image, identity: SigningIdentity, capsys: pytest.CaptureFixture[str]
) -> None:
    marked = str(still(tmp_path / "marked.jpg", Mark(SESSION).apply(portrait)))
    plain = still(tmp_path / "plain.png", portrait)
    altered = still(tmp_path / "altered.jpg", portrait)
    sign_file(altered, facts=ProvenanceFacts("landmark", False), identity=identity)
    content = bytearray(altered.read_bytes())
    content[-30] ^= 1  # in the picture's last lines
    altered.write_bytes(content)
    (tmp_path / "text.mp4").write_text("no video")

    assert main(["verify", marked, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report[0]["verdict"] == "livepuppet" and report[0]["watermark"]["session_id"] == SESSION and report[0]["credentials"] is None
    assert main(["verify", marked, str(plain)]) == 3
    assert "not found" in capsys.readouterr().out
    assert main(["verify", str(plain), marked, str(tmp_path / "text.mp4"), "--json"]) == 2
    seen = capsys.readouterr()
    assert [entry["verdict"] for entry in json.loads(seen.out)] == ["nothing", "livepuppet", "unreadable"]
    assert "text.mp4" in seen.err and len(seen.err.splitlines()) == 1
    assert main(["verify", str(altered), str(plain)]) == 4
    assert "altered after its credentials were signed" in capsys.readouterr().out
    assert main(["verify", str(altered), "--quiet"]) == 4
    assert capsys.readouterr().out == ""


def test_files_that_are_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").write_bytes(b"")
    for name in ("empty.mp4", "absent.mp4", "absent.jpg"):
        with pytest.raises(UsageError, match=name):
            verify(tmp_path / name)
    with wave.open(str(tmp_path / "sound.wav"), "wb") as audio:
        audio.setparams((1, 2, 8000, 0, "NONE", ""))
        audio.writeframes(bytes(1600))
    with pytest.raises(UsageError, match="no video stream"):
        verify(tmp_path / "sound.wav")


def test_nobody_is_accused_of_what_cannot_be_parsed(tmp_path: Path, portrait: Image, capsys: pytest.CaptureFixture[str]) -> None:
    """A recording that was never signed, with bytes behind its end that c2pa cannot make sense of."""
    path = video(tmp_path / "clip.mp4", [portrait] * 4)
    path.write_bytes(path.read_bytes() + b"left here by a download that went wrong")
    assert main(["verify", str(path)]) == 3
    said = capsys.readouterr().out
    assert "No mark found" in said and "Content credentials: none." in said and "altered" not in said


@pytest.mark.parametrize("how", ["a byte", "cut short", "something behind it"])
def test_a_signed_file_that_was_altered_is_told(tmp_path: Path, portrait: Image, identity: SigningIdentity, how: str) -> None:
    path = video(tmp_path / "clip.mp4", [portrait] * 4)
    sign_file(path, facts=ProvenanceFacts("landmark", False), identity=identity)
    assert verify(path).verdict == "livepuppet"
    data = path.read_bytes()
    place = data.index(b"mdat") + 500
    changed = {
        "a byte": data[:place] + bytes([data[place] ^ 255]) + data[place + 1 :],
        "cut short": data[:-50],
        "something behind it": data + b"something behind it, as text",
    }
    path.write_bytes(changed[how])
    found = verify(path)
    assert found.verdict == "altered" and main(["verify", "--quiet", str(path)]) == 4


def test_credentials_that_are_themselves_damaged_prove_nothing(tmp_path: Path, portrait: Image, identity: SigningIdentity) -> None:
    path = video(tmp_path / "clip.mp4", [portrait] * 4)
    sign_file(path, facts=ProvenanceFacts("landmark", False), identity=identity)
    data = bytearray(path.read_bytes())
    data[data.index(b"jumb") + 100] ^= 255
    path.write_bytes(data)
    found = verify(path)
    assert found.verdict == "nothing" and "says nothing about the file" in " ".join(found.sentences())


def test_the_shared_file_that_was_never_signed() -> None:
    assert verify(shared_path("cases/never_signed_trailing_bytes.mp4")).verdict == "nothing"

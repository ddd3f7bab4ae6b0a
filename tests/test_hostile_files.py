"""Files from strangers: whatever is in them, they are read or refused in one line; nothing is started, nothing else is opened.

The cases are the smallest ones of each kind that `benchmarks/fuzz.py` found, and of the kinds that it cannot come upon by chance.
"""

from __future__ import annotations

import http.server
import io
import json
import os
import pickle
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from fomm_models import TINY, lively, write_checkpoint
from media import write_numbered_video
from PIL import Image as PILImage

from livepuppet.cli import build_parser, main
from livepuppet.cli.render import read_rows
from livepuppet.devices.choice import remembered_camera
from livepuppet.engines.fomm import model_store
from livepuppet.engines.fomm.networks.checkpoint import load_checkpoint, load_configuration
from livepuppet.engines.fomm.networks.configuration import Configuration, Hourglass
from livepuppet.errors import LivepuppetError, ModelError, PortraitError, UsageError
from livepuppet.provenance.c2pa import parse_manifest
from livepuppet.provenance.signing import create_identity, parse_identity
from livepuppet.rendering.motion_file import MotionFile
from livepuppet.rendering.resume import read_note
from livepuppet.training.recipe import Recipe
from livepuppet.video import reader
from livepuppet.video.audio import SILENCE_S, AudioTrack
from livepuppet.video.reader import VideoReader
from livepuppet.video.writer import VideoWriter, video_format
from livepuppet.vision.portrait import load_alpha, load_portrait

# Pictures


def test_a_program_in_a_picture_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow gives EPS to Ghostscript, whatever the file's name."""
    interpreter = tmp_path / "bin" / "gs"
    interpreter.parent.mkdir()
    interpreter.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    interpreter.chmod(0o755)
    monkeypatch.setenv("PATH", f"{interpreter.parent}{os.pathsep}{os.environ['PATH']}")
    path = tmp_path / "face.jpg"
    path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n%%EOF\n")
    with pytest.raises(PortraitError, match="not a readable picture"):
        load_portrait(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kind", ["AVIF", "TIFF", "WEBP", "PNG"])
def test_a_damaged_picture_is_refused_whatever_its_reader_raises(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """TypeError for a TIFF without dimensions, RuntimeError for AVIF that cannot be decoded, …"""
    PILImage.init()
    if kind not in PILImage.SAVE:
        pytest.skip(f"this Pillow writes no {kind}")
    whole = io.BytesIO()
    PILImage.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(whole, kind)
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(60):
        data = np.frombuffer(whole.getvalue(), np.uint8).copy()
        places = rng.integers(0, min(len(data), 400), 6)
        data[places] = rng.integers(0, 255, 6)
        (tmp_path / "a.jpg").write_bytes(data.tobytes())
        for load in (load_portrait, load_alpha):
            try:
                load(tmp_path / "a.jpg")
            except PortraitError as error:
                refused += 1
                assert len(str(error).splitlines()) == 1
    assert refused > 10
    caplog.clear()  # Pillow writes some of its own reasons into its own log


def test_odd_exif_is_not_complained_of(tmp_path: Path) -> None:
    """Pillow warns of it; warnings are errors in these tests."""
    exif = PILImage.Exif()
    exif[0x0112], exif[0x010E] = 6, "a face with a long description"
    PILImage.new("RGB", (64, 48)).save(tmp_path / "a.jpg", exif=exif)
    data = (tmp_path / "a.jpg").read_bytes()
    at = data.index(b"Exif")
    (tmp_path / "a.jpg").write_bytes(data[: at + 26] + b"\xff\xff" + data[at + 28 :])
    assert load_portrait(tmp_path / "a.jpg").shape[2] == 3


# Videos


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """A server's address, and what it was asked for."""
    paths: list[str] = []

    class Listener(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *arguments: object) -> None:
            return None

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", paths
        server.shutdown()


@pytest.mark.parametrize("name", ["talk.m3u8", "talk.mp4", "talk.ffconcat"])
def test_a_list_of_other_files_leads_nowhere(name: str, tmp_path: Path, asked: tuple[str, list[str]]) -> None:
    """A playlist would have FFmpeg read files of this machine, or ask servers, in the name of whoever sent it."""
    address, paths = asked
    (tmp_path / "private").mkdir()
    write_numbered_video(tmp_path / "private" / "secret.mp4", 5)
    for target in ("private/secret.mp4", f"{address}/a.ts"):
        text = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.0,\n{target}\n#EXT-X-ENDLIST\n"
        if name.endswith("ffconcat"):
            text = f"ffconcat version 1.0\nfile '{target}'\n"
        (tmp_path / name).write_text(text)
        with pytest.raises(UsageError, match="not a readable video"):
            VideoReader(tmp_path / name)
    assert paths == []


def test_frames_that_would_fill_the_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_numbered_video(tmp_path / "a.mp4", 5)
    monkeypatch.setattr(reader, "LARGEST_FRAME_PX", 160 * 120 - 1)
    with pytest.raises(UsageError, match="160x120 pixels, more than"):
        VideoReader(path)


def test_a_clock_that_says_days_fills_no_memory_with_silence(tmp_path: Path) -> None:
    """A damaged packet's time lies days ahead: the sound goes on there, without days of zeros on the way."""
    source = tmp_path / "a.mkv"
    with av.open(str(source), "w") as container:
        sound = container.add_stream("pcm_s16le", rate=8000)
        assert isinstance(sound, av.AudioStream)
        for start in (0, 1024, 8000 * 86400 * 3):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 8000, start, Fraction(1, 8000)
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    audio = AudioTrack(str(source))
    writer = VideoWriter(tmp_path / "b.mp4", (16, 16), format=video_format(".mp4"), fps=25.0, audio=audio)
    writer.write(np.zeros((16, 16, 3), np.uint8), 0)
    writer.close()
    audio.close()
    with av.open(str(tmp_path / "b.mp4")) as made:
        packets = [packet for packet in made.demux(audio=0) if packet.size]
    times = [float(packet.pts * packet.time_base) for packet in packets if packet.pts is not None]
    assert times[-1] > 86400 * 2 and len(packets) < 20 and SILENCE_S < 86400


# Motion files, tables, notes


def test_a_motion_file_with_a_damaged_array_header_is_refused(tmp_path: Path) -> None:
    """NumPy reads the header as Python, and raises TokenError where it ends within a bracket."""
    header = b"{'descr': '<i8', 'fortran_order': False, 'shape': (2," + b" " * 20 + b"\n"
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("format.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(UsageError, match="is damaged"):
        MotionFile(tmp_path / "a.npz")


def test_a_path_that_no_file_can_have_costs_its_row_only(tmp_path: Path) -> None:
    name = "x" * 3000
    table = tmp_path / "jobs.csv"
    (tmp_path / "a.jpg").touch()
    table.write_text(f"avatar,driving,output\na.jpg,b.mp4,{name}\na.jpg,{name},o.mp4\na.jpg,b.mp4,good.mp4\n")
    rows = read_rows(table, build_parser("render").parse_args(["--jobs", str(table)]))
    assert len(rows) == 3 and rows[2].job is not None


def test_a_table_with_null_characters_is_no_text(tmp_path: Path) -> None:
    table = tmp_path / "jobs.csv"
    table.write_text("avatar,driving,output\na.jpg,b.mp4,a\0b.mp4\n")
    with pytest.raises(UsageError, match="save it as CSV"):
        read_rows(table, build_parser("render").parse_args(["--jobs", str(table)]))


def test_a_path_that_no_file_can_have_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", "--avatar", "x" * 3000, "--driving", "b.mp4", "--output", "c.mp4"]) != 0
    said = capsys.readouterr().err
    assert "fault in the program" not in said and len(said) < 4000


def test_columns_without_end_make_no_message_without_end(tmp_path: Path) -> None:
    table = tmp_path / "jobs.csv"
    table.write_text("avatar,driving,output," + "y" * 70_000 + "\na,b,c,d\n")
    with pytest.raises(UsageError, match="mean nothing") as refusal:
        read_rows(table, build_parser("render").parse_args(["--jobs", str(table)]))
    assert len(str(refusal.value)) < 1500


DEEP = "[" * 100_000


ENDLESS = '{"version": 1e999, "settings": {}, "references": [], "session_id": 1e999}'


@pytest.mark.parametrize(
    "text", [DEEP, ENDLESS, "\x00", "2024-02-30", "a: " + "{" * 3000], ids=["deep", "endless", "null", "date", "braces"]
)
def test_notes_and_settings_with_anything_in_them(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEPUPPET_CONFIG", str(tmp_path))
    for path in (tmp_path / "a.yaml", tmp_path / "camera.json"):
        path.write_text(text)
    assert remembered_camera() == ""
    readers: list[Callable[[], object]] = [
        lambda: read_note(tmp_path / "a.mp4", text.encode(), {}),
        lambda: Recipe.read(str(tmp_path / "a.yaml")),
        lambda: load_configuration(tmp_path / "a.yaml"),
    ]
    for read in readers:
        with pytest.raises(LivepuppetError):
            read()


# Models


@pytest.mark.parametrize(
    "change",
    [
        {"size": float("inf")},
        {"margin": "x"},
        {"name": DEEP[:50]},
        {"files": {"a\0b": {"bytes": 1, "sha256": ""}}},
        {"files": {"\ud800": {"bytes": 1, "sha256": ""}}},
        {"files": {"x" * 3000: {"bytes": 1, "sha256": ""}}},
    ],
)
def test_a_manifest_with_anything_in_it(change: dict[str, Any], tmp_path: Path) -> None:
    shipped = model_store.shipped_models_folder() / "fomm-synth-256" / model_store.MANIFEST
    tree = json.loads(shipped.read_text()) | change
    (tmp_path / model_store.MANIFEST).write_text(json.dumps(tree))
    with pytest.raises(ModelError) as refusal:
        model_store.read_manifest(tmp_path).verify()
    assert len(str(refusal.value).splitlines()) == 1


def test_a_configuration_of_which_no_network_can_be_built_is_refused() -> None:
    for wrong in ({"keypoints": 0}, {"keypoints": 10**9}, {"size": 10**9}, {"temperature": float("nan")}, {"bottleneck_blocks": 10**9}):
        with pytest.raises(ValueError, match=r"is .*, not"):
            replace(Configuration(), **wrong)
    with pytest.raises(ValueError, match="num_blocks is 1000000000"):
        Hourglass(block_expansion=8, max_features=8, blocks=10**9, scale=1.0)


def test_a_checkpoint_that_claims_more_than_it_holds_takes_no_memory(tmp_path: Path) -> None:
    """One stored row seen as a million of them."""
    path = write_checkpoint(tmp_path)
    state = torch.load(path, weights_only=True)
    state["generator"] = {
        name: tensor.flatten()[:1].expand(1 << 20) if tensor.ndim else tensor for name, tensor in state["generator"].items()
    }
    torch.save(state, path)
    with pytest.raises(ModelError, match="holds less than its tensors claim"):
        load_checkpoint(path)


def test_networks_that_do_not_fit_are_refused_before_they_are_built(tmp_path: Path) -> None:
    """A configuration of a hundred gigabytes beside a small checkpoint."""
    wide = Hourglass(block_expansion=1 << 14, max_features=1 << 14, blocks=5, scale=0.25)
    path = write_checkpoint(tmp_path, lively())
    with pytest.raises(ModelError, match="does not fit its configuration"):
        load_checkpoint(path, configuration=replace(TINY, detector=wide, dense_motion=wide))


def test_a_checkpoint_that_unpacks_to_more_than_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.pth.tar"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}, 2))
        archive.writestr("archive/data/0", bytes(50_000_000))
    with pytest.raises(ModelError, match="no readable checkpoint"):
        load_checkpoint(path)


# Credentials


@pytest.mark.parametrize(
    "store",
    [
        None,
        [],
        {"manifests": []},
        {"active_manifest": {}, "manifests": {"a": 1}},
        {"active_manifest": "a", "manifests": {"a": {"claim_generator_info": {"x": 1}, "assertions": [1, None, {"data": {}}]}}},
        {"active_manifest": "a", "manifests": {"a": {"claim_generator_info": [None], "signature_info": "x", "assertions": True}}},
        {"active_manifest": "a", "manifests": {"a": {"assertions": [{"label": "c2pa.actions.v2", "data": {"actions": 7}}]}}},
        {"validation_status": 3},
        {"validation_status": ["x"]},
    ],
)
def test_credentials_with_anything_in_them(store: Any) -> None:
    assert parse_manifest(store).statement is None


def test_a_key_on_a_curve_that_nobody_knows_is_refused() -> None:
    """The curve's number in the certificate's key is changed: the library that reads it raises an error of its own."""
    import base64
    import re

    pem = create_identity()
    for part in (0, 1):
        blocks = re.findall(rb"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----\n", pem, re.DOTALL)
        first, *lines, last = blocks[part].splitlines()
        der = base64.b64decode(b"".join(lines)).replace(bytes.fromhex("06082a8648ce3d030107"), bytes.fromhex("06082a8648ce3d03017f"))
        blocks[part] = b"\n".join([first, base64.encodebytes(der).strip(), last, b""])
        with pytest.raises(UsageError):
            parse_identity(b"".join(blocks[1:]), blocks[0], "certificate.pem")

"""Signed files say how they were made, tell when they were altered, name nobody, and are never damaged by signing."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image as PILImage

from livepuppet.errors import SinkError, UsageError
from livepuppet.provenance.c2pa import ProvenanceFacts, can_sign, read_credentials, sign_file
from livepuppet.provenance.signing import FILE, SigningIdentity, load_identity, own_identity
from livepuppet.version import __version__

FACTS = ProvenanceFacts(engine="landmark", watermark=True, session_id=4711)


@pytest.fixture
def identity(tmp_path: Path) -> SigningIdentity:
    return own_identity(tmp_path / "keys")


@pytest.fixture(params=["recording.mp4", "recording.mov", "still.jpg", "still.png"])
def recording(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / str(request.param)
    make(path)
    return path


def make(path: Path) -> None:
    """A real file of the kind its name says."""
    frames = np.random.default_rng(0).integers(0, 256, (5, 64, 96, 3), np.uint8)
    if path.suffix in {".jpg", ".png"}:
        PILImage.fromarray(frames[0]).save(path)
        return
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def images(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24").tobytes() for frame in container.decode(video=0)]


def test_signed_file_says_how_it_was_made(recording: Path, identity: SigningIdentity) -> None:
    before = images(recording)
    assert read_credentials(recording) is None
    sign_file(recording, facts=FACTS, identity=identity)
    found = read_credentials(recording)
    assert found is not None and found.state == "valid" and found.problems == ("signingCredential.untrusted",)
    assert found.generator == f"livepuppet {__version__}"
    assert found.source_types == ("compositeWithTrainedAlgorithmicMedia",)
    assert found.statement is not None
    assert found.statement["engine"] == "landmark" and found.statement["watermark"] is True and found.statement["session_id"] == 4711
    assert images(recording) == before, "the pictures are the same, bit for bit"
    assert {path.name for path in recording.parent.iterdir()} == {recording.name, "keys"}, "nothing is left behind"


def test_no_watermark_is_stated(tmp_path: Path, identity: SigningIdentity) -> None:
    path = tmp_path / "plain.mp4"
    make(path)
    sign_file(path, facts=ProvenanceFacts(engine="fomm", watermark=False, session_id=4711, label="synthetic"), identity=identity)
    found = read_credentials(path)
    assert found is not None and found.statement is not None
    assert found.statement["watermark"] is False and found.statement["session_id"] is None and found.statement["label"] == "synthetic"
    assert found.source_types == ("trainedAlgorithmicMedia",)


@pytest.mark.parametrize("name", ["recording.mp4", "still.png"])
def test_altered_file_is_told(name: str, tmp_path: Path, identity: SigningIdentity) -> None:
    path = tmp_path / name
    make(path)
    content = bytearray(path.read_bytes())
    sign_file(path, facts=FACTS, identity=identity)
    signed = bytearray(path.read_bytes())
    place = signed.index(bytes(content[-600:-500]))
    signed[place] ^= 1
    path.write_bytes(signed)
    found = read_credentials(path)
    assert found is not None and found.state == "invalid" and found.problems


def test_credentials_name_nobody(tmp_path: Path) -> None:
    folder = tmp_path / "private-name-of-a-folder"
    folder.mkdir()
    path = folder / "private-name-of-a-file.mp4"
    make(path)
    sign_file(path, facts=FACTS, identity=own_identity(folder))
    content = path.read_bytes()
    names = [b"private-name"] + [name.encode() for name in (socket.gethostname(), getpass.getuser()) if len(name) > 4]
    assert not [name for name in names if name in content]


def test_files_without_a_place_for_credentials_are_left_alone(tmp_path: Path, identity: SigningIdentity) -> None:
    path = tmp_path / "recording.mkv"
    make(path)
    before = path.read_bytes()
    assert not can_sign(path) and read_credentials(path) is None
    with pytest.raises(SinkError, match=r"'\.mkv' files have no place"):
        sign_file(path, facts=FACTS, identity=identity)
    assert path.read_bytes() == before


def test_failed_signing_leaves_the_recording_as_it_was(tmp_path: Path, identity: SigningIdentity) -> None:
    """A real recording and an unfit signature: the key of one certificate with another, which c2pa finds out at the end."""
    path = tmp_path / "recording.mp4"
    make(path)
    before = path.read_bytes()
    other = own_identity(tmp_path / "other")
    with pytest.raises(SinkError, match="whole but carries no credentials"):
        sign_file(path, facts=FACTS, identity=SigningIdentity(identity.algorithm, identity.certificates, other.key))
    assert path.read_bytes() == before
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(b"no video at all")
    with pytest.raises(SinkError, match="signing failed"):
        sign_file(damaged, facts=FACTS, identity=identity)
    assert damaged.read_bytes() == b"no video at all"
    assert {file.name for file in tmp_path.iterdir()} == {"recording.mp4", "damaged.mp4", "keys", "other"}


def test_signing_again_replaces_what_was_said(tmp_path: Path, identity: SigningIdentity) -> None:
    path = tmp_path / "still.jpg"
    make(path)
    for session in (1, 2):
        sign_file(path, facts=ProvenanceFacts("landmark", True, session), identity=identity)
    found = read_credentials(path)
    assert found is not None and found.state == "valid" and found.statement is not None and found.statement["session_id"] == 2


def test_own_key_is_made_once_and_for_this_user_alone(tmp_path: Path) -> None:
    first, second = own_identity(tmp_path), own_identity(tmp_path)
    assert first == second
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    if os.name == "posix":
        assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert "PRIVATE" not in repr(first) and first.key.decode() not in repr(first)


def test_damaged_own_key_is_replaced(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"damaged")
    identity = own_identity(tmp_path)
    assert own_identity(tmp_path) == identity


def test_unwritable_folder_for_the_key_keeps_the_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    monkeypatch.setattr("platformdirs.user_data_path", lambda *names, **options: blocked)
    path = tmp_path / "recording.mp4"
    make(path)
    before = path.read_bytes()
    with pytest.raises(SinkError, match="whole but carries no credentials"):
        sign_file(path, facts=FACTS)
    assert path.read_bytes() == before


def test_sign_with_a_certificate_of_ones_own(tmp_path: Path, identity: SigningIdentity) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate.write_bytes(identity.certificates)
    key.write_bytes(identity.key)
    assert load_identity(certificate, key) == identity
    with pytest.raises(UsageError, match="cannot read"):
        load_identity(tmp_path / "absent.pem", key)
    with pytest.raises(UsageError, match="not a private key"):
        load_identity(certificate, certificate)
    with pytest.raises(UsageError, match="not a certificate"):
        load_identity(key, key)
    key.write_bytes(own_identity(tmp_path / "other").key)
    with pytest.raises(UsageError, match="does not belong"):
        load_identity(certificate, key)


def test_a_key_with_a_password_is_refused_in_words(tmp_path: Path, identity: SigningIdentity) -> None:
    from cryptography.hazmat.primitives import serialization

    private = serialization.load_pem_private_key(identity.key, None)
    locked = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    )
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate.write_bytes(identity.certificates)
    key.write_bytes(locked)
    with pytest.raises(UsageError, match="password"):
        load_identity(certificate, key)


def test_reading_and_signing_stay_out_of_the_import() -> None:
    program = (
        "import sys, livepuppet.provenance.c2pa, livepuppet.provenance.marks\n"
        "assert not {'c2pa', 'cryptography', 'PIL', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)

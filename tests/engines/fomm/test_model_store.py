"""Model directories: found, verified, refused in words when anything is not as it was made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from livepuppet.cli import main
from livepuppet.engines.fomm import model_store as artifacts
from livepuppet.engines.fomm.model_store import Manifest, file_entry
from livepuppet.errors import ModelError, UsageError
from livepuppet.files import process_mark


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIVEPUPPET_MODELS", str(tmp_path / "home"))
    return tmp_path / "home"


def write_model(folder: Path, **changes: Any) -> Path:
    """A directory with two files and a manifest that fits them; `changes` are laid over the manifest."""
    folder.mkdir(parents=True)
    for part in ("prepare", "animate"):
        (folder / f"{part}.onnx").write_bytes(part.encode() * 1000)
    manifest = Manifest(
        name=folder.name,
        size=256,
        keypoints=10,
        channels=3,
        align_corners=True,
        crop="face",
        graphs={"onnx": {"prepare": "prepare.onnx", "animate": "animate.onnx"}},
        files={path.name: file_entry(path) for path in folder.iterdir()},
        provenance={"checkpoint": "x-cpk.pth.tar"},
    )
    tree = json.loads(manifest.text())
    tree.update(changes)
    (folder / "model.json").write_text(json.dumps({key: value for key, value in tree.items() if value is not ...}))
    return folder


def test_a_model_is_found_by_name_and_by_directory(own_home: Path, tmp_path: Path) -> None:
    write_model(own_home / "mine")
    elsewhere = write_model(tmp_path / "elsewhere" / "other")
    assert artifacts.find_model("mine").path == own_home / "mine"
    assert artifacts.find_model(str(elsewhere)).manifest.name == "other"
    artifacts.find_model("mine").verify()
    assert "mine" in [model.path.name for model in artifacts.installed_models()]


def test_a_model_of_ones_own_hides_the_shipped_one(own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(tmp_path / "shipped" / "same")
    write_model(tmp_path / "shipped" / "only")
    write_model(own_home / "same")
    monkeypatch.setattr(artifacts, "shipped_models_folder", lambda: tmp_path / "shipped")
    assert artifacts.find_model("same").path == own_home / "same"
    assert [model.path for model in artifacts.installed_models()] == [own_home / "same", tmp_path / "shipped" / "only"]
    with pytest.raises(UsageError, match="comes with livepuppet and stays"):
        artifacts.remove_model("only")


def test_an_unknown_name_lists_the_known_ones(own_home: Path) -> None:
    write_model(own_home / "mine")
    with pytest.raises(UsageError, match=r"no model named 'yours' \(known: mine"):
        artifacts.find_model("yours")
    with pytest.raises(UsageError, match="no model named"):
        artifacts.find_model("../mine/../../etc")


def test_a_directory_without_a_manifest(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"it has no model\.json"):
        artifacts.find_model(str(tmp_path))


def test_a_manifest_is_written_as_it_is_read(own_home: Path) -> None:
    manifest = artifacts.read_manifest(write_model(own_home / "mine")).manifest
    assert json.loads(manifest.text()) == json.loads((own_home / "mine" / "model.json").read_text())


def test_a_missing_file(own_home: Path) -> None:
    path = write_model(own_home / "mine")
    (path / "animate.onnx").unlink()
    with pytest.raises(ModelError, match=r"animate\.onnx is missing: remove .* and import or pull"):
        artifacts.find_model("mine").verify()


def test_an_altered_file(own_home: Path) -> None:
    path = write_model(own_home / "mine") / "animate.onnx"
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"animate\.onnx has been altered"):
        artifacts.find_model("mine").verify()


@pytest.mark.parametrize("change", [b"more", None], ids=["oversized", "truncated"])
def test_a_file_of_another_size(change: bytes | None, own_home: Path) -> None:
    path = write_model(own_home / "mine") / "prepare.onnx"
    content = path.read_bytes()
    path.write_bytes(content + change if change else content[:-5])
    with pytest.raises(ModelError, match=r"prepare\.onnx has \d+ bytes instead of 7000"):
        artifacts.find_model("mine").verify()


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "link"])
def test_a_file_outside_the_directory(name: str, own_home: Path) -> None:
    path = write_model(own_home / "mine", files={name: {"bytes": 6, "sha256": "0" * 64}}, graphs={})
    (own_home / "secret").write_text("secret")
    (path / "link").symlink_to(own_home / "secret")
    with pytest.raises(ModelError, match="lies outside its directory"):
        artifacts.find_model("mine").verify()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "has format 2, this livepuppet reads format 1"),
        ({"size": ...}, "lacks the entry 'size'"),
        ({"size": 5}, "that cannot be"),
        ({"channels": 1}, "that cannot be"),
        ({"crop": "feet"}, "crop 'feet'"),
        ({"files": {}}, "without its size and sha256"),
        ({"files": []}, "import the model again"),
        ({"graphs": "onnx"}, "import the model again"),
        ({"ranges": {"image": 3}}, "import the model again"),
        ({"files": {"a": {"bytes": 1 << 40, "sha256": ""}}, "graphs": {}}, "impossible size"),
    ],
    ids=str,
)
def test_manifests_that_make_no_sense(changes: dict[str, Any], message: str, own_home: Path) -> None:
    write_model(own_home / "mine", **changes)
    with pytest.raises(ModelError, match=message) as refusal:
        artifacts.find_model("mine")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "[" * 100_000, " " * (2 << 20)])
def test_manifests_that_are_none(content: str, own_home: Path) -> None:
    (write_model(own_home / "mine") / "model.json").write_text(content)
    with pytest.raises(ModelError, match=r"no JSON|does not describe a model|too large"):
        artifacts.find_model("mine")


def test_files_that_are_not_listed_are_not_opened(own_home: Path) -> None:
    path = write_model(own_home / "mine")
    (path / "extra.onnx").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"does not list the file 'extra\.onnx'"):
        artifacts.find_model("mine").file("extra.onnx")


def test_a_failed_import_leaves_nothing(own_home: Path) -> None:
    with pytest.raises(ZeroDivisionError), artifacts.create_model_directory("mine") as path:
        (path / "half-done").write_text("x")
        raise ZeroDivisionError
    assert list(own_home.iterdir()) == []


def test_a_taken_name_is_refused_or_replaced(own_home: Path) -> None:
    write_model(own_home / "mine")
    with pytest.raises(UsageError, match="there is a model 'mine' already"), artifacts.create_model_directory("mine"):
        pass
    with artifacts.create_model_directory("mine", replace=True) as path:
        (path / "new").write_text("x")
    assert [file.name for file in (own_home / "mine").iterdir()] == ["new"]


def test_a_taken_name_is_refused_before_the_checkpoint_is_read(own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_model(own_home / "mine")
    assert main(["models", "import", "nowhere.pth.tar", "--name", "mine"]) == 2
    assert "there is a model 'mine' already" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="whether a process runs is asked by signal 0")
def test_what_a_killed_import_left_is_removed_by_the_next(own_home: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = own_home / f".importing-{process_mark().partition('-')[0]}-{ended.pid}-abc"
    running = own_home / f".importing-{process_mark()}-abc"
    left.mkdir(parents=True)
    running.mkdir()
    with artifacts.create_model_directory("mine") as path:
        (path / "new").write_text("x")
    assert sorted(other.name for other in own_home.iterdir()) == sorted([running.name, "mine"])


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "a b", "x" * 65])
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a model's name"), artifacts.create_model_directory(name):
        pass


def test_removing(own_home: Path) -> None:
    write_model(own_home / "mine")
    assert artifacts.remove_model("mine") == own_home / "mine"
    assert not (own_home / "mine").exists()
    for name in ("mine", "../home", ""):
        with pytest.raises(UsageError, match="no model named"):
            artifacts.remove_model(name)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        return None


@pytest.fixture
def website(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    folder = tmp_path / "website"
    folder.mkdir()
    server = HTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def pack(source: Path, archive: Path, prefix: str = "") -> str:
    with zipfile.ZipFile(archive, "w") as packed:
        for path in source.iterdir():
            packed.write(path, prefix + path.name)
    return artifacts.sha256(archive)


@pytest.mark.parametrize("prefix", ["", "model/"])
def test_pulling(prefix: str, website: tuple[Path, str], tmp_path: Path, own_home: Path) -> None:
    folder, address = website
    digest = pack(write_model(tmp_path / "original"), folder / "m.zip", prefix)
    model = artifacts.pull_model(f"{address}/m.zip", digest, "pulled")
    model.verify()
    assert model.path == own_home / "pulled" and {path.name for path in model.path.iterdir()} == {*model.manifest.files, "model.json"}


def test_pulling_what_is_not_what_it_says(website: tuple[Path, str], tmp_path: Path, own_home: Path) -> None:
    folder, address = website
    digest = pack(write_model(tmp_path / "original"), folder / "m.zip")
    deep = pack(tmp_path / "original", folder / "deep.zip", "a/b/")
    escaping = pack(tmp_path / "original", folder / "up.zip", "../../")
    (folder / "no.zip").write_bytes(b"no zip")
    no_zip = artifacts.sha256(folder / "no.zip")
    for url, expected, message in (
        (f"{address}/m.zip", "0" * 64, "is not what was expected: its sha256 is " + digest),
        (f"{address}/gone.zip", digest, "cannot fetch"),
        (f"{address}/deep.zip", deep, "not a model directory"),
        (f"{address}/up.zip", escaping, "not a model directory"),
        (f"{address}/no.zip", no_zip, "not a readable zip file"),
    ):
        with pytest.raises(ModelError, match=message):
            artifacts.pull_model(url, expected, "pulled")
    for url, expected, message in (("ftp://x/m.zip", digest, "over https"), (f"{address}/m.zip", "abc", "64 hexadecimal digits")):
        with pytest.raises(UsageError, match=message):
            artifacts.pull_model(url, expected, "pulled")
    assert not (own_home / "pulled").exists() and not list(own_home.glob(".importing*"))

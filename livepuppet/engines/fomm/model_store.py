"""Model directories: what `model.json` says, where the directories lie, and that every byte in them is what it says.

    models/fomm-synth-256/
        model.json      what the model is, and size and sha256 of every other file
        prepare.onnx    once per portrait
        animate.onnx    once per frame
        CARD.md         for people

Looked for by name among the person's own models first (`home()`), then among those that come with livepuppet (`shipped()`).
A directory is trusted no further than its model.json: files that it does not list are not opened, paths that lead out are refused.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from livepuppet.errors import ModelError, RunError, UsageError
from livepuppet.files import data_folder, fetch, has_ended, process_mark

FORMAT = 1
MANIFEST = "model.json"
LARGEST_BYTES = 4 << 30
LARGEST_MANIFEST_BYTES = 1 << 20
IMPORTING = ".importing-"
"""Before the names of folders of models that are not whole."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

CropKind = Literal["face", "none"]
GraphSet = Mapping[str, Mapping[str, str]]
"""Runtime ('onnx', 'torchscript', 'onnx-int8') -> graph's part ('prepare', 'animate') -> file name."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file as it was when the model was made."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What `model.json` says.

    Attributes:
        size: side of the square pictures in pixels.
        crop: show it the face, with `margin` times the face's own size around, or the whole picture.
        precision: of the stored weights.
        ranges: what values mean.
        provenance: where the weights come from, as words.
        experimental: one sentence that is said when the model is used; '' for a model that needs no such warning.
    """

    name: str
    size: int
    keypoints: int
    channels: int
    align_corners: bool
    crop: CropKind
    graphs: GraphSet
    files: Mapping[str, FileEntry]
    margin: float = 1.9
    precision: str = "float32"
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)
    licence: str = ""
    experimental: str = ""
    format: int = FORMAT

    def text(self) -> str:
        """As JSON, the way it is written to disk."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class ModelDirectory:
    """A directory with a readable manifest; its files are not yet checked (see `verify`)."""

    path: Path
    manifest: Manifest

    def file(self, name: str) -> Path:
        """A listed file's path, certain to lie inside the directory.

        Raises:
            ModelError: its message says what is wrong.
        """
        if name not in self.manifest.files:
            raise ModelError(f"{self.path / MANIFEST} does not list the file {name!r}: import the model again")
        return _inside(self.path, name)

    def verify(self) -> None:
        """Every listed file is there with its size and sha256.

        Raises:
            ModelError: naming the first that is not.
        """
        for name, entry in self.manifest.files.items():
            path = self.file(name)
            advice = f"remove {self.path} and import or pull the model again"
            if not path.is_file():
                raise ModelError(f"{path} is missing: {advice}")
            if (size := path.stat().st_size) != entry.bytes:
                raise ModelError(f"{path} has {size} bytes instead of {entry.bytes}: {advice}")
            if sha256(path) != entry.sha256:
                raise ModelError(f"{path} has been altered (its sha256 is not the one in {MANIFEST}): {advice}")


def models_folder() -> Path:
    """Where the person's own models lie; need not exist. LIVEPUPPET_MODELS overrides the platform's usual place."""
    if chosen := os.environ.get("LIVEPUPPET_MODELS"):
        return Path(chosen).expanduser()
    return data_folder() / "models"


def shipped_models_folder() -> Path:
    """Where the models lie that come with livepuppet: inside the installed package, or at the top of a checkout."""
    package = Path(__file__).parents[2]
    installed = package / "assets" / "models"
    return installed if installed.is_dir() else package.parent / "models"


def installed_models() -> list[ModelDirectory]:
    """All models that can be named, the person's own first; one that hides another of the same name comes alone."""
    found: dict[str, ModelDirectory] = {}
    for place in (models_folder(), shipped_models_folder()):
        for path in sorted(place.glob(f"*/{MANIFEST}")):
            if path.parent.name not in found and not path.parent.name.startswith("."):
                found[path.parent.name] = read_manifest(path.parent)
    return list(found.values())


def find_model(name: str) -> ModelDirectory:
    """A model by name or by its directory.

    Raises:
        UsageError: naming the known ones.
        ModelError: for a damaged one.
    """
    if (Path(name) / MANIFEST).is_file():
        return read_manifest(Path(name))
    if Path(name).is_dir():
        raise ModelError(f"{name} is not a model directory: it has no {MANIFEST} (make one with: livepuppet models import)")
    if NAME.fullmatch(name):
        for place in (models_folder(), shipped_models_folder()):
            if (place / name / MANIFEST).is_file():
                return read_manifest(place / name)
    known = (
        ", ".join(path.parent.name for place in (models_folder(), shipped_models_folder()) for path in sorted(place.glob(f"*/{MANIFEST}")))
        or "none"
    )
    raise UsageError(f"no model named '{name}' (known: {known}): import one with 'livepuppet models import CHECKPOINT'")


def read_manifest(path: Path) -> ModelDirectory:
    """The directory's manifest, checked for sense; the files it lists are not opened yet.

    Raises:
        ModelError: its message says what is wrong.
    """
    manifest = path / MANIFEST
    try:
        if manifest.stat().st_size > LARGEST_MANIFEST_BYTES:
            raise ModelError(f"{manifest} is too large to be a manifest")
        tree = json.loads(manifest.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"cannot read {manifest}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{manifest} is no JSON: import or pull the model again") from error
    try:
        return ModelDirectory(path, _parse(tree))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        what = f"lacks the entry {error}" if isinstance(error, KeyError) else str(error)
        raise ModelError(f"{manifest} {what}: import the model again") from error


def _parse(tree: Any) -> Manifest:
    if not isinstance(tree, dict):
        raise ValueError("does not describe a model")
    if tree["format"] != FORMAT:
        raise ValueError(f"has format {tree['format']!r}, this livepuppet reads format {FORMAT}")
    size, keypoints, channels, margin = int(tree["size"]), int(tree["keypoints"]), int(tree["channels"]), float(tree.get("margin", 1.9))
    if not (16 <= size <= 4096 and 1 <= keypoints <= 1000 and channels == 3 and 1 <= margin <= 10):
        raise ValueError("has a size, a number of keypoints or channels, or a margin that cannot be")
    if tree["crop"] not in get_args(CropKind):
        raise ValueError(f"has crop {tree['crop']!r}, which is neither 'face' nor 'none'")
    files = {str(name): FileEntry(int(entry["bytes"]), str(entry["sha256"])) for name, entry in tree["files"].items()}
    for name, entry in files.items():
        if not 0 <= entry.bytes <= LARGEST_BYTES:
            raise ValueError(f"gives {name!r} an impossible size of {entry.bytes} bytes")
    graphs = {str(kind): {str(part): str(file) for part, file in parts.items()} for kind, parts in tree["graphs"].items()}
    for file in {file for parts in graphs.values() for file in parts.values()} - set(files):
        raise ValueError(f"names the graph {file!r} without its size and sha256")
    return Manifest(
        name=str(tree["name"]),
        size=size,
        keypoints=keypoints,
        channels=channels,
        align_corners=bool(tree["align_corners"]),
        crop=tree["crop"],
        graphs=graphs,
        files=files,
        margin=margin,
        precision=str(tree.get("precision", "float32")),
        ranges={str(key): (float(low), float(high)) for key, (low, high) in tree.get("ranges", {}).items()},
        provenance={str(key): str(value) for key, value in tree.get("provenance", {}).items()},
        licence=str(tree.get("licence", "")),
        experimental=str(tree.get("experimental", "")),
    )


def _inside(directory: Path, name: str) -> Path:
    """The path of a file in the directory; raises ModelError where it, or a link on the way, leads out."""
    path = directory / name
    try:
        inside = not Path(name).is_absolute() and path.resolve().is_relative_to(directory.resolve())
    except (ValueError, OSError, RuntimeError):  # a name that no file can have, or a circle of links
        inside = False
    if not inside:
        raise ModelError(f"{directory / MANIFEST} names {name!r}, which lies outside its directory: do not use this model")
    return path


def sha256(path: Path) -> str:
    """The file's SHA-256 in hexadecimal digits."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def file_entry(path: Path) -> FileEntry:
    """Size and hash of a file as it is now."""
    return FileEntry(path.stat().st_size, sha256(path))


def check_model_name(name: str, *, replace: bool = False) -> None:
    """Raises UsageError for a name that cannot be, or that is taken (unless `replace`)."""
    if not NAME.fullmatch(name):
        raise UsageError(f"'{name}' cannot be a model's name: use letters, digits, '.', '-' and '_', at most 64", parameter="name")
    if (models_folder() / name).exists() and not replace:
        raise UsageError(f"there is a model '{name}' already: remove it first, or choose another name", parameter="name")


@contextmanager
def create_model_directory(name: str, *, replace: bool = False) -> Iterator[Path]:
    """An empty directory that becomes the person's model `name` when the block ends well, and vanishes otherwise.

    Raises:
        UsageError: for a name that cannot be, or that is taken (unless `replace`).
    """
    check_model_name(name, replace=replace)
    target = models_folder() / name
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f"{IMPORTING}*"):
        if has_ended("-".join(left.name.removeprefix(IMPORTING).split("-")[:2])):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{IMPORTING}{process_mark()}-", dir=target.parent) as folder:
        path = Path(folder) / name
        path.mkdir()
        yield path
        if target.exists():
            target.replace(Path(folder) / "replaced")
        path.replace(target)


def remove_model(name: str) -> Path:
    """Delete one of the person's own models; returns where it was.

    Raises:
        UsageError: its message says what is wrong.
    """
    path = models_folder() / name
    if not NAME.fullmatch(name) or not (path / MANIFEST).is_file():
        if (shipped_models_folder() / name / MANIFEST).is_file():
            raise UsageError(f"'{name}' comes with livepuppet and stays: only models in {models_folder()} can be removed")
        raise UsageError(f"no model named '{name}' in {models_folder()}")
    shutil.rmtree(path)
    return path


def pull_model(address: str, digest: str, name: str, *, replace: bool = False) -> ModelDirectory:
    """Fetch a zipped model directory, check its sha256 before opening it, unpack and verify it.

    Raises:
        ModelError, UsageError: its message says what is wrong.
    """
    if not address.startswith(("https://", "http://127.0.0.1", "file://")):
        raise UsageError(f"{address} is not fetched: models come over https://")
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise UsageError("a model is fetched only with its sha256: 64 hexadecimal digits, from a place that you trust")
    with create_model_directory(name, replace=replace) as folder:
        archive = folder.parent / "archive.zip"
        try:
            fetch(address, archive, digest, limit=LARGEST_BYTES)
        except RunError as error:
            raise ModelError(str(error)) from error
        _unpack(archive, folder)
        archive.unlink()
        read_manifest(folder).verify()
    return read_manifest(models_folder() / name)


def _unpack(archive: Path, folder: Path) -> None:
    """Files of the archive's top level, or of its only directory; nothing else. Raises ModelError."""
    try:
        with zipfile.ZipFile(archive) as packed:
            files = [info for info in packed.infolist() if not info.is_dir()]
            if sum(info.file_size for info in files) > LARGEST_BYTES:
                raise ModelError(f"{archive.name} unpacks to more than any model has")
            for info in files:
                name = Path(info.filename).name
                if MANIFEST not in {Path(other.filename).name for other in files} or len(Path(info.filename).parts) > 2 or not name:
                    raise ModelError("the archive is not a model directory: model.json and its files should lie at its top")
                with packed.open(info) as source, (folder / name).open("wb") as target:
                    shutil.copyfileobj(source, target)
    except ModelError:
        raise
    except Exception as error:  # zipfile raises nearly anything: RuntimeError for an encrypted one, zlib.error, NotImplementedError, …
        raise ModelError("the archive is not a readable zip file") from error

"""The product's own readers, one per kind: each takes a damaged file's content and goes through all that is made of such a file."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import random
import shutil
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from fuzzing import mutations

Reader = Callable[[Path, bytes, random.Random], None]
"""Reads a case in its own folder; returns where it was taken, raises where it was refused."""

FRAMES = 40
"""Of a film, as many are looked at."""


def read_picture(folder: Path, content: bytes, rng: random.Random) -> None:
    from livepuppet.vision.portrait import load_alpha, load_portrait

    path = folder / f"a.{rng.choice(('jpg', 'png', 'webp'))}"
    path.write_bytes(content)
    load_portrait(path, limit=256)
    load_portrait(path, limit=None)
    load_alpha(path)


def read_film(folder: Path, content: bytes, rng: random.Random) -> None:
    """Reads it, looks for its marks, and carries its sound into another film."""
    from livepuppet.provenance.verification import sample_frames
    from livepuppet.video.audio import AudioTrack
    from livepuppet.video.reader import VideoReader
    from livepuppet.video.writer import VideoWriter, video_format

    path = folder / f"a.{rng.choice(('mp4', 'mp4', 'm3u8', 'mkv', 'txt'))}"
    path.write_bytes(content)
    video = VideoReader(path, limit=rng.choice((None, 48)))
    try:
        for number, _ in enumerate(video):
            if number == FRAMES:
                break
        video.seek(0.2)
        video.read()
        origin = video.origin_pts * video.time_base
        assert video.fps > 0 and video.key_pts() is not None and video.count_packets() >= 0
        video.duration, video.frame_count, video.audio  # noqa: B018
    finally:
        video.close()
    sample_frames(path)
    suffix = rng.choice((".mkv", ".mp4", ".webm"))
    audio = AudioTrack(str(path), origin=origin)
    writer = VideoWriter(folder / f"out{suffix}", (16, 16), format=video_format(suffix), fps=25.0, audio=audio, time_base=Fraction(1, 1000))
    try:
        import numpy as np

        for i in range(4):
            writer.write(np.zeros((16, 16, 3), np.uint8), i * 40)
        writer.close()
    except BaseException:
        writer.abandon()
        raise
    finally:
        audio.close()


def read_playlist(folder: Path, content: bytes, rng: random.Random) -> None:
    """A list of other files under the name of a film or a picture."""
    from livepuppet.errors import LivepuppetError

    refused = 0
    for read in (read_picture, read_film):
        try:
            read(folder, content, rng)
        except LivepuppetError:
            refused += 1
    from livepuppet.errors import UsageError

    if refused:
        raise UsageError("refused")


def read_motion(folder: Path, content: bytes, rng: random.Random) -> None:
    from livepuppet.rendering.driver import MotionFileDriver

    (folder / "a.npz").write_bytes(content)
    driver = MotionFileDriver(str(folder / "a.npz"))
    try:
        driver.first_pts(0.0)
        for number, _ in enumerate(driver.driver_frames(None, 0.0, None, 1.0)):  # type: ignore[arg-type]
            if number == 2000:
                break
    finally:
        driver.close()


def read_checkpoint_file(folder: Path, content: bytes, rng: random.Random) -> None:
    from livepuppet.engines.fomm.networks.checkpoint import load_checkpoint
    from livepuppet.engines.fomm.networks.configuration import Configuration

    path = folder / "a.pth.tar"
    path.write_bytes(content)
    given = None
    if rng.random() < 0.3:  # also beside a configuration that somebody changed
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            field = rng.choice([item.name for item in dataclasses.fields(Configuration)])
            given = dataclasses.replace(Configuration(), **{field: rng.choice((0, 1, -1, 2**14, 2**40, 12, 1e-300, float("nan")))})
    load_checkpoint(path, configuration=given)


def read_model(folder: Path, content: bytes, rng: random.Random) -> None:
    """A model directory fetched as an archive, and one whose manifest somebody changed."""
    import hashlib

    from livepuppet.engines.fomm import model_store
    from livepuppet.engines.fomm.runtime.loading import load_runtime
    from livepuppet.errors import LivepuppetError

    os.environ["LIVEPUPPET_MODELS"] = str(folder / "models")
    archive = folder / "a.zip"
    archive.write_bytes(content)
    with contextlib.suppress(LivepuppetError):
        model_store.pull_model(archive.as_uri(), hashlib.sha256(content).hexdigest(), "pulled")
    directory = unpacked(folder, content)
    manifest = directory / model_store.MANIFEST
    try:
        tree = json.loads(manifest.read_bytes())
    except (OSError, ValueError, RecursionError):
        tree = {}
    if rng.random() < 0.7:
        manifest.write_text(json.dumps(mutations.damage_tree(rng, tree)), encoding="utf-8", errors="surrogatepass")
    model = model_store.read_manifest(directory)
    model.verify()
    load_runtime(model, None, "cpu").close()


def read_onnx(folder: Path, content: bytes, rng: random.Random) -> None:
    """Graphs that somebody changed, in a directory whose manifest says so: what a hash cannot tell."""
    import numpy as np

    from livepuppet.engines.fomm import model_store
    from livepuppet.engines.fomm.runtime.loading import load_runtime

    directory = unpacked(folder, content)
    manifest = directory / model_store.MANIFEST
    tree = json.loads(manifest.read_bytes())
    name = rng.choice(("animate.onnx", "prepare.onnx", "animate.onnx", "weights.bin"))
    if (directory / name).exists():
        (directory / name).write_bytes(mutations.damage(rng, [(directory / name).read_bytes()]))
    for path in directory.iterdir():
        if path.name != model_store.MANIFEST:
            entry = model_store.file_entry(path)
            tree["files"][path.name] = {"bytes": entry.bytes, "sha256": entry.sha256}
    manifest.write_text(json.dumps(tree))
    model = model_store.read_manifest(directory)
    runtime = load_runtime(model, "onnx", "cpu")
    try:
        image = np.zeros((model.manifest.size, model.manifest.size, 3), np.uint8)
        runtime.render(runtime.prepare(image), *runtime.detect(image))
    finally:
        runtime.close()


def unpacked(folder: Path, content: bytes) -> Path:
    """The files of an archive, their names made harmless."""
    directory = folder / "model"
    directory.mkdir()
    # what this reader makes of the archive is nobody's concern
    with contextlib.suppress(Exception), zipfile.ZipFile(io.BytesIO(content)) as archive:
        for info in archive.infolist():
            name = os.path.basename(info.filename.replace("\\", "/"))[:80].replace("\x00", "_")
            if info.file_size < 1 << 24:
                (directory / name).write_bytes(archive.read(info))
    return directory


def read_jobs(folder: Path, content: bytes, rng: random.Random) -> None:
    from livepuppet.cli import build_parser
    from livepuppet.cli.render import read_rows

    path = folder / "jobs.csv"
    path.write_bytes(content)
    read_rows(path, build_parser("render").parse_args(["--jobs", str(path)]))


def read_settings(folder: Path, content: bytes, rng: random.Random) -> None:
    """One text under all the names of settings."""
    from livepuppet.devices.choice import remembered_camera
    from livepuppet.engines.fomm.networks.checkpoint import load_configuration
    from livepuppet.errors import LivepuppetError
    from livepuppet.rendering.resume import read_note
    from livepuppet.training.recipe import Recipe

    os.environ["LIVEPUPPET_CONFIG"] = str(folder)
    for name in ("a.yaml", "camera.json"):
        (folder / name).write_bytes(content)
    remembered_camera()
    refused: list[LivepuppetError] = []
    for read in (
        lambda: read_note(folder / "a.mp4", content, {"size": None, "crf": 16}),
        lambda: Recipe.read(str(folder / "a.yaml")),
        lambda: load_configuration(folder / "a.yaml"),
    ):
        try:
            read()
        except LivepuppetError as error:
            refused.append(error)
    if len(refused) == 3:
        raise refused[0]


def read_credentials_of(folder: Path, content: bytes, rng: random.Random) -> None:
    kinds = {b"\xff\xd8": "jpg", b"\x89P": "png", b"RI": "webp"}
    judge(folder, content, kinds.get(content[:2], "mp4"))


def judge(folder: Path, content: bytes, suffix: str) -> None:
    from livepuppet.provenance.verification import verify

    path = folder / f"a.{suffix}"
    path.write_bytes(content)
    result = verify(path)
    json.dumps(result.as_json())


def read_manifest_tree(folder: Path, content: bytes, rng: random.Random) -> None:
    """What a stranger has signed; and c2pa's report on it with anything in it."""
    import c2pa
    import numpy as np
    from PIL import Image as PILImage

    from livepuppet.provenance.c2pa import OFFLINE, parse_manifest
    from livepuppet.provenance.signing import own_identity
    from livepuppet.provenance.verification import VerificationResult
    from livepuppet.provenance.watermark.reader import Reader as MarkReader

    tree = mutations.damage_tree(rng, json.loads(content))
    if "manifests" in json.loads(content):
        result = VerificationResult(folder / "a.jpg", parse_manifest(tree), MarkReader().read())
        json.dumps([result.sentences(), result.as_json()])
        return
    PILImage.fromarray(np.zeros((64, 64, 3), np.uint8)).save(folder / "b.jpg")
    who = own_identity()
    signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(who.algorithm, who.certificates, who.key, None))
    try:
        with (
            c2pa.Context(c2pa.Settings.from_dict(OFFLINE)) as context,
            c2pa.Builder(tree, context) as builder,
            (folder / "b.jpg").open("rb") as source,
            (folder / "a.jpg").open("w+b") as target,
        ):
            builder.sign(signer, "image/jpeg", source, target)
    except (c2pa.C2paError, UnicodeError, ValueError):
        return  # the signer's own affair
    judge(folder, (folder / "a.jpg").read_bytes(), "jpg")


def read_certificate(folder: Path, content: bytes, rng: random.Random) -> None:
    from livepuppet.provenance.signing import load_identity

    (folder / "a.pem").write_bytes(content)
    load_identity(folder / "a.pem", folder / "a.pem")


def whole(rng: random.Random, seeds: list[bytes]) -> bytes:
    """A seed as it is: the reader changes what is inside."""
    return rng.choice(seeds)


Damage = Callable[[random.Random, list[bytes]], bytes]
READERS: dict[str, tuple[Damage, Reader]] = {
    **{kind: (mutations.damage, read_picture) for kind in ("jpeg", "webp", "gif", "avif", "tiff", "bmp", "jp2")},
    "png": (mutations.damage_png, read_picture),
    **{kind: (mutations.damage, read_film) for kind in ("mp4", "mkv", "webm", "ts", "avi", "gif-film")},
    "playlist": (mutations.damage_text, read_playlist),
    "motion": (mutations.damage_zip, read_motion),
    "checkpoint": (mutations.damage_zip, read_checkpoint_file),
    "model": (mutations.damage_zip, read_model),
    "onnx": (whole, read_onnx),
    "jobs": (mutations.damage_text, read_jobs),
    "settings": (mutations.damage_text, read_settings),
    "c2pa": (mutations.damage, read_credentials_of),
    "manifest": (whole, read_manifest_tree),
    "certificate": (mutations.damage_text, read_certificate),
}
"""Kind -> how its files are damaged, and who reads them."""


def clear(folder: Path) -> None:
    """Empty a case's folder."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()

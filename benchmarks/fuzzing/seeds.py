"""Whole files of every kind, small, made here: what `mutations` damages."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageCms

SIDE = 64


def write_seeds(folder: Path, kinds: list[str]) -> None:
    """`folder/KIND/*` for each of these kinds; what is there already is left."""
    for kind in kinds:
        place = folder / kind
        if not (place / "made").exists():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            SEEDS[kind](place)
            (place / "made").touch()


def read_seeds(folder: Path, kind: str) -> list[bytes]:
    """The kind's files, in the order of their names."""
    return [path.read_bytes() for path in sorted((folder / kind).iterdir()) if path.is_file() and path.name != "made"]


def face(side: int = SIDE, shift: int = 0) -> NDArray[np.uint8]:
    """Something with edges, colours and noise."""
    y, x = np.mgrid[0:side, 0:side]
    image = np.stack([(x * 4 + shift) % 256, (y * 4) % 256, np.hypot(x - side / 2, y - side / 2) * 6 % 256], axis=2)
    return np.asarray(image, np.uint8)


def _pictures(kind: str, variants: list[tuple[str, dict[str, Any]]]) -> Callable[[Path], None]:
    """One file per (mode, options of Pillow)."""

    def write(place: Path) -> None:
        exif = PILImage.Exif()
        exif[0x0112], exif[0x010E], exif[0x8298] = 6, "a face", "nobody"
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        for number, (mode, options) in enumerate(variants):
            image = PILImage.fromarray(face())
            image = image.convert("L").convert(mode) if mode in {"I;16", "I", "F"} else image.convert(mode)
            more = dict(options)
            if more.pop("exif", False):
                more["exif"] = exif
            if more.pop("icc", False):
                more["icc_profile"] = profile
            if more.get("save_all"):
                more["append_images"] = [PILImage.fromarray(face(shift=40 * i)).convert(mode) for i in range(1, 4)]
            image.save(place / f"{number:02d}", format=kind, **more)

    return write


def _films(suffix: str, variants: list[tuple[str, str, str | None]]) -> Callable[[Path], None]:
    """One file per (video codec, pixels, audio codec)."""

    def write(place: Path) -> None:
        for number, (video, pixels, audio) in enumerate(variants):
            write_film(place / f"{number:02d}{suffix}", video, pixels, audio)

    return write


def write_film(path: Path, video: str, pixels: str, audio: str | None, frames: int = 14) -> None:
    """A short film with sound."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(video, rate=Fraction(25))
        assert isinstance(stream, av.VideoStream)
        stream.width = stream.height = SIDE
        stream.pix_fmt, stream.codec_context.gop_size = pixels, 6
        if video == "libx264":
            stream.codec_context.options = {"preset": "ultrafast"}
        sound = container.add_stream(audio, rate=48_000) if audio else None
        for i in range(frames):
            frame = av.VideoFrame.from_ndarray(face(shift=8 * i), format="rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = i, Fraction(1, 25)
            container.mux(stream.encode(frame))
        if sound is not None:
            assert isinstance(sound, av.AudioStream)
            layout = "stereo"
            fifo = av.AudioFifo()
            wave = (np.sin(np.arange(48_000 * frames // 25) / 20) * 8000).astype(np.int16)
            whole = av.AudioFrame.from_ndarray(np.repeat(wave, 2)[None], format="s16", layout=layout)
            whole.sample_rate, whole.pts = 48_000, 0
            convert = av.AudioResampler(format=sound.codec_context.format, layout=layout, rate=48_000)
            for part in convert.resample(whole):
                fifo.write(part)
            size = sound.codec_context.frame_size or 1024
            while (part := fifo.read(size, partial=True)) is not None:  # type: ignore[assignment]
                container.mux(sound.encode(part))
            container.mux(sound.encode(None))
        container.mux(stream.encode(None))


def _gif_films(place: Path) -> None:
    for number, (side, loop) in enumerate(((SIDE, 0), (40, 1))):
        images = [PILImage.fromarray(face(side, 20 * i)).quantize(64) for i in range(6)]
        options: dict[str, Any] = {"save_all": True, "append_images": images[1:], "duration": [40, 0, 120, 20, 10, 700], "loop": loop}
        images[0].save(place / f"{number:02d}.gif", format="GIF", disposal=2, **options)


def _playlists(place: Path) -> None:
    """Lists of other files, as streaming sites have them: a file from somewhere that sends the reader to files of this machine."""
    bait = "../outside/bait"
    hls = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1.0,\n{bait}.ts\n#EXT-X-ENDLIST\n"
    (place / "00").write_text(hls)
    (place / "01").write_text(hls.replace(f"{bait}.ts", f"concat:{bait}.txt|{bait}.ts"))
    (place / "02").write_text(f"ffconcat version 1.0\nfile '{bait}.ts'\nfile {bait}.txt\n")
    period = (
        f'<Period><AdaptationSet mimeType="video/mp4"><Representation id="a"><BaseURL>{bait}.mp4</BaseURL></Representation></AdaptationSet>'
    )
    (place / "03").write_text(f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static">{period}</Period></MPD>')
    session = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    (place / "04").write_text(session)
    (place / "05").write_text(hls.replace(f"{bait}.ts", "http://127.0.0.1:9/a.ts"))
    (place / "06").write_text(f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n({bait}.txt) run\nshowpage\n%%EOF\n")
    (place / "07").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"><image href="{bait}.png" width="64" height="64"/></svg>'
    )


def _motion(place: Path) -> None:
    from livepuppet.rendering.motion_file import BLOCK, MotionWriter
    from livepuppet.rendering.tracking import DriverFrame
    from livepuppet.types import Motion

    rng = np.random.default_rng(0)
    for number, frames in enumerate((3, BLOCK + 5)):
        rest = Motion(rng.normal(size=4), rng.normal(size=6), np.zeros(3))
        path = place / f"{number:02d}"
        writer = MotionWriter(path, engine="landmark", references=[(0, rest)], start_pts=0, time_base=Fraction(1, 25), fps=25.0)
        for i in range(frames):
            writer.write(DriverFrame(i, i / 25, 0, None if i % 7 == 3 else Motion(rng.normal(size=4), rng.normal(size=6), np.zeros(3))))
        writer.close()


def _tiny() -> Any:
    from livepuppet.engines.fomm.networks.configuration import Configuration, Hourglass

    small = Hourglass(block_expansion=4, max_features=8, blocks=1, scale=0.25)
    return Configuration(
        keypoints=3, size=32, detector=small, dense_motion=small, block_expansion=4, max_features=8, down_blocks=1, bottleneck_blocks=1
    )


def _checkpoints(place: Path) -> None:
    import pickle

    import torch

    from livepuppet.engines.fomm.networks.checkpoint import build_model, save_checkpoint

    torch.manual_seed(0)
    model = build_model(_tiny())
    save_checkpoint(place / "00", model, epoch=1)
    state = torch.load(place / "00", weights_only=True)
    torch.save(state, place / "01", _use_new_zipfile_serialization=False)

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, ("../outside/run",)

    buffer = io.BytesIO()
    torch.save({**state, "epoch": Bomb()}, buffer)
    (place / "02").write_bytes(buffer.getvalue())
    (place / "03").write_bytes(pickle.dumps({"generator": Bomb(), "kp_detector": {}}, protocol=2))
    wide = {part: {name: tensor[:1].expand(4096, *tensor.shape[1:]) if tensor.ndim else tensor for name, tensor in state[part].items()}
            for part in ("generator", "kp_detector")}  # fmt: skip
    torch.save(wide, place / "04")  # shapes far larger than what is stored


def _models(place: Path) -> None:
    """Zips of whole model directories: the readers unpack them."""
    import tempfile

    import torch

    from livepuppet.engines.fomm.export import exporter
    from livepuppet.engines.fomm.networks.checkpoint import build_model

    torch.manual_seed(0)
    model = build_model(_tiny())
    model.detector.eval()
    model.generator.eval()
    before = os.environ.get("LIVEPUPPET_MODELS")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LIVEPUPPET_MODELS"] = folder
        try:
            made = exporter.export_model(model, "tiny", formats=("onnx",)).directory.path
        finally:
            os.environ.pop("LIVEPUPPET_MODELS")
            if before is not None:
                os.environ["LIVEPUPPET_MODELS"] = before
        with zipfile.ZipFile(place / "00", "w") as archive:
            for path in sorted(made.iterdir()):
                archive.write(path, path.name)


def _external(place: Path) -> None:
    """The same, whose weights lie in another file: of its own, and outside."""
    import onnx

    _models(place)
    with zipfile.ZipFile(place / "00") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for number, location in enumerate(("weights.bin", "../outside/bait.bin"), start=1):
        graph = onnx.load_model_from_string(members["prepare.onnx"])
        tensor = next(t for t in graph.graph.initializer if t.raw_data)
        stored = tensor.raw_data
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", "0"), ("length", str(len(stored)))):
            entry = tensor.external_data.add()
            entry.key, entry.value = key, value
        with zipfile.ZipFile(place / f"{number:02d}", "w") as archive:
            for name, content in {**members, "prepare.onnx": graph.SerializeToString(), "weights.bin": stored}.items():
                archive.writestr(name, content)


def _jobs(place: Path) -> None:
    rows = "avatar,driving,output,size,compare,start,label\nada.jpg,talk.mp4,out.mp4,256x256,yes,0.5,made\n"
    (place / "00").write_text(rows + "b.png,http://127.0.0.1/x,o2.webm,,no,,\n")
    (place / "01").write_text("\ufeff" + rows.replace(",", ";").replace("\n", "\r\n"), encoding="utf-8")
    (place / "02").write_text('avatar,driving,output,reference,face,motion\n"a, b.jpg","t.mp4","o.mp4",best,2,m.npz\n')


def _settings(place: Path) -> None:
    import yaml

    from livepuppet.training.recipe import RECIPES

    trees: list[Any] = [RECIPES[name].tree() for name in ("vox-adv-256", "face-256", "tiny-64")]
    for number, tree in enumerate(trees):
        (place / f"{number:02d}.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    note = {"version": 1, "settings": {"size": None, "crf": 16}, "references": [[0, 5, 0.2, 1.5]], "session_id": 77}
    (place / "03.json").write_text(json.dumps(note))
    (place / "04.json").write_text(json.dumps({"camera": "Integrated Camera"}))


def _credentials(place: Path) -> None:
    from livepuppet.provenance.c2pa import ProvenanceFacts, sign_file

    facts = ProvenanceFacts("landmark", True, 7, "made")
    for number, kind in enumerate(("jpg", "png", "webp", "mp4")):
        path = place / f"{number:02d}.{kind}"
        if kind == "mp4":
            write_film(path, "libx264", "yuv420p", None, frames=3)
        else:
            PILImage.fromarray(face()).save(path)
        sign_file(path, facts=facts)
        path.rename(path.with_suffix(""))


def _manifests(place: Path) -> None:
    """What a signer may say in a manifest, as JSON; the reader signs it."""
    from livepuppet.provenance.c2pa import ProvenanceFacts, manifest

    (place / "00").write_text(json.dumps(manifest(ProvenanceFacts("landmark", True, 7, "made"))))
    actions = {"label": "c2pa.actions.v2", "data": {"actions": [{"digitalSourceType": "a/b"}]}}
    ours = {"label": "org.livepuppet.generation", "data": dataclasses.asdict(ProvenanceFacts("landmark", True))}
    active = {
        "claim_generator_info": [{"name": "x", "version": "1"}],
        "signature_info": {"issuer": "i"},
        "assertions": [actions, ours],
    }
    store = {
        "active_manifest": "a",
        "manifests": {"a": active},
        "validation_status": [{"code": "x"}],
        "validation_state": "Valid",
    }
    (place / "01").write_text(json.dumps(store))


def _certificates(place: Path) -> None:
    from livepuppet.provenance.signing import create_identity

    (place / "00").write_bytes(create_identity())
    (place / "01").write_bytes(create_identity())


SEEDS: dict[str, Callable[[Path], None]] = {
    "jpeg": _pictures("JPEG", [("RGB", {"exif": True, "icc": True}), ("RGB", {"progressive": True}), ("CMYK", {}), ("L", {"exif": True})]),
    "png": _pictures("PNG", [("RGBA", {"icc": True, "exif": True}), ("P", {"transparency": 3}), ("I;16", {}), ("1", {}),
                             ("RGB", {"save_all": True})]),
    "webp": _pictures("WEBP", [("RGB", {"exif": True, "icc": True}), ("RGBA", {"lossless": True}), ("RGB", {"save_all": True})]),
    "gif": _pictures("GIF", [("P", {}), ("P", {"save_all": True, "disposal": 2, "transparency": 5})]),
    "avif": _pictures("AVIF", [("RGB", {"exif": True, "icc": True, "speed": 10}), ("RGBA", {"speed": 10}), ("RGB", {"save_all": True})]),
    "tiff": _pictures("TIFF", [("RGB", {"compression": "tiff_lzw", "icc": True}), ("F", {}), ("1", {"compression": "group4"}),
                               ("RGB", {"compression": "jpeg"}), ("RGB", {"save_all": True})]),
    "bmp": _pictures("BMP", [("RGB", {}), ("P", {}), ("1", {})]),
    "jp2": _pictures("JPEG2000", [("RGB", {}), ("RGBA", {})]),
    "mp4": _films(".mp4", [("libx264", "yuv420p", "aac"), ("mpeg4", "yuv420p", "libmp3lame"), ("libvpx-vp9", "yuv420p", "ac3")]),
    "mkv": _films(".mkv", [("libx264", "yuv420p", "libopus"), ("mjpeg", "yuvj420p", "pcm_s16le"), ("ffv1", "yuv420p", "ac3")]),
    "webm": _films(".webm", [("libvpx", "yuv420p", "libopus"), ("libvpx-vp9", "yuva420p", "libopus")]),
    "ts": _films(".ts", [("libx264", "yuv420p", "aac"), ("mpeg2video", "yuv420p", "mp2")]),
    "avi": _films(".avi", [("mpeg4", "yuv420p", "libmp3lame"), ("mjpeg", "yuvj420p", "pcm_s16le"), ("rawvideo", "yuv420p", "adpcm_ms")]),
    "gif-film": _gif_films,
    "playlist": _playlists,
    "motion": _motion,
    "checkpoint": _checkpoints,
    "model": _models,
    "onnx": _external,
    "jobs": _jobs,
    "settings": _settings,
    "c2pa": _credentials,
    "manifest": _manifests,
    "certificate": _certificates,
}  # fmt: skip
"""Kind -> what writes its files."""

"""Which models the installed MediaPipe carries, and the one file that later releases need instead.

Below Python 3.13 the models come inside MediaPipe 0.10.21; later releases carry none, so one file is fetched once.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import zipfile
from pathlib import Path

from livepuppet.errors import ModelError, RunError
from livepuppet.files import cache_folder, fetch

MODEL_ADDRESS = "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/face_landmarker.task"
MODEL_LARGEST_BYTES = 20_000_000
MODEL_SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
DETECTOR = "face_detector.tflite"
"""The face detector inside that file, which is a ZIP archive."""

log = logging.getLogger("livepuppet.vision.mediapipe_models")


def carries_models() -> bool:
    """Whether the installed MediaPipe is one that has its models inside (0.10.21, Python below 3.13)."""
    return sys.version_info < (3, 13)


def face_model() -> Path:
    """The model file that MediaPipe's later releases need: LIVEPUPPET_FACE_MODEL, or the per-user cache, fetched once and checked.

    Raises:
        ModelError: saying what to do.
    """
    named = os.environ.get("LIVEPUPPET_FACE_MODEL")
    if named:
        path = Path(named)
        if not path.is_file():
            raise ModelError(f"LIVEPUPPET_FACE_MODEL names {path}, which is not a file: point it at face_landmarker.task or unset it")
        return path
    path = cache_folder() / "face_landmarker.task"
    if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == MODEL_SHA256:
        return path
    log.info("fetching MediaPipe's face model once (4 MB) …")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fetch(MODEL_ADDRESS, path, MODEL_SHA256, limit=MODEL_LARGEST_BYTES, timeout=60)
    except (RunError, OSError) as error:
        by_hand = f"download {MODEL_ADDRESS} by hand and set LIVEPUPPET_FACE_MODEL to the file"
        raise ModelError(f"MediaPipe's face model cannot be had ({error}): {by_hand}") from error
    return path


def detector_model() -> bytes:
    """The face detector out of `face_model`.

    Raises:
        ModelError: the file cannot be had, or holds no detector.
    """
    path = face_model()
    try:
        with zipfile.ZipFile(path) as bundle:
            return bundle.read(DETECTOR)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path} is not MediaPipe's face_landmarker.task: remove it, and it is fetched again") from error

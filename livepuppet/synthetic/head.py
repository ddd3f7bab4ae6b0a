"""The head everybody shares: one mesh, the targets that make it anybody's, and the 52 expression units that move it."""

from __future__ import annotations

import gzip
import json
import zipfile
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from livepuppet.errors import RunError
from livepuppet.files import write_atomically
from livepuppet.synthetic.noise import Noise
from livepuppet.synthetic.occlusion import bake_occlusion
from livepuppet.synthetic.subdivision import catmull_clark
from livepuppet.synthetic.wheel import DATA_SHA256, geometry_files

SKIN, EYE, UPPER_TEETH, LOWER_TEETH, TONGUE, LASH = range(6)
"""Materials of the mesh. SKIN also carries the clothes: where they begin is the material's business."""

FORMAT = 1
"""Of the cache file; raise it when `build` changes."""
MASKS = ("lips", "eyelids", "ears")
CHEST_BELOW_NECK = 2.4
SHOULDER_WIDTH = 2.6
MOVES_WITH_HEAD = {"head": 1.0, "eye.L": 1.0, "eye.R": 1.0, "jaw": 1.0, "neck03": 0.72, "neck02": 0.45, "neck01": 0.2}
FACE_BONES = ("oris", "levator", "orbicularis", "special", "temporalis", "risorius", "oculi", "tongue")


@dataclass(frozen=True, eq=False)
class Head:
    """All tensors on one device. C vertices of the coarse cage, V of the subdivided mesh, T triangles.

    cage (C, 3); subdivision sparse (V, C); triangles (T, 3); uv (T, 3, 2); material (T,); names of the N targets, targets (N, C, 3);

    Attributes:
        units: the 52 expression names, expressions (52, C, 3); follows (V,): 1 moves with the head, 0 stays with the shoulders; masks (1,
            3, S, S): lips, eyelids, ears over uv; occlusion (V,): share of the sky each vertex sees at rest.
    """

    cage: Tensor
    subdivision: Tensor
    triangles: Tensor
    uv: Tensor
    material: Tensor
    names: tuple[str, ...]
    targets: Tensor
    units: tuple[str, ...]
    expressions: Tensor
    follows: Tensor
    masks: Tensor
    occlusion: Tensor

    @property
    def device(self) -> torch.device:
        return self.cage.device

    @cached_property
    def noise(self) -> Noise:
        return Noise.drawn(self.device)

    def subdivide(self, cage: Tensor) -> Tensor:
        """(C, 3) -> (V, 3)."""
        out: Tensor = torch.sparse.mm(self.subdivision, cage)
        return out

    @cached_property
    def rest(self) -> Tensor:
        """The average head, (V, 3). Materials are painted on it, so that paint moves with the skin."""
        return self.subdivide(self.cage)

    @cached_property
    def rest_corners(self) -> Tensor:
        return self.rest[self.triangles]

    @cached_property
    def centres(self) -> Tensor:
        """(T, 3) centres of the triangles at rest."""
        return self.rest_corners.mean(1)

    @cached_property
    def areas(self) -> Tensor:
        """(T,) where hair may grow: areas of the skin's triangles, 0 elsewhere and in hidden folds."""
        a, b, c = self.rest_corners.unbind(1)
        area = torch.linalg.cross(b - a, c - a).norm(dim=-1) / 2
        grows: Tensor = area * (self.material == SKIN) * (self.occlusion[self.triangles].mean(1) > 0.12)
        return grows

    @cached_property
    def vertex_material(self) -> Tensor:
        out = torch.zeros(len(self.rest), dtype=torch.int64, device=self.device)
        for code in (SKIN, EYE, UPPER_TEETH, LOWER_TEETH, TONGUE, LASH):
            out[self.triangles[self.material == code].reshape(-1)] = code
        return out

    @cached_property
    def eyes(self) -> tuple[Tensor, Tensor]:
        """Which vertices are the left eyeball, and which the right (the person's left: x > 0)."""
        ball = self.vertex_material == EYE
        return ball & (self.rest[:, 0] > 0), ball & (self.rest[:, 0] < 0)

    @cached_property
    def lip_height(self) -> float:
        """y of the line between the lips."""
        lips = self.centres[self.masked(self.uv.mean(1))[:, 0] > 0.5][:, 1]
        return float(lips.amin() + lips.amax()) / 2

    def masked(self, uv: Tensor) -> Tensor:
        """Lips, eyelids and ears at texture coordinates: (N, 2) -> (N, 3) in 0 … 1."""
        flip = torch.tensor([1.0, -1.0], device=uv.device)
        place = ((uv * 2 - 1) * flip)[None, None]
        return torch.nn.functional.grid_sample(self.masks, place, align_corners=False)[0, :, 0].T

    @classmethod
    def load(cls, device: str | torch.device = "cpu", *, wheel: Path | None = None, cache: Path | None = None) -> Head:
        """From the cache when it is there, else built from the wheel (a few seconds) and cached.

        Raises:
            UsageError: (no geometry).
        """
        if cache is None:
            from platformdirs import user_cache_path

            cache = user_cache_path("livepuppet")
        path = cache / f"head-{FORMAT}-{DATA_SHA256[:12]}.npz"
        arrays = cached_head(path) if wheel is None else None
        if arrays is None:
            arrays = build_head(geometry_files(wheel))
            save_head(arrays, path)
        return cls.of(arrays, torch.device(device))

    @classmethod
    def of(cls, arrays: dict[str, NDArray[Any]], device: torch.device) -> Head:
        def tensor(name: str, kind: torch.dtype = torch.float32) -> Tensor:
            return torch.from_numpy(arrays[name]).to(device, kind)

        names = tuple(str(name) for name in arrays["names"])
        targets = tensor("targets")
        unit = [i for i, name in enumerate(names) if name.startswith("unit/")]
        size = tuple(int(n) for n in arrays["subdivision_size"])
        places, values = tensor("subdivision_places", torch.int64), tensor("subdivision_values")
        unchecked = torch.sparse.check_sparse_tensor_invariants(enable=False)  # type: ignore[no-untyped-call]
        with unchecked:  # it is our own; PyTorch 2.11 warns unless it is said so
            matrix = torch.sparse_coo_tensor(places, values, size, is_coalesced=True)
        return cls(
            cage=tensor("cage"),
            subdivision=matrix,
            triangles=tensor("triangles", torch.int64),
            uv=tensor("uv"),
            material=tensor("material", torch.int64),
            names=names,
            targets=targets,
            units=tuple(names[i].removeprefix("unit/") for i in unit),
            expressions=targets[unit],
            follows=tensor("follows"),
            masks=tensor("masks")[None] / 255,
            occlusion=tensor("occlusion"),
        )


def cached_head(path: Path) -> dict[str, NDArray[Any]] | None:
    """The arrays of an earlier `build`; None when there are none, or the file is damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return dict(archive)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


def save_head(arrays: dict[str, NDArray[Any]], path: Path) -> None:
    """Write beside and rename, so that two programs may build the cache at once.

    Raises:
        RunError: its message says what is wrong.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda file: np.savez_compressed(file, **arrays))
    except (OSError, RunError) as error:
        raise RunError(f"cannot keep the head's geometry in {path.parent}: {getattr(error, 'strerror', None) or error}") from error


Quads = list[list[tuple[int, int]]]


def read_obj(text: str) -> tuple[NDArray[np.float64], NDArray[np.float64], dict[str, Quads]]:
    """Vertices, texture coordinates, and per group its faces as (vertex, texture) index pairs, from 0."""
    vertices, texture, groups, group = [], [], dict[str, Quads](), ""
    for line in text.splitlines():
        match line.split():
            case ["v", *numbers]:
                vertices.append([float(n) for n in numbers[:3]])
            case ["vt", *numbers]:
                texture.append([float(n) for n in numbers[:2]])
            case ["g", name]:
                group = name
            case ["f", *corners]:
                pairs = (corner.split("/") for corner in corners)
                groups.setdefault(group, []).append([(int(a) - 1, int(b) - 1) for a, b, *_ in pairs])
    return np.array(vertices), np.array(texture), groups


def read_target(content: bytes, vertices: int) -> NDArray[np.float64]:
    """A MakeHuman target: 'vertex dx dy dz' per line -> (vertices, 3)."""
    rows = [line.split() for line in content.decode().splitlines() if line and not line.startswith("#")]
    table = np.array([[float(n) for n in row] for row in rows if len(row) == 4]).reshape(-1, 4)
    out = np.zeros((vertices, 3))
    out[table[:, 0].astype(int)] = table[:, 1:]
    return out


def build_head(files: dict[str, bytes]) -> dict[str, NDArray[Any]]:
    """The arrays that `Head.of` takes, from the wheel's files."""
    vertices, texture, groups = read_obj(files["mpfb2/3dobjs/base.obj"].decode())
    neck = vertices[[a for face in groups["joint-neck"] for a, _ in face]].mean(0)
    inside = (vertices[:, 1] > neck[1] - CHEST_BELOW_NECK) & (np.abs(vertices[:, 0]) < SHOULDER_WIDTH)
    parts: list[tuple[int, Quads]] = [
        (SKIN, [face for face in groups["body"] if all(inside[a] for a, _ in face)]),
        (EYE, groups["helper-l-eye"] + groups["helper-r-eye"]),
        (UPPER_TEETH, groups["helper-upper-teeth"]),
        (LOWER_TEETH, groups["helper-lower-teeth"]),
        (TONGUE, groups["helper-tongue"]),
        (LASH, [face for name in groups if "eyelashes" in name for face in groups[name]]),
    ]
    faces = np.array([face for _, part in parts for face in part])
    material = np.repeat([code for code, _ in parts], [len(part) for _, part in parts])
    used, quads = np.unique(faces[..., 0], return_inverse=True)
    quads, uv = quads.reshape(-1, 4), texture[faces[..., 1]]
    matrix, quads = catmull_clark(quads, len(used))
    middle, centre = (uv + np.roll(uv, -1, axis=1)) / 2, uv.mean(1)
    uv = np.concatenate([np.stack([uv[:, i], middle[:, i], centre, middle[:, i - 1]], axis=1) for i in range(4)])
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    triangle_uv = np.concatenate([uv[:, [0, 1, 2]], uv[:, [0, 2, 3]]])
    triangle_material = np.tile(np.tile(material, 4), 2)

    targets = {}
    for name, content in files.items():
        folder, _, file = name.rpartition("/")
        if not file.endswith((".target", ".target.gz")):
            continue
        plain = gzip.decompress(content) if file.endswith(".gz") else content
        delta = read_target(plain, len(vertices))[used]
        group = "unit" if folder.endswith("faceunits") else "macro" if folder.endswith("macrodetails") else folder.rpartition("/")[2]
        if np.abs(delta).max() > 1e-4:
            targets[f"{group}/{file.partition('.target')[0]}"] = delta
    eyeball = np.unique(quads_of(parts, used, EYE))
    for name, delta in targets.items():
        if name.startswith("unit/eyeLook"):
            delta[eyeball] = 0  # gaze turns the eyeballs themselves

    follows = np.zeros(len(vertices))
    weights = json.loads(files["mpfb2/rigs/standard/weights.default.json"])["weights"]
    for bone, entries in weights.items():
        share = MOVES_WITH_HEAD.get(bone, 1.0 if any(part in bone for part in FACE_BONES) else 0.0)
        for index, weight in entries if share else []:
            follows[index] += share * weight
    follows = follows[used].clip(0, 1)
    follows[np.unique(np.concatenate([quads_of(parts, used, code) for code in (EYE, UPPER_TEETH, LOWER_TEETH, TONGUE, LASH)]))] = 1

    rest = torch.sparse.mm(matrix, torch.from_numpy(vertices[used])).float()
    solid = torch.from_numpy(triangles[triangle_material != LASH])
    names = sorted(targets)
    return {
        "cage": vertices[used].astype(np.float32),
        "subdivision_places": matrix.indices().numpy().astype(np.int32),
        "subdivision_values": matrix.values().numpy().astype(np.float32),
        "subdivision_size": np.array(matrix.shape),
        "triangles": triangles.astype(np.int32),
        "uv": triangle_uv.astype(np.float32),
        "material": triangle_material.astype(np.int8),
        "names": np.array(names),
        "targets": np.stack([targets[name] for name in names]).astype(np.float16),
        "follows": torch.sparse.mm(matrix, torch.from_numpy(follows)[:, None])[:, 0].numpy().clip(0, 1).astype(np.float32),
        "masks": np.stack([read_mask(files[f"mpfb2/textures/mpfb_{name}.jpg"]) for name in MASKS]),
        "occlusion": bake_occlusion(rest, solid, torch.from_numpy(triangles)).numpy(),
    }


def quads_of(parts: list[tuple[int, Quads]], used: NDArray[np.int64], code: int) -> NDArray[np.int64]:
    """Cage vertex indices of one material's faces."""
    faces = next(faces for material, faces in parts if material == code)
    return np.searchsorted(used, np.array([[a for a, _ in face] for face in faces]).reshape(-1))


def read_mask(content: bytes) -> NDArray[np.uint8]:
    """A grey JPEG -> (512, 512) uint8."""
    import cv2

    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    return np.asarray(cv2.resize(np.asarray(picture), (512, 512), interpolation=cv2.INTER_AREA), np.uint8)

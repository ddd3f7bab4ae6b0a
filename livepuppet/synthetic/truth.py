"""What a renderer knows and a camera does not: where every visible point was in another frame, and whether it was seen there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from livepuppet.synthetic.head import SKIN, Head
from livepuppet.synthetic.raster import depth_map
from livepuppet.synthetic.renderer import RenderedImage

FAR = 1e4
MESH_SLACK, HAIR_SLACK = 0.06, 0.5
"""dm by which a point may lie behind the nearest surface and still count as seen; hair is a tangle, so more."""

LANDMARKS: dict[str, tuple[float, float, float]] = {
    "nose_tip": (0.0, 6.92, 1.68),
    "left_lid": (0.35, 7.34, 1.41),
    "right_lid": (-0.35, 7.34, 1.41),
    "left_brow": (0.34, 7.47, 1.45),
    "right_brow": (-0.34, 7.47, 1.45),
    "left_mouth_corner": (0.25, 6.64, 1.36),
    "right_mouth_corner": (-0.25, 6.64, 1.36),
    "upper_lip": (0.0, 6.65, 1.59),
    "lower_lip": (0.0, 6.54, 1.56),
    "chin": (0.0, 6.33, 1.49),
    "forehead": (0.0, 7.88, 1.46),
    "left_cheekbone": (0.76, 7.1, 0.45),
    "right_cheekbone": (-0.76, 7.1, 0.45),
    "throat": (0.0, 5.74, 0.69),
    "left_eye": (0.308, 7.284, 1.4),
    "right_eye": (-0.308, 7.284, 1.4),
}
"""Sixteen points of the resting face, in the order a supervised detector learns them. The eyes lie on the eyeballs and follow the gaze."""
MIRRORED = (0, 2, 1, 4, 3, 6, 5, 7, 8, 9, 10, 12, 11, 13, 15, 14)
"""Where each landmark is found in a picture flipped left to right."""


@dataclass(frozen=True)
class Patch:
    """The neighbourhood over which a landmark's local affine frame is fitted: radius in dm, between two heights.

    Attributes:
        stiffness: how much of the whole head's frame is mixed in (a small patch alone would be noisy).
    """

    radius: float
    stiffness: float
    low: float = -1e3
    high: float = 1e3


PATCHES = (
    Patch(0.3, 1.0), Patch(0.15, 0.4, low=7.33), Patch(0.15, 0.4, low=7.33), Patch(0.22, 0.4, low=7.38), Patch(0.22, 0.4, low=7.38),
    Patch(0.15, 0.5), Patch(0.15, 0.5), Patch(0.2, 0.4, low=6.63), Patch(0.2, 0.4, high=6.57), Patch(0.25, 0.4, high=6.5), Patch(0.4, 2.0),
    Patch(0.3, 99.0), Patch(0.3, 99.0), Patch(0.9, 0.3, high=5.95), Patch(0.2, 99.0), Patch(0.2, 99.0),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class LandmarkJacobians:
    """Where the landmarks lie on the mesh, and how to read a local affine frame off the points around each.

    Attributes:
        vertices: (16,).
        patches: per landmark the vertex indices (M,) of its neighbourhood and the least-squares fit (M, 2) over them.
        whole: the same for the whole face.
    """

    vertices: Tensor
    patches: tuple[tuple[Tensor, Tensor], ...]
    whole: tuple[Tensor, Tensor]

    @classmethod
    def of(cls, head: Head) -> LandmarkJacobians:
        rest, device = head.rest, head.device
        skin = head.vertex_material == SKIN
        vertices = []
        for name, place in LANDMARKS.items():
            allowed = head.eyes[0] | head.eyes[1] if name in ("left_eye", "right_eye") else skin
            distance = (rest - torch.tensor(place, device=device)).norm(dim=-1)
            vertices.append(int(torch.where(allowed, distance, torch.full_like(distance, 99)).argmin()))
        patches = []
        for vertex, patch in zip(vertices, PATCHES, strict=True):
            centre = rest[vertex]
            distance = (rest - centre).norm(dim=-1)
            inside = skin & (distance < patch.radius) & (rest[:, 2] > centre[2] - 0.25)
            inside &= (rest[:, 1] >= patch.low) & (rest[:, 1] <= patch.high)
            index = inside.nonzero()[:, 0]
            patches.append(fit_affine(rest, index, torch.exp(-((1.5 * distance[index] / patch.radius) ** 2))))
        face = (skin & (rest[:, 2] > 0.6) & (rest[:, 1] > 6.7) & (rest[:, 1] < 8.2)).nonzero()[:, 0]
        return cls(torch.tensor(vertices, device=device), tuple(patches), fit_affine(rest, face, torch.ones(len(face), device=device)))

    def read(self, screen: Tensor) -> tuple[Tensor, Tensor]:
        """Vertices on screen (V, 2+), pixels -> landmarks (16, 2) in pixels and affine frames (16, 2, 2).

        A frame's columns say where one dm of the resting face to the picture's right, and one down, lie in the picture (pixels per dm).
        """
        flat = screen[:, :2]
        whole = jacobian_at(flat, *self.whole)
        frames = []
        for (index, fit), patch in zip(self.patches, PATCHES, strict=True):
            own = jacobian_at(flat, index, fit) if len(index) > 3 else whole
            frames.append((own + patch.stiffness * whole) / (1 + patch.stiffness))
        return flat[self.vertices], torch.stack(frames)


def fit_affine(rest: Tensor, index: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted least squares prepared: (index, (M, 2)) such that points.T @ that is the affine frame; its columns sum to zero."""
    front = rest[index, :2] * torch.tensor([1.0, -1.0], device=rest.device)
    weight = weight / weight.sum()
    front = front - (front * weight[:, None]).sum(0)
    scatter = torch.einsum("mi,m,mj->ij", front, weight, front)
    return index, (weight[:, None] * front) @ torch.linalg.pinv(scatter)


def jacobian_at(flat: Tensor, index: Tensor, fit: Tensor) -> Tensor:
    return flat[index].T @ fit


def correspondence(driving: RenderedImage, source: RenderedImage, rows: int, columns: int) -> tuple[Tensor, Tensor, Tensor]:
    """Backward flow: for a grid of pixels of `driving`, where their surface points lie in `source`.

    Returns (place (rows, columns, 2) in pixels of the source; seen (rows, columns) bool: visible there; body (rows, columns) bool:
    shows the person and not the backdrop). Cell (i, j) is sampled in its middle, ((j + .5) * W / columns, (i + .5) * H / rows);
    backdrop cells stay in place, and are seen where the source shows backdrop there too. Both pictures must be of one `Body`.
    """
    height, width = driving.grid
    device = driving.screen.device
    out_height, out_width = driving.image.shape[:2]
    row = ((torch.arange(rows, device=device) + 0.5) * height / rows).long()
    column = ((torch.arange(columns, device=device) + 0.5) * width / columns).long()
    entry = torch.full((height * width,), -1, dtype=torch.int64, device=device)
    entry[driving.fragments.pixel] = torch.arange(len(driving.fragments.pixel), device=device)
    cell = entry.view(height, width)[row[:, None], column].reshape(-1)
    body = cell >= 0

    y, x = torch.meshgrid((row + 0.5) * out_height / height, (column + 0.5) * out_width / width, indexing="ij")
    middle_y, middle_x = torch.meshgrid(
        (torch.arange(rows, device=device) + 0.5) * out_height / rows, (torch.arange(columns, device=device) + 0.5) * out_width / columns,
        indexing="ij",
    )  # fmt: skip
    sampled = torch.stack([x, y], -1).reshape(-1, 2)
    middle = torch.stack([middle_x, middle_y], -1).reshape(-1, 2)
    nearest = depth_map(source.fragments, height, width, far=FAR)
    shown = driving.fragments.chosen(cell[body])
    there = shown.at(source.screen, source.body.triangles)
    place, depth = middle.clone(), torch.full((len(cell),), FAR, device=device)
    place[body] = there[:, :2] + (middle - sampled)[body]  # the middle of a cell may lie between two samples
    depth[body] = there[:, 2]

    scale_x, scale_y = width / out_width, height / out_height
    at = torch.where(body[:, None], place, middle)
    inside = (at[:, 0] >= 0) & (at[:, 0] < out_width) & (at[:, 1] >= 0) & (at[:, 1] < out_height)
    hit = nearest[(at[:, 1] * scale_y).long().clamp(0, height - 1), (at[:, 0] * scale_x).long().clamp(0, width - 1)]
    slack = torch.full((len(cell),), MESH_SLACK, device=device)
    slack[body] = torch.where(shown.triangle >= source.body.mesh_triangles, HAIR_SLACK, MESH_SLACK)
    seen = torch.where(body, (depth < hit + slack) & inside, hit >= FAR)
    return place.view(rows, columns, 2), seen.view(rows, columns), body.view(rows, columns)


@dataclass(frozen=True, eq=False)
class Truth:
    """Everything known about the F frames of a clip, in pixels of the pictures; G cells along each side of the flow grid.

    Attributes:
        flow: float32 (F, F, G, G, 2), [d, s]: where the point that frame d shows in a cell lies in frame s.
        seen, body: bool (F, F, G, G) and (F, G, G).
        landmarks: float32 (F, 16, 2).
        frames: float32 (F, 16, 2, 2), pixels per dm.
    """

    flow: NDArray[np.float32]
    seen: NDArray[np.bool_]
    body: NDArray[np.bool_]
    landmarks: NDArray[np.float32]
    frames: NDArray[np.float32]

    @classmethod
    def of(cls, head: Head, pictures: list[RenderedImage], cells: int = 64) -> Truth:
        count = len(pictures)
        flow = np.zeros((count, count, cells, cells, 2), np.float32)
        seen = np.zeros((count, count, cells, cells), bool)
        body = np.zeros((count, cells, cells), bool)
        for d, driving in enumerate(pictures):
            for s, source in enumerate(pictures):
                place, visible, person = correspondence(driving, source, cells, cells)
                flow[d, s], seen[d, s], body[d] = place.cpu().numpy(), visible.cpu().numpy(), person.cpu().numpy()
        reader = LandmarkJacobians.of(head)
        points, frames = zip(*(reader.read(picture.screen) for picture in pictures), strict=True)
        return cls(flow, seen, body, torch.stack(points).cpu().numpy(), torch.stack(frames).cpu().numpy())

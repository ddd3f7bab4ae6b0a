"""Makes livepuppet/engines/landmark/expression_basis.npz: how each of ARKit's 52 expression units, and the gaze, moves the 478 landmarks.

People who do not exist are drawn with their lips a little apart, MediaPipe finds its points on them, and every point is tied to the mesh
beneath it; what a unit does to the mesh there, in the face's own frame (see face_model.py), is the unit's row. Rows are means over the
people, and left and right mirror each other:

    python benchmarks/expression_basis.py --people 10
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from livepuppet.engines.landmark.face_model import COUNT, IRIS, LOWER_LID, LOWER_LIP, TEMPLATE, UPPER_LID, UPPER_LIP
from livepuppet.engines.landmark.retarget import fit_head_pose
from livepuppet.synthetic.acting import Acting
from livepuppet.synthetic.head import SKIN, Head
from livepuppet.synthetic.person import draw_person
from livepuppet.synthetic.posing import Body
from livepuppet.synthetic.renderer import RenderedImage, photograph
from livepuppet.synthetic.setting import portrait_setting
from livepuppet.types import Floats
from livepuppet.vision.expressions import EXPRESSION_UNITS
from livepuppet.vision.face_landmarks import find_faces

OUTPUT = Path(__file__).parents[1] / "livepuppet/engines/landmark/expression_basis.npz"
SIZE = 768
PARTED = {"jawOpen": 0.25}
"""So that the points of upper and lower lip lie on their own lip."""
NEAREST = 5
"""Vertices that a point is tied to."""
LOOK_RADIANS = {"Out": 0.5, "In": 0.5, "Up": 0.3, "Down": 0.4}
"""How far an eye turns for the whole weight of an eyeLook unit."""
UPPER = np.array([61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, *UPPER_LIP])
LOWER = np.array([146, 91, 181, 84, 17, 314, 405, 321, 375, *LOWER_LIP[1:-1]])
CORNERS = {61, 291, 78, 308}


def visible_skin(shot: RenderedImage) -> Tensor:
    """Indices of the skin's vertices that the picture shows."""
    head, (height, width) = shot.body.head, shot.grid
    depth = torch.full((height * width,), 1e9)
    depth[shot.fragments.pixel] = shot.fragments.depth
    screen = shot.screen[: len(head.rest)] * torch.tensor([width / SIZE, height / SIZE, 1.0])
    x, y = screen[:, 0].long().clamp(0, width - 1), screen[:, 1].long().clamp(0, height - 1)
    seen = screen[:, 2] < depth[y * width + x] + 0.04
    found: Tensor = (seen & (head.vertex_material == SKIN)).nonzero()[:, 0]
    return found


def tied(shot: RenderedImage, landmarks: Floats, moves: Tensor) -> tuple[Tensor, Tensor]:
    """For each point the vertices (478, NEAREST) beneath it, and their weights; moves (U, V, 3): what each unit does to each vertex."""
    skin = visible_skin(shot)
    jaw = -moves[EXPRESSION_UNITS.index("jawOpen"), skin, 1]
    drop = float(jaw.max())
    apart = torch.cdist(torch.from_numpy(landmarks[:, :2]).float(), shot.screen[skin, :2])
    for points, other in ((UPPER, jaw > 0.35 * drop), (LOWER, jaw < 0.5 * drop)):
        chosen = torch.tensor([p for p in points if p not in CORNERS])
        apart[chosen] += 1e3 * other
    distance, which = apart.topk(NEAREST, largest=False)
    weight = 1 / (distance + 1.0) ** 2
    return skin[which], weight / weight.sum(1, keepdim=True)


def rows_of(head: Head, seed: int) -> Floats | None:
    """One person's rows (52 + 2, 478, 3) in face widths; None where no face is found."""
    rng = np.random.default_rng(seed)
    person = draw_person(head, rng, look="skin")
    body = Body.of(head, person)
    shot = photograph(body, Acting(PARTED), portrait_setting(rng), SIZE, SIZE)
    faces = find_faces(shot.image.numpy(), most=1)
    if not faces:
        return None
    order = [head.units.index(name) for name in EXPRESSION_UNITS]
    moves = torch.stack([head.subdivide(head.expressions[unit]) for unit in order])
    vertices, weight = tied(shot, faces[0], moves)
    placed = fit_head_pose(faces[0])
    px_per_dm = float((shot.screen[vertices[454], 0].mean() - shot.screen[vertices[234], 0].mean()) / width_of(shot, vertices))
    face_dm = placed.scale / px_per_dm
    onto_image = np.array([1.0, -1.0, -1.0])
    rows = np.stack([((m[vertices] * weight[..., None]).sum(1).numpy() * onto_image) @ placed.rotation for m in moves]) / face_dm
    iris = np.arange(468, COUNT)
    rows[:, iris] = 0
    radius = eyeball_radius(head) / face_dm
    gaze = np.zeros((2, COUNT, 3))
    gaze[0, iris, 0] = gaze[1, iris, 1] = radius
    for name, row in zip(EXPRESSION_UNITS, rows, strict=True):
        if name.startswith("eyeLook"):
            direction, left = name.removeprefix("eyeLook").removesuffix("Left").removesuffix("Right"), name.endswith("Left")
            # the person's left eye is in the picture's right half; out is to its own side
            sign = (
                (1 if left else -1) * (1 if direction == "Out" else -1)
                if direction in ("Out", "In")
                else (1 if direction == "Down" else -1)
            )
            own = np.arange(IRIS[1], COUNT) if left else np.arange(IRIS[0], IRIS[1])
            row[own, 0 if direction in ("Out", "In") else 1] += sign * radius * np.sin(LOOK_RADIANS[direction])
    return np.concatenate([rows, gaze])


def width_of(shot: RenderedImage, vertices: Tensor) -> float:
    """The face's width in dm, between the points at its edges."""
    neutral = shot.body.neutral
    return float(neutral[vertices[454], 0].mean() - neutral[vertices[234], 0].mean())


def eyeball_radius(head: Head) -> float:
    ball = head.rest[head.eyes[0]]
    return float(ball[:, 2].max() - (ball[:, 2].max() + ball[:, 2].min()) / 2)


def mirrored(rows: Floats) -> Floats:
    """Left and right made alike: every unit is the mean of itself and its partner's mirror image."""
    apart = np.linalg.norm(TEMPLATE[:, None] - (TEMPLATE * [-1, 1, 1])[None], axis=2)
    _, partner = linear_sum_assignment(apart)
    names = [*EXPRESSION_UNITS, "gazeRight", "gazeDown"]

    def other(name: str) -> str:
        if name.endswith("Left"):
            return name.removesuffix("Left") + "Right"
        return name.removesuffix("Right") + "Left" if name.endswith("Right") and name != "gazeRight" else name

    out = np.empty_like(rows)
    for i, name in enumerate(names):
        j = names.index(other(name))
        sign = -1.0 if name == "gazeRight" else 1.0
        out[i] = (rows[i] + sign * rows[j][partner] * [-1, 1, 1]) / 2
    return out


def closing(rows: Floats) -> Floats:
    """The blinks made whole: at full weight the edges of the lids meet on the average face, where the lower one brings them."""
    for side, upper, lower in (("Right", UPPER_LID[0], LOWER_LID[0]), ("Left", UPPER_LID[1], LOWER_LID[1])):
        row = rows[EXPRESSION_UNITS.index(f"eyeBlink{side}")]
        meet = TEMPLATE[lower[1:-1]] + row[lower[1:-1]]
        row[upper[1:-1]] = meet - TEMPLATE[upper[1:-1]]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=10)
    options = parser.parse_args()
    head = Head.load()
    with torch.no_grad():
        found = [rows for seed in range(options.people) if (rows := rows_of(head, seed)) is not None]
    rows = closing(mirrored(np.mean(found, axis=0)))
    np.savez_compressed(OUTPUT, units=np.array(EXPRESSION_UNITS), rows=rows.astype(np.float16))
    print(f"{OUTPUT}: {len(found)} people, {OUTPUT.stat().st_size} bytes")
    for name, row in zip([*EXPRESSION_UNITS, "gazeRight", "gazeDown"], rows, strict=True):
        print(f"{name:22} {np.linalg.norm(row, axis=1).max():.3f} face widths at point {np.linalg.norm(row, axis=1).argmax()}")


if __name__ == "__main__":
    main()

"""Makes livepuppet/engines/landmark/face_model.npz: the average face in its own frame, and how MediaPipe's points are joined.

The average is over the faces in a folder of frontal portraits that belong to nobody (the avatars that livepuppet ships):

    python benchmarks/face_model.py ../shared/assets/avatars
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from livepuppet.types import Floats
from livepuppet.vision.face_landmarks import find_faces

OUTPUT = Path(__file__).parents[1] / "livepuppet/engines/landmark/face_model.npz"
RIGHT, LEFT, FOREHEAD, CHIN = 234, 454, 10, 152


def triangles() -> np.ndarray:
    """The faces of MediaPipe's mesh, (852, 3), eyes and mouth open: the triples of edges that bound no others."""
    from mediapipe.python.solutions.face_mesh_connections import FACEMESH_TESSELATION

    edges = {tuple(sorted(edge)) for edge in FACEMESH_TESSELATION}
    neighbours: dict[int, set[int]] = {}
    for a, b in edges:
        neighbours.setdefault(a, set()).add(b)
        neighbours.setdefault(b, set()).add(a)
    found = {tuple(sorted((a, b, c))) for a, b in edges for c in neighbours[a] & neighbours[b]}
    uses: dict[tuple[int, int], int] = {}
    for a, b, c in found:
        for edge in ((a, b), (a, c), (b, c)):
            uses[edge] = uses.get(edge, 0) + 1
    # a triple whose three edges all serve three triples encloses smaller triangles: it is no face of its own
    return np.array(sorted(t for t in found if not all(uses[e] >= 3 for e in ((t[0], t[1]), (t[0], t[2]), (t[1], t[2])))))


def average(faces: list[Floats]) -> Floats:
    """Symmetric mean of the faces (478, 3): unit = face width, upright, looking at the camera, origin between the ears' front edges."""
    shapes = []
    for face in faces:
        shape = face - (face[RIGHT] + face[LEFT]) / 2
        axis = shape[LEFT] - shape[RIGHT]
        roll, yaw = np.arctan2(axis[1], axis[0]), np.arctan2(axis[2], np.hypot(axis[0], axis[1]))
        unroll = np.array([[np.cos(roll), np.sin(roll), 0], [-np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
        unyaw = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
        shapes.append(shape @ (unyaw @ unroll).T / np.linalg.norm(axis))
    mean = np.mean(shapes, axis=0)
    mirrored = mean * [-1, 1, 1]
    apart = np.linalg.norm(mean[:, None] - mirrored[None], axis=2)
    _, partner = linear_sum_assignment(apart)  # closed lips touch, so the nearest point alone may be the other lip's
    assert apart[np.arange(len(mean)), partner].max() < 0.05, "the average is too lopsided to pair left with right"
    return np.asarray((mean + mirrored[partner]) / 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("portraits", type=Path)
    options = parser.parse_args()
    faces = []
    for path in sorted(options.portraits.glob("*.jpg")):
        image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        faces += find_faces(np.asarray(image, np.uint8), most=1)
    joined = triangles()
    np.savez_compressed(OUTPUT, template=average(faces).astype(np.float32), triangles=joined.astype(np.int16))
    print(f"{OUTPUT}: {len(faces)} faces, {len(joined)} triangles, {OUTPUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()

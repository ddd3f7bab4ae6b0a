"""Catmull-Clark subdivision as one sparse matrix, so that subdividing a moving mesh is a product.

E. Catmull, J. Clark, "Recursively generated B-spline surfaces on arbitrary topological meshes", Computer-Aided Design 10 (1978); open
borders follow the cubic B-spline of their edge.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Indices = NDArray[np.int64]
Entries = tuple[Indices, Indices, NDArray[np.float64]]
"""Rows, columns and values of a matrix; equal places add up."""


def spread_attribute(rows: Indices, groups: Indices, share: NDArray[np.float64]) -> Entries:
    """Row i gets share[i] / G of each of the G columns in groups[i]."""
    size = groups.shape[1]
    return np.repeat(rows, size), groups.reshape(-1), np.repeat(share / size, size)


def catmull_clark(quads: Indices, vertices: int) -> tuple[Tensor, Indices]:
    """One step: (float64 COO matrix (V', V), new quads (4 Q, 4)). New vertices are ordered: old vertices, edge points, face points.

    Quad q of the old mesh becomes q, q + Q, q + 2 Q, q + 3 Q, one at each of its corners, with the vertices (corner, next edge point, face
    point, previous edge point).
    """
    count = len(quads)
    face_of_corner = np.repeat(np.arange(count), 4)
    vertex_of_corner = quads.reshape(-1)
    pairs = np.sort(np.stack([quads, np.roll(quads, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1)
    edges, edge_of_corner = np.unique(pairs, axis=0, return_inverse=True)
    edge_of_corner = edge_of_corner.reshape(-1)
    faces_at_edge = np.bincount(edge_of_corner, minlength=len(edges))
    border = faces_at_edge == 1

    face_rows = np.arange(count) + vertices + len(edges)
    edge_rows = np.arange(len(edges)) + vertices
    face_points = spread_attribute(face_rows, quads, np.ones(count))
    # an edge point is the mean of the edge's ends and of the faces beside it; on a border, of the ends alone
    edge_ends = spread_attribute(edge_rows, edges, np.where(border, 1.0, 0.5))
    edge_faces = spread_attribute(
        edge_rows[edge_of_corner], quads[face_of_corner], np.where(border, 0.0, 0.5 / np.maximum(faces_at_edge, 1))[edge_of_corner]
    )

    # an old vertex of n faces moves to (mean face point + 2 mean edge midpoint + (n - 3) itself) / n
    n = np.maximum(np.bincount(vertex_of_corner, minlength=vertices), 1).astype(np.float64)
    degree = np.maximum(np.bincount(edges.reshape(-1), minlength=vertices), 1)
    borders = np.bincount(edges[border].reshape(-1), minlength=vertices)
    inner = borders == 0
    old_faces = spread_attribute(vertex_of_corner, quads[face_of_corner], np.where(inner, 1 / n**2, 0.0)[vertex_of_corner])
    end, edge_of_end = edges.reshape(-1), np.repeat(np.arange(len(edges)), 2)
    of_inner = np.where(inner, 2 / (n * degree), 0.0)[end]
    of_border = np.where(inner, 0.0, 0.5 / np.maximum(borders, 1))[end] * border[edge_of_end]
    old_edges = spread_attribute(end, edges[edge_of_end], of_inner + of_border)
    itself = (np.arange(vertices), np.arange(vertices), np.where(inner, (n - 3) / n, 0.5))

    parts = (face_points, edge_ends, edge_faces, old_faces, old_edges, itself)
    rows, columns, values = (np.concatenate([part[i] for part in parts]) for i in range(3))
    kept = values != 0
    size = (vertices + len(edges) + count, vertices)
    where = torch.from_numpy(np.stack([rows[kept], columns[kept]]).astype(np.int64))
    matrix = torch.sparse_coo_tensor(where, torch.from_numpy(values[kept]), size, check_invariants=True).coalesce()

    at_edge = edge_rows[edge_of_corner].reshape(count, 4)
    new = [np.stack([quads[:, i], at_edge[:, i], face_rows, at_edge[:, i - 1]], axis=1) for i in range(4)]
    return matrix, np.concatenate(new)

"""Simple solids, in numpy alone: what the object classes are built of."""

import itertools
from collections.abc import Sequence

import numpy as np

from finesight.research.scenes.meshes import Array, Mesh

Point = tuple[float, float, float]


def box(x: float, y: float, z: float, bevel: float = 0.0, tone: str = "main") -> Mesh:
    """Return a box of sides x, y, z about the origin in x and y, from 0 to z in height.

    bevel: how much of each edge is cut, as a share of the shortest side (at most 0.49).
    """
    sides = np.array([x, y, z], float)
    cut = max(min(bevel, 0.49), 0.004) * sides.min()
    signs = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)], float)
    # Each corner has one vertex per face: on that face's plane, inside by the cut on the others.
    corner = np.repeat(signs, 3, axis=0) * (sides / 2 - cut)
    corner[np.arange(24), np.tile([0, 1, 2], 8)] = (signs * sides / 2).ravel()
    number = {tuple(sign): 3 * i for i, sign in enumerate(signs.astype(int).tolist())}

    def at(axis: int, *along: int) -> int:
        """Return a corner's first vertex; along: its signs on `axis` and the two after it."""
        return number[along[-axis:] + along[:-axis]]

    faces: list[tuple[int, ...]] = [(3 * i, 3 * i + 1, 3 * i + 2) for i in range(8)]
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        for a in (-1, 1):
            square = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
            faces.append(tuple(at(axis, a, b, c) + axis for b, c in square))
            # The strip along an edge parallel to `axis`, between the faces u and v.
            for b in (-1, 1):
                start, end = at(axis, -1, a, b), at(axis, 1, a, b)
                faces.append((start + u, end + u, end + v, start + v))
    mesh = Mesh(corner, faces, [tone] * len(faces), [False] * len(faces))
    return mesh.moved(z=z / 2)


def _circle(segments: int) -> Array:
    """Return points (segments, 2) around the unit circle."""
    angles = 2 * np.pi * np.arange(segments) / segments
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _band(a: int, b: int, segments: int) -> list[tuple[int, ...]]:
    """Return the faces between two circles of vertices, the first of which are a and b."""
    pairs = [(i, (i + 1) % segments) for i in range(segments)]
    return [(a + i, a + j, b + j, b + i) for i, j in pairs]


def lathe(profile: Sequence[tuple[float, float]], segments: int = 28, tone: str = "main") -> Mesh:
    """Return the surface of a profile [(radius, height), ...] turned about the z axis.

    Corners of the profile stay sharp: every stretch has its own vertices.
    """
    ring = _circle(segments)
    vertices: list[Array] = []
    faces: list[tuple[int, ...]] = []
    for stretch in itertools.pairwise(profile):
        start = segments * len(vertices)
        for r, z in stretch:
            vertices.append(np.column_stack([ring * max(r, 1e-4), np.full(segments, z)]))
        faces += _band(start, start + segments, segments)
    return Mesh(np.concatenate(vertices), faces, [tone] * len(faces), [True] * len(faces))


def cylinder(
    radius: float, height: float, top: float | None = None, tone: str = "main", segments: int = 28
) -> Mesh:
    """Return a closed cylinder on the ground; `top` is another radius there (0: a cone)."""
    top = radius if top is None else top
    return lathe([(0, 0), (radius, 0), (top, height), (0, height)], segments, tone)


def ellipsoid(x: float, y: float, z: float, tone: str = "main", share: float = 1.0) -> Mesh:
    """Return an ellipsoid of radii x, y, z about the origin; share < 1 leaves its upper part."""
    angles = np.linspace(np.pi * (1 - share), np.pi, 17)
    profile = [(float(np.sin(a)), float(-np.cos(a))) for a in angles]
    return lathe(profile, tone=tone).scaled(x, y, z)


def tube(path: Sequence[Point], radius: float, closed: bool = False, tone: str = "main") -> Mesh:
    """Return a round tube of one radius along a path of points."""
    points = np.array(path, float)
    n, segments = len(points), 10
    ahead = np.roll(points, -1, axis=0) - points
    behind = points - np.roll(points, 1, axis=0)
    if not closed:
        ahead[-1], behind[0] = behind[-1], ahead[0]
    along = ahead / np.linalg.norm(ahead, axis=1, keepdims=True)
    along = along + behind / np.linalg.norm(behind, axis=1, keepdims=True)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    side = np.cross(along[0], [0, 0, 1.0] if abs(along[0, 2]) < 0.9 else [1.0, 0, 0])
    rings = []
    cosine, sine = _circle(segments).T[:, :, None]
    for point, direction in zip(points, along, strict=True):
        side = side - direction * (side @ direction)  # carried on without twisting
        side = side / np.linalg.norm(side)
        up = np.cross(direction, side)
        rings.append(point + radius * (cosine * side + sine * up))
    faces: list[tuple[int, ...]] = []
    for k in range(n if closed else n - 1):
        faces += _band(k * segments, (k + 1) % n * segments, segments)
    smooth = [True] * len(faces)
    if not closed:
        faces += [tuple(range(segments))[::-1], tuple(range((n - 1) * segments, n * segments))]
        smooth += [False, False]
    return Mesh(np.concatenate(rings), faces, [tone] * len(faces), smooth)


def ring(radius: float, thickness: float, tone: str = "main") -> Mesh:
    """Return a torus lying flat about the origin: radius of the ring, radius of the tube."""
    path = [(radius * x, radius * y, 0.0) for x, y in _circle(24).tolist()]
    return tube(path, thickness, closed=True, tone=tone)


def extrude(outline: Sequence[tuple[float, float]], depth: float, tone: str = "main") -> Mesh:
    """Return a plate, `depth` thick about y = 0, whose convex outline [(x, z), ...] is upright."""
    n = len(outline)
    flat = np.array(outline, float)
    vertices = np.concatenate(
        [np.column_stack([flat[:, 0], np.full(n, y), flat[:, 1]]) for y in (-depth / 2, depth / 2)]
    )
    faces: list[tuple[int, ...]] = [tuple(range(n)), tuple(range(2 * n - 1, n - 1, -1))]
    faces += [(i, n + i, n + (i + 1) % n, (i + 1) % n) for i in range(n)]
    return Mesh(vertices, faces, [tone] * len(faces), [False] * len(faces))

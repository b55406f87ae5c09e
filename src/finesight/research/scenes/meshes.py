"""Meshes from simple solids, in numpy alone: what the object classes are built of.

Lengths are in the object's own unit, z is up. Angles are in degrees.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

Point = tuple[float, float, float]
Array = np.ndarray


@dataclass(frozen=True)
class Mesh:
    """A surface of polygons.

    vertices: (n, 3); faces: tuples of vertex indices; tones: a name a face, "main" for the
    object's colour, else "dark", "light" or "steel"; smooth: whether a face is shaded round.
    """

    vertices: Array
    faces: list[tuple[int, ...]]
    tones: list[str]
    smooth: list[bool]

    def moved(self, x: float = 0, y: float = 0, z: float = 0) -> "Mesh":
        """Return the mesh shifted."""
        return replace(self, vertices=self.vertices + np.array([x, y, z]))

    def scaled(self, x: float, y: float | None = None, z: float | None = None) -> "Mesh":
        """Return the mesh scaled about the origin, evenly if only x is given."""
        factors = np.array([x, x if y is None else y, x if z is None else z])
        return replace(self, vertices=self.vertices * factors)

    def turned(self, axis: str, degrees: float) -> "Mesh":
        """Return the mesh turned about the x, y or z axis."""
        return replace(self, vertices=self.vertices @ rotation(axis, degrees).T)

    def toned(self, tone: str) -> "Mesh":
        """Return the mesh with every face in one tone."""
        return replace(self, tones=[tone] * len(self.faces))

    @cached_property
    def triangles(self) -> Array:
        """The faces cut into triangles (m, 3), fan-wise."""
        return np.array([(f[0], f[i], f[i + 1]) for f in self.faces for i in range(1, len(f) - 1)])


def rotation(axis: str, degrees: float) -> Array:
    """Return the 3 x 3 matrix that turns about the x, y or z axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(3)
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix[[i, i, j, j], [i, j, i, j]] = c, -s, s, c
    return matrix


def join(*parts: Mesh) -> Mesh:
    """Return several meshes as one."""
    starts = np.cumsum([0] + [len(part.vertices) for part in parts])
    faces = [
        tuple(int(start) + i for i in face)
        for start, part in zip(starts, parts, strict=False)
        for face in part.faces
    ]
    return Mesh(
        np.concatenate([part.vertices for part in parts]),
        faces,
        [tone for part in parts for tone in part.tones],
        [smooth for part in parts for smooth in part.smooth],
    )


def standing(mesh: Mesh) -> Mesh:
    """Return the mesh on the ground, centred, its longest side 1."""
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    origin = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    return replace(mesh, vertices=(mesh.vertices - origin) / (high - low).max())


def box(x: float, y: float, z: float, bevel: float = 0.0, tone: str = "main") -> Mesh:
    """Return a box of sides x, y, z about the origin in x and y, from 0 to z in height.

    bevel: how much of each edge is cut, as a share of the shortest side (at most 0.49).
    """
    sides = np.array([x, y, z], float)
    cut = max(min(bevel, 0.49), 0.004) * sides.min()
    signs = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)], float)
    # Each corner has one vertex a face: on that face's plane, inside by the cut on the others.
    corner = np.repeat(signs, 3, axis=0) * (sides / 2 - cut)
    corner[np.arange(24), np.tile([0, 1, 2], 8)] = (signs * sides / 2).ravel()
    number = {tuple(sign): 3 * i for i, sign in enumerate(signs.astype(int).tolist())}

    faces: list[tuple[int, ...]] = [(3 * i, 3 * i + 1, 3 * i + 2) for i in range(8)]
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3

        def at(a: int, b: int, c: int, axis: int = axis, u: int = u, v: int = v) -> int:
            sign = [0, 0, 0]
            sign[axis], sign[u], sign[v] = a, b, c
            return number[tuple(sign)]

        for a in (-1, 1):
            square = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
            faces.append(tuple(at(a, b, c) + axis for b, c in square))
            # The strip along an edge parallel to `axis`, between the faces u and v.
            for b in (-1, 1):
                faces.append((at(-1, a, b) + u, at(1, a, b) + u, at(1, a, b) + v, at(-1, a, b) + v))
    mesh = Mesh(corner, faces, [tone] * len(faces), [False] * len(faces))
    return mesh.moved(z=z / 2)


def lathe(profile: Sequence[tuple[float, float]], segments: int = 28, tone: str = "main") -> Mesh:
    """Return the surface of a profile [(radius, height), ...] turned about the z axis.

    Corners of the profile stay sharp: every stretch has its own vertices.
    """
    angles = 2 * np.pi * np.arange(segments) / segments
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    vertices: list[Array] = []
    faces: list[tuple[int, ...]] = []
    for (r0, z0), (r1, z1) in itertools.pairwise(profile):
        start = segments * len(vertices)
        for r, z in ((r0, z0), (r1, z1)):
            vertices.append(np.column_stack([ring * max(r, 1e-4), np.full(segments, z)]))
        for i in range(segments):
            j = (i + 1) % segments
            faces.append((start + i, start + j, start + segments + j, start + segments + i))
    return Mesh(np.concatenate(vertices), faces, [tone] * len(faces), [True] * len(faces))


def cylinder(
    radius: float,
    height: float,
    top: float | None = None,
    tone: str = "main",
    segments: int = 28,
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
    angles = 2 * np.pi * np.arange(segments) / segments
    for point, direction in zip(points, along, strict=True):
        side = side - direction * (side @ direction)  # carried on without twisting
        side = side / np.linalg.norm(side)
        up = np.cross(direction, side)
        circle = np.cos(angles)[:, None] * side + np.sin(angles)[:, None] * up
        rings.append(point + radius * circle)
    faces: list[tuple[int, ...]] = []
    for k in range(n if closed else n - 1):
        a, b = k * segments, ((k + 1) % n) * segments
        for i in range(segments):
            j = (i + 1) % segments
            faces.append((a + i, a + j, b + j, b + i))
    smooth = [True] * len(faces)
    if not closed:
        faces += [
            tuple(range(segments))[::-1],
            tuple((n - 1) * segments + i for i in range(segments)),
        ]
        smooth += [False, False]
    return Mesh(np.concatenate(rings), faces, [tone] * len(faces), smooth)


def ring(radius: float, thickness: float, tone: str = "main") -> Mesh:
    """Return a torus lying flat about the origin: radius of the ring, radius of the tube."""
    angles = 2 * np.pi * np.arange(24) / 24
    path = [(radius * float(np.cos(a)), radius * float(np.sin(a)), 0.0) for a in angles]
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


def legs(x: float, y: float, height: float, thickness: float, tone: str = "main") -> Mesh:
    """Return four square legs whose outer corners span x by y."""
    leg = box(thickness, thickness, height, 0.1, tone)
    dx, dy = (x - thickness) / 2, (y - thickness) / 2
    return join(*(leg.moved(i * dx, j * dy) for i in (-1, 1) for j in (-1, 1)))


def wheels(x: float, y: float, radius: float, width: float) -> Mesh:
    """Return four dark wheels with axes along y: x and y are the distances between them."""
    wheel = cylinder(radius, width, tone="dark").moved(z=-width / 2).turned("x", 90)
    return join(*(wheel.moved(i * x / 2, j * y / 2, radius) for i in (-1, 1) for j in (-1, 1)))

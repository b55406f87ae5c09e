"""A mesh, moved, turned and joined to others, in numpy alone.

Lengths are in the object's own unit, z is up. Angles are in degrees.
"""

import itertools
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Mesh:
    """A surface of polygons.

    vertices: (n, 3); faces: tuples of vertex indices; tones: a name per face, "main" for the
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
    starts = itertools.accumulate((len(part.vertices) for part in parts), initial=0)
    numbered = [(start, f) for start, part in zip(starts, parts, strict=False) for f in part.faces]
    return Mesh(
        np.concatenate([part.vertices for part in parts]),
        [tuple(start + i for i in face) for start, face in numbered],
        [tone for part in parts for tone in part.tones],
        [smooth for part in parts for smooth in part.smooth],
    )


def standing(mesh: Mesh) -> Mesh:
    """Return the mesh on the ground, centred, its longest side 1."""
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    origin = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    return replace(mesh, vertices=(mesh.vertices - origin) / (high - low).max())

"""Where a camera sees world points, and which pixel shows which object.

That is a z-buffer over the same triangles that Blender draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from finesight.research.scenes.meshes import Mesh

# Candidate pixels that are tested in one go: bounds the memory, large enough for numpy.
_BLOCK = 1_000_000


def direction(azimuth: float, elevation: float) -> np.ndarray:
    """Return the unit vector (3,) that points there; angles in degrees."""
    a, e = np.radians(azimuth), np.radians(elevation)
    return np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])


@dataclass(frozen=True)
class Camera:
    """A camera that looks at the origin, upright, with square pixels.

    azimuth and elevation in degrees, distance in world units, field of view in degrees across
    the image's width; size in pixels, the image is square.
    """

    azimuth: float
    elevation: float
    distance: float
    field_of_view: float
    size: int

    @cached_property
    def position(self) -> np.ndarray:
        """Where the camera stands (3,)."""
        return self.distance * direction(self.azimuth, self.elevation)

    @cached_property
    def axes(self) -> np.ndarray:
        """Right, up and backward as the rows of a rotation (3, 3): Blender's camera axes."""
        backward = self.position / np.linalg.norm(self.position)
        right = np.cross([0.0, 0.0, 1.0], backward)
        right /= np.linalg.norm(right)
        return np.stack([right, np.cross(backward, right), backward])

    @property
    def focal(self) -> float:
        """The focal length in pixels."""
        return self.size / 2 / float(np.tan(np.radians(self.field_of_view) / 2))

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return pixel positions (n, 2) and depths (n,) of world points (n, 3)."""
        local = (points - self.position) @ self.axes.T
        depth = np.maximum(-local[:, 2], 1e-6)
        x = self.size / 2 + self.focal * local[:, 0] / depth
        y = self.size / 2 - self.focal * local[:, 1] / depth
        return np.column_stack([x, y]), depth

    def ground(self, x: float, y: float) -> np.ndarray | None:
        """Return the ground point (3,) seen at a pixel position, or None above the horizon."""
        half = self.size / 2
        ray = np.array([(x - half) / self.focal, (half - y) / self.focal, -1.0]) @ self.axes
        if ray[2] > -0.05:
            return None
        return self.position - ray * (self.position[2] / ray[2])


def object_index(meshes: Sequence[Mesh], camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Return the mesh seen at every pixel centre (size, size), -1 for none, and each one's own.

    The second array (n,) counts the pixels in the image that a mesh would cover if nothing stood
    before it. meshes: in world coordinates, in front of the camera.
    """
    seen = np.full((camera.size, camera.size), -1, np.int16)
    nearest = np.zeros((camera.size, camera.size))
    alone = np.zeros(len(meshes), int)
    for number, mesh in enumerate(meshes):
        depth = depth_image(mesh, camera)
        front = depth > nearest
        seen[front] = number
        nearest[front] = depth[front]
        alone[number] = np.count_nonzero(depth)
    return seen, alone


def depth_image(mesh: Mesh, camera: Camera) -> np.ndarray:
    """Return the inverse depth of a mesh at every pixel centre (size, size), 0 where it is not."""
    points, depth = camera.project(mesh.vertices)
    # Inverse depth is linear on the screen.
    return rasterise(points, 1 / depth, mesh.triangles, camera.size)


def rasterise(
    points: np.ndarray, values: np.ndarray, triangles: np.ndarray, size: int
) -> np.ndarray:
    """Return the largest value that triangles show at every pixel centre (size, size), else 0.

    points: (n, 2) in pixels, y downwards; values: (n,) > 0, linear over a triangle (m, 3).
    """
    corners = points[triangles]
    low = np.clip(np.ceil(corners.min(axis=1) - 0.5), 0, size).astype(int)
    high = np.clip(np.floor(corners.max(axis=1) - 0.5) + 1, 0, size).astype(int)
    sides = np.maximum(high - low, 0)
    (ax, ay), (bx, by), (cx, cy) = corners.transpose(1, 2, 0)
    area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
    kept = np.flatnonzero((sides.prod(axis=1) > 0) & (np.abs(area) > 1e-9))
    image = np.zeros(size * size)
    ends = np.cumsum(sides[kept].prod(axis=1))
    breaks = np.arange(_BLOCK, ends[-1] if len(ends) else 0, _BLOCK)
    for block in np.split(kept, np.searchsorted(ends, breaks)):
        count = sides[block].prod(axis=1)
        t = np.repeat(block, count)
        step = np.arange(len(t)) - np.repeat(np.cumsum(count) - count, count)
        column = low[t, 0] + step % sides[t, 0]
        row = low[t, 1] + step // sides[t, 0]
        x, y = column + 0.5 - ax[t], row + 0.5 - ay[t]
        v = (x * (cy - ay)[t] - (cx - ax)[t] * y) / area[t]
        w = ((bx - ax)[t] * y - x * (by - ay)[t]) / area[t]
        inside = (v >= 0) & (w >= 0) & (v + w <= 1)
        t, v, w = t[inside], v[inside], w[inside]
        a, b, c = values[triangles[t]].T
        np.maximum.at(image, row[inside] * size + column[inside], (1 - v - w) * a + v * b + w * c)
    return image.reshape(size, size)

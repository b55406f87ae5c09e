"""Which pixel shows which object: a z-buffer over the same triangles that Blender draws."""

from collections.abc import Sequence

import numpy as np

from finesight.scenes.camera import Camera
from finesight.scenes.meshes import Mesh


def object_index(meshes: Sequence[Mesh], camera: Camera) -> np.ndarray:
    """Return the index of the object seen at every pixel centre (size, size), -1 for none.

    meshes: in world coordinates, in front of the camera.
    """
    seen = np.full((camera.size, camera.size), -1, np.int16)
    nearest = np.zeros((camera.size, camera.size))  # inverse depth, which is linear on screen
    for number, mesh in enumerate(meshes):
        points, depth = camera.project(mesh.vertices)
        for a, b, c in _triangles(mesh):
            _draw(points[[a, b, c]], 1 / depth[[a, b, c]], number, seen, nearest)
    return seen


def _triangles(mesh: Mesh) -> np.ndarray:
    fans = [(f[0], f[i], f[i + 1]) for f in mesh.faces for i in range(1, len(f) - 1)]
    return np.array(fans)


def _draw(
    corners: np.ndarray, inverse: np.ndarray, number: int, seen: np.ndarray, nearest: np.ndarray
) -> None:
    """Fill one triangle: corners (3, 2) in pixels with inverse depths (3,)."""
    size = seen.shape[0]
    low = np.maximum(np.ceil(corners.min(axis=0) - 0.5), 0).astype(int)
    high = np.minimum(np.floor(corners.max(axis=0) - 0.5), size - 1).astype(int)
    if (high < low).any():
        return
    (ax, ay), (bx, by), (cx, cy) = corners
    area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
    if abs(area) < 1e-9:
        return
    x = np.arange(low[0], high[0] + 1) + 0.5
    y = np.arange(low[1], high[1] + 1)[:, None] + 0.5
    v = ((x - ax) * (cy - ay) - (cx - ax) * (y - ay)) / area
    w = ((bx - ax) * (y - ay) - (x - ax) * (by - ay)) / area
    u = 1 - v - w
    depth = u * inverse[0] + v * inverse[1] + w * inverse[2]
    window = np.s_[low[1] : high[1] + 1, low[0] : high[0] + 1]
    front = (u >= 0) & (v >= 0) & (w >= 0) & (depth > nearest[window])
    seen[window][front] = number
    nearest[window][front] = depth[front]

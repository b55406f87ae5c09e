"""A pinhole camera: from the world to pixels, and from pixels to the ground."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np


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

"""Where objects stand: fitted to the area they are meant to cover, apart, and seen."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from finesight.research.scenes.camera import Camera, depth_image, rasterise
from finesight.research.scenes.meshes import Mesh, rotation

VISIBLE = 0.55
"""Share of an object's own pixels that others must leave: half, and a margin for coarse pixels."""

NEAREST = 1.0
"""World units from the camera that every point of an object keeps."""

_COARSE = 160  # side of the images in which overlaps are judged
_SILHOUETTE = 48  # side of the image in which one outline is measured
_ROUNDS = 5


@dataclass(frozen=True)
class Pose:
    """A shape on the ground: position in world units, rotation about the vertical in degrees."""

    shape: Mesh
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: float = 1.0
    rotation: float = 0.0

    @cached_property
    def mesh(self) -> Mesh:
        """The surface in world coordinates."""
        return replace(self.shape, vertices=self.vertices)

    @cached_property
    def vertices(self) -> np.ndarray:
        """The surface's points in world coordinates (n, 3)."""
        return self._placed(self.shape.vertices)

    @cached_property
    def footprint(self) -> np.ndarray:
        """The corners (4, 2) of the rectangle on the ground above which the shape stands."""
        low, high = self.shape.vertices.min(axis=0), self.shape.vertices.max(axis=0)
        (x0, y0, _), (x1, y1, _) = low, high
        corners = np.array([(x0, y0, 0), (x1, y0, 0), (x1, y1, 0), (x0, y1, 0)])
        return self._placed(corners)[:, :2]

    def _placed(self, points: np.ndarray) -> np.ndarray:
        turned = points @ (self.scale * rotation("z", self.rotation).T)
        return turned + np.array(self.position)

    def at(self, ground: np.ndarray) -> "Pose":
        """Return the pose moved to a point on the ground."""
        return replace(self, position=(float(ground[0]), float(ground[1]), 0.0))


def fit_side(pose: Pose, camera: Camera, place: Sequence[float], side: float) -> Pose | None:
    """Centre a pose's box on a pixel place, its longer side `side` px; None where it cannot be."""
    target = np.array(place, float)
    foot = target
    for _ in range(_ROUNDS):
        stood = _stand(pose, camera, foot)
        if stood is None:
            return None
        pose, outline = stood
        low, high = outline.min(axis=0), outline.max(axis=0)
        factor = float(np.clip(side / (high - low).max(), 0.1, 10))
        pose = replace(pose, scale=pose.scale * factor)
        foot = foot + (target - (low + high) / 2)
    return pose


def fit_area(
    pose: Pose, camera: Camera, place: np.ndarray, area: float, margin: float = 0.0
) -> Pose | None:
    """Scale a pose until it covers `area` of the image, with its box as near `place` as it can be.

    place: 0..1 from the left or top edge to the right or bottom one: the box moves between them,
    or about the centre where it is larger than the image. margin: pixels kept to the edges; below
    0, how far a box may reach over them. The area is what the frame leaves. None where it cannot
    be: above the horizon, too near the camera, or too thin for its area.
    """
    size = camera.size
    foot = np.array([size / 2, size * 0.6])
    filled = 0.0
    for turn in range(_ROUNDS + 1):
        stood = _stand(pose, camera, foot)
        if stood is None:
            return None
        pose, outline = stood
        low, high = outline.min(axis=0), outline.max(axis=0)
        sides = high - low
        if turn in (0, _ROUNDS - 1):
            filled = _filled(outline, pose.shape.triangles, low, sides.max()) / sides.prod()
        if turn == _ROUNDS:
            break
        inside = np.clip(np.minimum(high, size) - np.maximum(low, 0), 1, None).prod() / sides.prod()
        factor = np.sqrt(area * size**2 / (filled * sides.prod() * min(1.0, inside)))
        pose = replace(pose, scale=pose.scale * float(np.clip(factor, 0.2, 5)))
        room = np.maximum(size - 2 * margin - sides * factor, 0)
        wanted = size / 2 + room * (place - 0.5)
        foot = foot + (wanted - (low + high) / 2)
    covered = np.clip(np.minimum(high, size) - np.maximum(low, 0), 0, None).prod() * filled
    return pose if 0.85 <= covered / (area * size**2) <= 1.18 else None


def _stand(pose: Pose, camera: Camera, foot: np.ndarray) -> tuple[Pose, np.ndarray] | None:
    """Put a pose's foot on the ground seen at a pixel position; return its vertices' pixels too.

    None above the horizon, or too near the camera.
    """
    ground = camera.ground(foot[0], foot[1])
    if ground is None:
        return None
    pose = pose.at(ground)
    points, depth = camera.project(pose.vertices)
    return (pose, points) if depth.min() >= NEAREST else None


def _filled(points: np.ndarray, triangles: np.ndarray, low: np.ndarray, side: float) -> float:
    """Measure the area (square pixels) that an outline covers, on a small raster of its box."""
    unit = side / _SILHOUETTE
    image = rasterise((points - low) / unit, np.ones(len(points)), triangles, _SILHOUETTE)
    return max(np.count_nonzero(image), 1) * unit**2


def share_in_frame(pose: Pose, camera: Camera) -> float:
    """Return how much of a pose's box lies in the image, 0..1."""
    points, _ = camera.project(pose.vertices)
    low, high = points.min(axis=0), points.max(axis=0)
    inside = np.clip(np.minimum(high, camera.size) - np.maximum(low, 0), 0, None)
    return float((inside / np.maximum(high - low, 1e-9)).prod())


class Stage:
    """What stands in a scene so far; takes another pose only if all stay apart and seen."""

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self._coarse = replace(camera, size=_COARSE)
        self._poses: list[Pose] = []
        self._layers: list[np.ndarray] = []
        self._named: list[bool] = []

    def take(self, pose: Pose, named: bool = True) -> bool:
        """Add a pose unless it stands in another one or leaves too little of a named one seen."""
        if any(touching(pose, other) for other in self._poses):
            return False
        layers = [*self._layers, depth_image(pose.mesh, self._coarse)]
        for layer, matters in zip(layers, [*self._named, named], strict=True):
            if matters and _seen(layer, layers) < VISIBLE:
                return False
        self._poses.append(pose)
        self._layers = layers
        self._named.append(named)
        return True

    def put(self, *poses: Pose) -> None:
        """Add poses whatever they touch or hide; nothing is asked of what they cover already."""
        self._poses += poses
        self._layers += [depth_image(pose.mesh, self._coarse) for pose in poses]
        self._named = [False] * len(self._layers)

    def seen(self) -> list[float]:
        """Return the share of each pose's pixels before which no other one stands."""
        return [_seen(layer, self._layers) for layer in self._layers]


def _seen(layer: np.ndarray, layers: Sequence[np.ndarray]) -> float:
    """Return the share of a layer's pixels before which nothing stands; 1 where it has none."""
    own = layer > 0
    front = np.ones(np.count_nonzero(own), bool)
    for other in layers:
        if other is not layer:
            front &= other[own] <= layer[own]
    return float(front.mean()) if len(front) else 1.0


def touching(a: Pose, b: Pose) -> bool:
    """Whether two footprints overlap, by the separating axis theorem."""
    for corners in (a.footprint, b.footprint):
        for i in range(2):
            axis = corners[i + 1] - corners[i]
            along_a, along_b = a.footprint @ axis, b.footprint @ axis
            if along_a.max() <= along_b.min() or along_b.max() <= along_a.min():
                return False
    return True

import numpy as np
import pytest

from finesight.research.scenes.objects.parts import arc, around, grid, legs, pair, wheels
from finesight.research.scenes.solids import box

CUBE = box(1, 1, 1)


def centres(mesh, parts):
    return np.array([part.mean(axis=0) for part in np.split(mesh.vertices, parts)])


def test_an_arc_runs_from_its_start_to_its_end():
    points = arc(3, lambda c, s: (2 * c, s))
    assert np.allclose(points, [(2, 0), (0, 1), (-2, 0)])
    assert np.allclose(arc(2, lambda c, s: (c, s), np.pi / 2, np.pi), [(0, 1), (-1, 0)])


def test_copies_stand_where_they_are_put():
    assert np.allclose(centres(pair(CUBE, x=2, y=3), 2), [(-2, -3, 0.5), (2, 3, 0.5)])
    rows = grid(CUBE, (0, 2), [1, 3], (4,))
    assert np.allclose(centres(rows, 4), [(0, 1, 4.5), (0, 3, 4.5), (2, 1, 4.5), (2, 3, 4.5)])
    ring = around(CUBE.moved(x=2), 4)
    expected = [(2, 0, 0.5), (0, 2, 0.5), (-2, 0, 0.5), (0, -2, 0.5)]
    assert np.allclose(centres(ring, 4), expected)
    assert np.allclose(centres(around(CUBE.moved(x=2), 2, 90), 2), [(0, 2, 0.5), (0, -2, 0.5)])
    assert max(max(face) for face in ring.faces) == len(ring.vertices) - 1


@pytest.mark.parametrize(
    ("mesh", "low", "high"),
    [
        (legs(2, 1, 3, 0.2), (-1, -0.5, 0), (1, 0.5, 3)),
        (wheels(2, 1, 0.3, 0.2), (-1.3, -0.6, 0), (1.3, 0.6, 0.6)),
    ],
)
def test_what_furniture_and_vehicles_stand_on(mesh, low, high):
    assert np.allclose(mesh.vertices.min(axis=0), low, atol=0.01)
    assert np.allclose(mesh.vertices.max(axis=0), high, atol=0.01)

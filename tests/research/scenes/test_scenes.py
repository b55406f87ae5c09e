import json
from dataclasses import replace

import filelock
import numpy as np
import pytest

from finesight.errors import DataError, InputError
from finesight.research.datasets.clevr_ds import load
from finesight.research.scenes import render
from finesight.research.scenes.annotation import annotate, relations
from finesight.research.scenes.camera import Camera, depth_image, object_index
from finesight.research.scenes.meshes import join
from finesight.research.scenes.objects import CLASSES, INSTANCES, build
from finesight.research.scenes.placing import Pose
from finesight.research.scenes.sampling import (
    PAPER_AREAS,
    Object,
    Recipe,
    sample_scene,
    sample_sheet,
)
from finesight.research.scenes.solids import box

SMALL = Recipe(size=96)


@pytest.mark.parametrize("name", list(CLASSES))
def test_every_class_builds_and_stands_on_the_ground(name):
    shapes = [build(name, instance) for instance in (0, 50, 89)]
    for mesh in shapes:
        low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
        assert np.isfinite(mesh.vertices).all()
        assert low[2] == pytest.approx(0, abs=1e-9)
        assert (high - low).max() == pytest.approx(1)
        assert max(max(face) for face in mesh.faces) < len(mesh.vertices)
        assert len(mesh.faces) == len(mesh.tones) == len(mesh.smooth)
        assert set(mesh.tones) <= {"main", "dark", "light", "steel"}
    assert not np.array_equal(shapes[0].vertices, shapes[1].vertices)


def test_splits_share_no_instance():
    ids = [set(ids) for ids in INSTANCES.values()]
    assert not ids[0] & ids[1] and not ids[0] & ids[2] and not ids[1] & ids[2]


def drawn_from(recipe, index):
    return json.dumps(render.prepare(recipe, index))


@pytest.mark.parametrize("look", ["plain", "textured"])
def test_an_image_depends_on_its_recipe_and_number_alone(look):
    recipe = Recipe(seed=3, split="test", size=160, look=look)
    assert drawn_from(recipe, 5) == drawn_from(recipe, 5)
    others = [replace(recipe, seed=4), replace(recipe, split="val"), replace(recipe, mode="small")]
    assert drawn_from(recipe, 5) not in [drawn_from(other, 5) for other in others]


def test_scenes_hold_distinct_classes_and_show_at_least_half_of_each_object():
    for look in ("plain", "textured"):
        recipe = Recipe(size=320, look=look)
        for index in range(15):
            scene = sample_scene(recipe, index)
            names = [thing.name for thing in scene.objects]
            assert 1 <= len(names) <= 5
            assert len(set(names)) == len(names)
            assert bool(scene.clutter) == (look == "textured")
            for thing in annotate(scene, recipe)["objects"]:
                assert thing["hidden"] <= 0.5
                assert thing["instance"] in INSTANCES["train"]


def test_areas_are_spread_evenly_over_their_logarithm():
    recipe = Recipe(seed=1, size=160)
    shares = []
    for index in range(60):
        scene = sample_scene(recipe, index)
        shares += [(depth_image(t.pose.mesh, scene.camera) > 0).mean() for t in scene.objects]
    fifths = np.exp(np.linspace(np.log(0.0005), np.log(0.6), 6))
    counts = np.histogram(shares, [1e-4, *fifths[1:5], 0.8])[0] / len(shares)
    assert ((counts > 0.1) & (counts < 0.3)).all()
    assert counts.sum() == pytest.approx(1)


@pytest.mark.parametrize(("mode", "low", "high"), [("small", 0, 0.01), ("large", 0.05, 1)])
def test_modes_bound_what_may_be_asked_for(mode, low, high):
    recipe = Recipe(size=320, mode=mode)
    roles = []
    for index in range(20):
        for thing in annotate(sample_scene(recipe, index), recipe)["objects"]:
            roles.append(thing["role"])
            assert (low < thing["visible_px"] / 320**2 < high) == (roles[-1] == "query")
    assert roles.count("query") > 20
    assert 5 < roles.count("distractor") < roles.count("query")


def test_relations_are_what_the_image_shows():
    camera = Camera(azimuth=0, elevation=30, distance=12, field_of_view=40, size=100)
    # Seen from +x, +y is to the right and -x behind.
    places = [(0.0, 0.0, 0.0), (0.0, 2.0, 0.0), (-3.0, 0.1, 0.0)]
    objects = [Object("mug", 0, "red", "matte", Pose(box(1, 1, 1), p)) for p in places]
    found = relations(objects, camera)
    assert found["right"] == [[1], [], [1]]
    assert found["left"] == [[], [0, 2], []]
    assert found["behind"] == [[2], [2], []]
    assert found["front"] == [[], [], [0, 1]]


def test_the_papers_range_of_areas_can_be_drawn():
    recipe = Recipe(size=240, areas=PAPER_AREAS)
    shares = [
        thing["visible_px"] / 240**2
        for index in range(25)
        for thing in annotate(sample_scene(recipe, index), recipe)["objects"]
    ]
    assert min(shares) < 0.0005
    assert max(shares) > 0.3


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"split": "dev"}, "train, val, test"),
        ({"look": "fancy"}, "plain, textured"),
        ({"mode": "tiny"}, "mix, small, large"),
        ({"areas": (0.5, 0.1)}, "smallest < largest"),
        ({"areas": (0.02, 0.5), "mode": "small"}, "mode small needs"),
        ({"areas": (0.06, 0.5), "mode": "large"}, "mode large needs"),
        ({"areas": (0.3, 0.5)}, "at most 10%"),
        ({"size": 10}, "64 or more"),
    ],
)
def test_recipes_that_cannot_be(part, message):
    with pytest.raises(InputError, match=message):
        Recipe(**part)


def test_sheets_keep_objects_in_their_cells():
    scene = sample_sheet(Recipe("objects", size=384), 0)
    assert len(scene.objects) > 20
    for thing in scene.objects:
        points, _ = scene.camera.project(thing.pose.vertices)
        x0, y0, x1, y1 = thing.cell_px
        assert (points >= [x0 - 2, y0 - 2]).all()
        assert (points <= [x1 + 2, y1 + 2]).all()


def test_the_nearer_of_two_boxes_hides_the_other():
    camera = Camera(azimuth=0, elevation=5, distance=12, field_of_view=40, size=100)
    far, near = box(1, 1, 1).moved(x=-2), box(1, 0.4, 3).moved(x=2)
    seen, alone = object_index([far, near], camera)
    assert (seen == 0).any()
    assert seen[50, 50] == 1
    assert (object_index([near, far], camera)[0] == 0).sum() == (seen == 1).sum()
    assert alone[1] == (seen == 1).sum()
    assert alone[0] > (seen == 0).sum()


def test_projection_and_ground_are_inverse():
    camera = Camera(30, 40, 12, 40, 640)
    point = camera.ground(200.0, 400.0)
    pixel, _ = camera.project(point[None])
    np.testing.assert_allclose(pixel[0], [200, 400])
    assert point[2] == pytest.approx(0)


def test_joined_faces_point_to_their_own_vertices():
    both = join(box(1, 1, 1), box(1, 1, 1).moved(x=5))
    assert len(both.vertices) == 48
    assert min(both.faces[-1]) >= 24


@pytest.fixture
def drawn(monkeypatch):
    """Replace Blender by a function that writes a few bytes, and count its calls."""
    calls = []

    def draw(job, path):
        calls.append(path)
        with open(path, "wb") as file:  # noqa: PTH123
            file.write(b"image")

    monkeypatch.setattr(render, "find_blender", lambda: draw)
    return calls


def test_a_stopped_run_goes_on_and_ends_the_same(tmp_path, drawn):
    render.render_set(tmp_path / "a", SMALL, 5)
    complete = (tmp_path / "a" / "scenes.jsonl").read_text()
    render.render_set(tmp_path / "b", SMALL, 3)
    lines = (tmp_path / "b" / "scenes.jsonl").read_text()
    (tmp_path / "b" / "scenes.jsonl").write_text(lines[:-40])  # killed while it wrote a line
    (tmp_path / "b" / "images" / "000000.jpg").unlink()
    del drawn[:]
    assert render.render_set(tmp_path / "b", SMALL, 5) == 4
    assert (tmp_path / "b" / "scenes.jsonl").read_text() == complete
    assert len(drawn) == 4
    assert not list(tmp_path.rglob("*.new"))
    assert len(load(tmp_path / "b").images) == 5


def test_other_settings_are_refused(tmp_path, drawn):
    render.render_set(tmp_path, SMALL, 1)
    with pytest.raises(InputError, match="seed"):
        render.render_set(tmp_path, replace(SMALL, seed=1), 1)


def test_two_runs_do_not_draw_into_one_folder(tmp_path, drawn):
    with (
        filelock.FileLock(tmp_path / ".lock"),
        pytest.raises(InputError, match="another run is rendering"),
    ):
        render.render_set(tmp_path, SMALL, 1)
    assert not drawn
    assert render.render_set(tmp_path, SMALL, 1) == 1


def test_reading_what_is_damaged(tmp_path, drawn):
    with pytest.raises(InputError, match="finesight render"):
        load(tmp_path)
    render.render_set(tmp_path, SMALL, 2)
    with (tmp_path / "scenes.jsonl").open("a") as file:
        file.write('{"file"')
    with pytest.raises(DataError, match="line 3"):
        load(tmp_path)
    head = json.loads((tmp_path / "dataset.json").read_text())
    (tmp_path / "dataset.json").write_text(json.dumps({**head, "version": 9}))
    with pytest.raises(DataError, match="update"):
        load(tmp_path)

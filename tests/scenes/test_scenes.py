import json

import numpy as np
import pytest

from finesight.datasets.clevr_ds import load
from finesight.errors import DataError, InputError
from finesight.scenes import render
from finesight.scenes.camera import Camera
from finesight.scenes.meshes import box, join
from finesight.scenes.objects import CLASSES, INSTANCES, build
from finesight.scenes.sampling import sample_scene, sample_sheet
from finesight.scenes.visibility import object_index


@pytest.mark.parametrize("name", list(CLASSES))
def test_every_class_builds_and_stands_on_the_ground(name):
    shapes = [build(name, instance) for instance in (0, 50, 99)]
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


def test_an_image_depends_on_seed_split_and_number_alone():
    assert sample_scene(3, "test", 5, 320) == sample_scene(3, "test", 5, 320)
    others = [sample_scene(4, "test", 5, 320), sample_scene(3, "val", 5, 320)]
    assert sample_scene(3, "test", 5, 320) not in others


def test_scenes_hold_distinct_classes_inside_the_frame():
    for index in range(12):
        scene = sample_scene(0, "train", index, 320)
        names = [thing.name for thing in scene.objects]
        assert 1 <= len(names) <= 5
        assert len(set(names)) == len(names)
        for thing in scene.objects:
            points, _ = scene.camera.project(thing.mesh().vertices)
            assert points.min() >= 0
            assert points.max() <= 320
            assert thing.instance in INSTANCES["train"]


def test_areas_spread_over_the_decades():
    shares = []
    for index in range(40):
        scene = sample_scene(1, "train", index, 160)
        seen = object_index([t.mesh() for t in scene.objects], scene.camera)
        shares += [(seen == i).mean() for i in range(len(scene.objects))]
    counts = np.histogram(shares, [0.0002, 0.002, 0.01, 0.05, 0.5])[0] / len(shares)
    assert (counts > 0.1).all()


def test_sheets_keep_objects_in_their_cells():
    scene = sample_sheet(0, "train", 0, 384)
    assert len(scene.objects) > 20
    for thing in scene.objects:
        points, _ = scene.camera.project(thing.mesh().vertices)
        x0, y0, x1, y1 = thing.cell_px
        assert (points >= [x0 - 2, y0 - 2]).all()
        assert (points <= [x1 + 2, y1 + 2]).all()


def test_the_nearer_of_two_boxes_hides_the_other():
    camera = Camera(azimuth=0, elevation=5, distance=12, field_of_view=40, size=100)
    far, near = box(1, 1, 1).moved(x=-2), box(1, 0.4, 3).moved(x=2)
    seen = object_index([far, near], camera)
    assert (seen == 0).any()
    assert seen[50, 50] == 1
    assert (object_index([near, far], camera) == 0).sum() == (seen == 1).sum()


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
    render.render_set(tmp_path / "a", images=5, size=96)
    complete = (tmp_path / "a" / "scenes.jsonl").read_text()
    render.render_set(tmp_path / "b", images=3, size=96)
    lines = (tmp_path / "b" / "scenes.jsonl").read_text()
    (tmp_path / "b" / "scenes.jsonl").write_text(lines[:-40])  # killed while it wrote a line
    (tmp_path / "b" / "images" / "000000.jpg").unlink()
    del drawn[:]
    assert render.render_set(tmp_path / "b", images=5, size=96) == 4
    assert (tmp_path / "b" / "scenes.jsonl").read_text() == complete
    assert len(drawn) == 4
    assert not list(tmp_path.rglob("*.part"))
    assert len(load(tmp_path / "b").images) == 5


def test_other_settings_are_refused(tmp_path, drawn):
    render.render_set(tmp_path, images=1, size=96)
    with pytest.raises(InputError, match="seed"):
        render.render_set(tmp_path, images=1, size=96, seed=1)
    with pytest.raises(InputError, match="train, val, test"):
        render.render_set(tmp_path / "x", images=1, size=96, split="dev")
    assert not (tmp_path / "x").exists()


def test_reading_what_is_damaged(tmp_path, drawn):
    with pytest.raises(InputError, match="finesight render"):
        load(tmp_path)
    render.render_set(tmp_path, images=2, size=96)
    with (tmp_path / "scenes.jsonl").open("a") as file:
        file.write('{"file"')
    with pytest.raises(DataError, match="line 3"):
        load(tmp_path)
    head = json.loads((tmp_path / "dataset.json").read_text())
    (tmp_path / "dataset.json").write_text(json.dumps({**head, "version": 9}))
    with pytest.raises(DataError, match="update"):
        load(tmp_path)


def test_blender_draws_what_is_annotated(tmp_path):
    pytest.importorskip("bpy", reason="rendering needs Blender")
    from PIL import Image

    render.render_set(tmp_path, images=2, size=160, seed=5)
    for image in load(tmp_path).images:
        pixels = np.asarray(Image.open(image.path).convert("RGB"), int)
        ground = np.median(pixels.reshape(-1, 3), axis=0)
        differs = np.abs(pixels - ground).sum(axis=2) > 60
        for thing in image.objects:
            x0, y0, x1, y1 = (round(edge * 160) for edge in thing.box)
            assert differs[y0:y1, x0:x1].sum() > 0.3 * thing.share * 160**2

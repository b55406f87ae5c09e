import json

import numpy as np
import pytest

from finesight.errors import DataError, InputError
from finesight.research.scenes.sampling import Recipe, sample_scene
from finesight.research.scenes.shapenet import PER_CLASS, read_obj, read_shapenet

# A tent of y = 2 over the unit square, in ShapeNet's axes: y is up.
TENT = """# comment
mtllib model.mtl
v 0 0 0
v 1 0 0
v 1 0 1
v 0 0 1
v 0.5 {top} 0.5
v 9 9 9
usemtl red
f 1//1 2//1 3//1 4//1
f 1/1 2/1 5/1
f 2 3 5
f 3 4 -2
f 4 1 5
f 1 1 2
"""


@pytest.fixture
def shapenet(tmp_path):
    """A copy of ShapeNetCore in miniature: three classes, one of them with too few models."""
    taxonomy = [
        {"synsetId": "02958343", "name": "car,auto,automobile", "children": [], "numInstances": 10},
        {"synsetId": "03797390", "name": "mug", "children": [], "numInstances": 10},
        {"synsetId": "02747177", "name": "ashcan,trash can,garbage can", "children": []},
        {"synsetId": "04256520", "name": "sofa,couch", "children": [], "numInstances": 2},
    ]
    (tmp_path / "taxonomy.json").write_text(json.dumps(taxonomy))
    for synset, models in (("02958343", 12), ("03797390", 10), ("02747177", 10), ("04256520", 2)):
        for i in range(models):
            folder = tmp_path / synset / f"model{i:02}" / "models"
            folder.mkdir(parents=True)
            (folder / "model_normalized.obj").write_text(TENT.format(top=1 + i / 10))
    return tmp_path


def test_a_model_stands_upright_with_its_longest_side_one(shapenet):
    mesh = read_obj(shapenet / "03797390" / "model05" / "models" / "model_normalized.obj")
    assert mesh.vertices.shape == (5, 3)  # a vertex without a face is left out
    assert len(mesh.faces) == 5  # and a face that is a line
    assert mesh.vertices[4] == pytest.approx([0, 0, 1])  # the top, 1.5 high, is up
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    assert (high - low) == pytest.approx([1 / 1.5, 1 / 1.5, 1])


def test_classes_with_ten_models_take_the_place_of_ours(shapenet):
    shapes = read_shapenet(shapenet)
    assert shapes.classes == ("car", "mug", "trash can")
    splits = [shapes.instances[split] for split in ("train", "val", "test")]
    assert sorted(i for ids in splits for i in ids) == list(range(PER_CLASS))
    scene = sample_scene(Recipe(split="test", size=96, shapes=shapes), 1)
    assert all(thing.instance in (8, 9) for thing in scene.objects)
    assert all(len(thing.pose.shape.vertices) == 5 for thing in scene.objects)


def test_axes_keep_their_handedness(tmp_path):
    path = tmp_path / "model.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\nf 1 2 4\nf 1 3 4\n")
    x, y, z = (read_obj(path).vertices[i] - read_obj(path).vertices[0] for i in (1, 2, 3))
    assert np.linalg.det([x, y, z]) > 0


@pytest.mark.parametrize("text", ["", "v 0 0 0\nf 1 2 3\n", "v a b c\n", "v 0 0 0\nf x y z\n"])
def test_a_damaged_model_is_one_sentence(tmp_path, text):
    path = tmp_path / "model.obj"
    path.write_text(text)
    with pytest.raises(DataError, match="unpack ShapeNetCore again"):
        read_obj(path)


def test_a_folder_that_is_not_shapenet(tmp_path, shapenet):
    with pytest.raises(InputError, match="name the folder of ShapeNetCore"):
        read_shapenet(tmp_path / "nowhere")
    (tmp_path / "taxonomy.json").write_text("[{}]")
    with pytest.raises(DataError, match="damaged"):
        read_shapenet(tmp_path)
    (tmp_path / "taxonomy.json").write_text("[]")
    with pytest.raises(InputError, match="10 models"):
        read_shapenet(tmp_path)

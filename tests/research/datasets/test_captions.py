import json
import os
from pathlib import Path

import numpy as np
import pytest

from finesight.errors import DataError, InputError
from finesight.research.datasets import eccv
from finesight.research.datasets.captions import find_images, read_captions
from finesight.research.datasets.precomputed import load as load_precomputed


def picture(name, split, sentences, number=None):
    """An entry of Karpathy's files, as they are published."""
    entry = {"sentids": [], "imgid": 0, "split": split, "filename": name, "sentences": []}
    for i, raw in enumerate(sentences):
        sentence = {"tokens": raw.lower().split(), "raw": raw, "imgid": 0, "sentid": i}
        if number is not None:
            sentence["sentid"] = 10 * number + i
        entry["sentences"].append(sentence)
    if number is not None:
        entry |= {"filepath": "val2014", "cocoid": number}
    return entry


def write(path, content):
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def coco(tmp_path):
    pictures = [
        picture("a.jpg", "train", ["A cat .", "Two cats."], 1),
        picture("b.jpg", "restval", [" A dog.\n"], 2),
        picture("c.jpg", "test", [f"Sentence {i}" for i in range(7)], 3),
        picture("d.jpg", "test", [f"Caption {i}" for i in range(5)], 4),
    ]
    return write(tmp_path / "dataset_coco.json", {"images": pictures, "dataset": "coco"})


def test_karpathy_splits_and_restval(coco):
    train = read_captions(coco, "train")
    assert train.images == ("val2014/a.jpg", "val2014/b.jpg")
    assert train.captions == ("A cat .", "Two cats.", "A dog.")
    assert train.owner.tolist() == [0, 0, 1]
    assert read_captions(coco, "train", restval=False).images == ("val2014/a.jpg",)
    assert read_captions(coco, "restval").captions == ("A dog.",)


def test_the_protocol_takes_the_first_five_captions(coco):
    test = read_captions(coco)
    assert test.owner.tolist() == [0] * 5 + [1] * 5
    assert (test.image_ids, test.caption_ids[:5]) == ((3, 4), (30, 31, 32, 33, 34))
    assert len(read_captions(coco, per_image=None).captions) == 12


def test_a_wrong_split_names_those_that_are_there(coco):
    with pytest.raises(InputError, match=r"no split 'testall': it has restval \(1 images\), test"):
        read_captions(coco, "testall")


def test_flickr30k_has_no_folders_and_no_ids(tmp_path):
    path = write(tmp_path / "dataset_flickr30k.json", {"images": [picture("1.jpg", "val", ["A"])]})
    found = read_captions(path, "val")
    assert (found.images, found.image_ids) == (("1.jpg",), ())


def test_evaluation_lists(tmp_path):
    content = [
        {"image": "flickr30k-images/1.jpg", "caption": ["A cat.", "Cats."]},
        {"image": "flickr30k-images/2.jpg", "caption": "A dog."},
        {"image": "flickr30k-images/1.jpg", "caption": "One more cat.", "image_id": "1"},
    ]
    found = read_captions(write(tmp_path / "flickr30k_test.json", content))
    assert found.images == ("flickr30k-images/1.jpg", "flickr30k-images/2.jpg")
    assert found.owner.tolist() == [0, 0, 1, 0]
    with pytest.raises(InputError, match="has no splits, so it has no 'val'"):
        read_captions(tmp_path / "flickr30k_test.json", "val")
    write(tmp_path / "flickr30k_test.json", [*content, {"img": "x"}])
    with pytest.raises(DataError, match=r"flickr30k_test\.json, entry 4 is not an image"):
        read_captions(tmp_path / "flickr30k_test.json")


# From the published files (names and captions abridged).
FINE = {
    "1007129816": ["the man with pierced ears is wearing an orange hat on his head"] * 5,
    "COCO_val2014_000000452113": ["a group of people posing with cupcakes"] * 5,
}


@pytest.mark.parametrize("ending", [".npy", ".txt"])
def test_fine_grained_captions_in_a_larger_pool(tmp_path, ending):
    path = write(tmp_path / "FG_ann.json", FINE)
    assert read_captions(path).images == ("1007129816.jpg", "COCO_val2014_000000452113.jpg")
    pool = tmp_path / f"filenames{ending}"
    names = ["000000000008.jpg", "COCO_val2014_000000452113.jpg", "1007129816.jpg"]
    np.save(pool, names) if ending == ".npy" else pool.write_text("\n".join(names) + "\n")
    found = read_captions(path, pool=pool)
    assert found.images == tuple(names)
    assert found.owner.tolist() == [2] * 5 + [1] * 5


def test_a_pool_of_another_set_is_refused(tmp_path):
    path, pool = write(tmp_path / "FG_ann.json", FINE), tmp_path / "pool.npy"
    np.save(pool, ["1007129816.jpg"])
    with pytest.raises(DataError, match=r"1 of the 2 images .* not in the pool .*COCO_val2014"):
        read_captions(path, pool=pool)
    np.save(pool, np.array(["1007129816.jpg", None], object))
    with pytest.raises(DataError, match="pickled objects"):
        read_captions(path, pool=pool)


@pytest.mark.parametrize("content", ["3", '{"a": 1}', "[1]", "[]", "{}", '{"images": []}', "{"])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "strange.json"
    path.write_text(content)
    with pytest.raises((DataError, InputError), match="strange"):
        read_captions(path)
    with pytest.raises(InputError, match="does not exist"):
        read_captions(tmp_path / "none.json")


@pytest.fixture
def scan(tmp_path):
    """Three images with five captions each, as SCAN's f30k_precomp."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "test_ims.npy", rng.random((3, 36, 16), np.float32))
    lines = [f"caption {i} of image {j}" for j in range(3) for i in range(5)]
    (tmp_path / "test_caps.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "test_ids.txt").write_text("17\n18\n19\n")
    (tmp_path / "dev_caps.txt").write_text("x\n")
    return tmp_path


def test_precomputed_features_belong_to_their_captions(scan):
    captions, features = load_precomputed(scan)
    assert features.shape == (3, 36, 16)
    assert isinstance(features, np.memmap)
    assert captions.images == ("17", "18", "19")
    assert captions.captions[7] == "caption 2 of image 1"
    assert captions.owner.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert read_captions(scan, "test").captions == captions.captions


def test_features_that_are_repeated_for_each_caption(scan):
    once = np.load(scan / "test_ims.npy")
    np.save(scan / "test_ims.npy", np.repeat(once, 5, axis=0))
    (scan / "test_ids.txt").write_text("".join(f"{i}\n" * 5 for i in (17, 18, 19)))
    captions, features = load_precomputed(scan)
    assert np.array_equal(features, once)
    assert captions.images == ("17", "18", "19")
    np.save(scan / "test_ims.npy", np.tile(once, (5, 1, 1)))
    with pytest.raises(DataError, match="those of image 0 differ"):
        load_precomputed(scan)


def test_what_does_not_fit_is_said(scan):
    with pytest.raises(InputError, match=r"no split 'testall' .*: it has dev, test"):
        load_precomputed(scan, "testall")
    with pytest.raises(DataError, match="has 1 captions, which is not 5 for every image"):
        load_precomputed(scan, "dev")
    (scan / "test_ids.txt").write_text("17\n18\n")
    with pytest.raises(DataError, match=r"test_ids\.txt has 2 ids, but .* captions of 3 images"):
        load_precomputed(scan)
    (scan / "test_ids.txt").unlink()
    assert load_precomputed(scan)[0].images == ("0", "1", "2")
    np.save(scan / "test_ims.npy", np.zeros((4, 36, 16), np.float32))
    with pytest.raises(DataError, match=r"features of 4 images, but .* 15 captions, 5 for each"):
        load_precomputed(scan)
    np.save(scan / "test_ims.npy", np.zeros((3, 16), np.float32))
    with pytest.raises(DataError, match=r"shape \(3, 16\)"):
        load_precomputed(scan)
    data = (scan / "test_ims.npy").read_bytes()
    (scan / "test_ims.npy").write_bytes(data[:-9])
    with pytest.raises(DataError, match="damaged or cut off"):
        load_precomputed(scan)
    (scan / "test_ims.npy").unlink()
    with pytest.raises(InputError, match="are not beside"):
        load_precomputed(scan)


def judgements(folder, image="3", more=()):
    write(folder / "eccv_image_to_caption.json", {image: [30, 31, 40]})
    write(folder / "eccv_caption_to_image.json", {"40": [4, 3], "41": [4, *more]})


def test_eccv_says_what_else_is_true(coco, tmp_path):
    judgements(tmp_path)
    found = eccv.load(tmp_path, read_captions(coco))
    assert found.images.tolist() == [0]
    assert np.flatnonzero(found.i2t[0]).tolist() == [0, 1, 5]
    assert found.texts.tolist() == [5, 6]
    assert found.t2i.tolist() == [[True, True], [False, True]]


def test_judgements_of_another_split_are_refused(coco, tmp_path):
    judgements(tmp_path, image="1")
    with pytest.raises(InputError, match=r"1 ids of .*image_to_caption.*the first is 1"):
        eccv.load(tmp_path, read_captions(coco))
    judgements(tmp_path, more=[2])
    with pytest.raises(InputError, match=r"caption_to_image.*the first is 2"):
        eccv.load(tmp_path, read_captions(coco))
    path = write(tmp_path / "list.json", [{"image": "1.jpg", "caption": ["A"]}])
    with pytest.raises(InputError, match=r"has no COCO ids.*dataset_coco\.json"):
        eccv.load(tmp_path, read_captions(path))


def test_the_image_files_are_found(coco, tmp_path):
    for folder, name in (("val2014", "c.jpg"), (".", "d.jpg")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).touch()
    captions = read_captions(coco)
    assert find_images(captions, tmp_path) == [tmp_path / "val2014/c.jpg", tmp_path / "d.jpg"]
    (tmp_path / "d.jpg").unlink()
    with pytest.raises(InputError, match=r"1 of the 2 images .* val2014/d\.jpg\): .*--images"):
        find_images(captions, tmp_path)


REAL = Path(os.environ.get("FINESIGHT_PUBLISHED_DATA", "none"))


@pytest.mark.skipif(not REAL.is_dir(), reason="$FINESIGHT_PUBLISHED_DATA names no folder of them")
def test_the_published_files():
    fine = read_captions(REAL / "flickr30k_fg/Flickr30K_FG_ann.json")
    plain = read_captions(REAL / "flickr30k_cfq/flickr30k_test_captions.json")
    assert (len(fine.images), len(fine.captions)) == (1000, 5000)
    assert set(fine.images) == set(plain.images)
    assert len(plain.captions) == 5000

import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from conftest import COLORS, spotted  # noqa: E402

from finesight.cli.app import app  # noqa: E402
from finesight.collection import Collection  # noqa: E402
from finesight.errors import InputError  # noqa: E402
from finesight.research.datasets.records import CaptionSet  # noqa: E402
from finesight.research.networks.matcher import MatcherSettings  # noqa: E402
from finesight.research.networks.region_fusion import RegionFusionSettings  # noqa: E402
from finesight.research.training.extraction import write_features  # noqa: E402
from finesight.research.training.matcher.loop import (  # noqa: E402  # noqa: E402
    ADAPT,
    PROBE,
    RECIPES,
    SCAN,
    contrastive,
    free_pairs,
    hardest_share,
    triplet,
)
from finesight.research.training.matcher.pairs import ArrayRegions, CaptionPairs, pair_up  # noqa: E402
from finesight.research.training.matcher.region_fusion import train_region_fusion  # noqa: E402
from finesight.research.training.matcher.training import train_matcher  # noqa: E402
from finesight.research.training.run import Run  # noqa: E402
from finesight.research.training.vocabulary import build_tokenizer, words_of  # noqa: E402

WIDTH, THINGS = 12, ("mug", "car", "lamp", "chair", "clock", "shoe")


class Toys(ArrayRegions):
    """The first region is the whole image."""

    def wholes(self, indices):
        return self.features[list(indices), 0]


def toy_pairs(images, seed):
    """Images with two things each among noise; one caption names both, one the first."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(WIDTH, WIDTH)))[0][: len(THINGS)]
    features, captions = [], []
    for _ in range(images):
        two = rng.choice(len(THINGS), 2, replace=False)
        rows = 0.1 * rng.normal(size=(5, WIDTH))
        rows[1 + rng.choice(4, 2, replace=False)] += basis[two]
        features.append(rows)
        captions += [f"a {THINGS[two[0]]} and a {THINGS[two[1]]}", f"a {THINGS[two[0]]}"]
    regions = Toys(np.array(features, np.float32))
    return CaptionPairs(regions, tuple(captions), np.repeat(np.arange(images), 2))


def settings_of(kind, pairs):
    tokenizer = build_tokenizer(words_of(pairs.captions), 16)
    sizes = {"hidden": 32, "word_width": 16, "similarity": 16}
    return MatcherSettings(kind, WIDTH, tokenizer.get_vocab_size(), **sizes), tokenizer


def quick(kind, epochs=12):
    recipe = replace(RECIPES[kind], epochs=epochs, batch=16, rate=5e-3, drop_after=0.9)
    return replace(recipe, warm_up=min(recipe.warm_up, 20))


def test_losses_by_hand():
    scores = torch.tensor([[0.5, 0.4, 0.9], [0.1, 0.6, 0.0], [0.3, 0.2, 0.8]])
    free = ~torch.eye(3, dtype=torch.bool)
    # Image 0: .2 - .5 + (.4, .9) = .1, .6; text 0: .2 - .5 + (.1, .3) = 0, 0; and so on.
    rows, columns = (0.1 + 0.6, 0.0, 0.0), (0.0, 0.2 - 0.6 + 0.4, 0.2 - 0.8 + 0.9)
    assert float(triplet(scores, free, 0.0)) == pytest.approx((sum(rows) + sum(columns)) / 3)
    assert float(triplet(scores, free, 1.0)) == pytest.approx((0.6 + 0.3) / 3)
    half = (0.7 + 0.6 + 0.3 + 0.3) / 2 / 3
    assert float(triplet(scores, free, 0.5)) == pytest.approx(half)
    free[0, 2] = free[2, 0] = False
    assert float(triplet(scores, free, 1.0)) == pytest.approx(0.1 / 3)
    assert [round(hardest_share(i), 3) for i in (0, 1, 100)] == [0.0, 0.009, 0.595]


def test_pairs_of_one_image_or_one_wording_are_no_negatives():
    free = free_pairs(torch.tensor([0, 0, 1]), torch.tensor([5, 6, 6]))
    assert free.tolist() == [[False, False, True], [False, False, False], [True, False, False]]
    scores = torch.tensor([[2.0, 9.0], [9.0, 2.0]])
    all_true = contrastive(scores, torch.zeros(2, 2, dtype=torch.bool))
    assert float(all_true) == pytest.approx(0, abs=1e-6)
    wrong = contrastive(scores, ~torch.eye(2, dtype=torch.bool))
    assert float(wrong) == pytest.approx(7 + np.log1p(np.exp(-7)), abs=1e-4)


def test_the_rate_warms_up_and_drops():
    assert ADAPT.rate_at(0, 9000) == pytest.approx(0.5e-3)
    assert ADAPT.rate_at(2000, 9000) == pytest.approx(1.25e-3)
    assert ADAPT.rate_at(4000, 9000) == pytest.approx(2e-3)
    assert ADAPT.rate_at(8000, 9000) == pytest.approx(0.5e-3)
    assert SCAN.rate_at(0, 10) == 2e-4 and SCAN.rate_at(5, 10) == pytest.approx(2e-5)


@pytest.mark.parametrize("kind", ["scan-t2i", "scan-i2t", "adapt-t2i", "adapt-i2t", "sgr", "saf"])
def test_every_kind_learns_to_read(kind):
    training, held = toy_pairs(100, 1), toy_pairs(20, 2)
    settings, tokenizer = settings_of(kind, training)
    steps = []
    _, score = train_matcher(settings, training, held, tokenizer, quick, Run(report=steps.append))
    assert score == max(step.score for step in steps)
    assert score > steps[0].score + 40


def test_an_interrupted_ensemble_ends_where_an_unbroken_one_does(tmp_path):
    training, held = toy_pairs(20, 1), toy_pairs(10, 2)
    settings, tokenizer = settings_of("adapt", training)

    def run(**options):
        return train_matcher(
            settings, training, held, tokenizer, lambda kind: quick(kind, 3), Run(**options)
        )

    unbroken, score = run()

    def stop(step):
        if step.part == "adapt-i2t" and step.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(checkpoint=tmp_path / "kept", report=stop)
    resumed, again = run(checkpoint=tmp_path / "kept")
    assert again == score
    for name, value in unbroken.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


@pytest.mark.parametrize("loss", ["contrastive", "hardest"])
def test_region_fusion_sees_what_the_linear_probe_cannot(loss):
    """Things stand in regions alone: the whole image is noise."""
    training, held = toy_pairs(120, 1), toy_pairs(20, 2)
    known = {word: row for row, word in enumerate(words_of(training.captions))}

    def encode(texts):
        rows = np.zeros((len(texts), WIDTH), np.float32)
        for row, text in zip(rows, texts, strict=True):
            row[[known[word] for word in text.split()]] = 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    scores = {}
    for kind in ("region-fusion", "linear-probe"):
        settings = RegionFusionSettings(kind, WIDTH, feed_forward=32, dropout=0.0, heads=2)
        recipe = replace(PROBE, batch=32, rate=1e-2, loss=loss)
        _, scores[kind] = train_region_fusion(settings, training, held, encode, recipe)
    assert scores["region-fusion"] > scores["linear-probe"] + 40


def test_regions_of_another_space_are_fused_into_the_whole_image():
    """The whole image is a vector of 6, its regions are of 12; texts are of the former's space."""
    training = toy_pairs(40, 1)
    wholes = np.random.default_rng(3).normal(size=(40, 6)).astype(np.float32)

    class Both(ArrayRegions):
        def wholes(self, indices):
            return wholes[list(indices)]

    pairs = replace(training, regions=Both(training.regions.features))
    settings = RegionFusionSettings("region-fusion", 6, feed_forward=8, heads=2, region_width=WIDTH)
    recipe = replace(PROBE, epochs=4, batch=16, rate=1e-2)
    losses = []
    train_region_fusion(
        settings,
        pairs,
        pairs,
        lambda texts: np.stack([np.eye(6, dtype=np.float32)[len(t) % 6] for t in texts]),
        recipe,
        Run(report=lambda step: losses.append(step.loss)),
    )
    assert losses[-1] < losses[0]


def test_captions_find_the_features_of_their_images(tmp_path, color_model):
    from finesight.research.datasets.records import LabelledImage

    images = []
    for name in ("a/1.png", "b/1.png", "b/2.png"):
        images.append(LabelledImage(spotted(tmp_path / "set" / name, "red"), 200, 160, ()))
    cache = write_features(images, color_model, "cc2", tmp_path / "features")
    texts, owner = ("one", "two", "three"), np.arange(3)
    captions = CaptionSet("mine", ("2.png", "b/1.png", "a/1.png"), texts, owner)
    pairs = pair_up(captions, cache, tmp_path)
    assert [int(np.abs(pairs.images([i])[0][0].numpy() - cache[j].embeddings).max() * 1e6)
            for i, j in ((0, 2), (1, 1), (2, 0))] == [0, 0, 0]  # fmt: skip
    unknown = CaptionSet("mine", ("2.png", "1.png"), texts[:2], owner[:2])
    with pytest.raises(InputError, match=r"1 of the 2 images of mine .*first is 1\.png"):
        pair_up(unknown, cache, tmp_path)


def write_photos(folder, count, first):
    content = []
    for number in range(first, first + count):
        color = list(COLORS)[number % 3]
        spotted(folder / f"{number}.png", color, spot=10 + number % 24)
        content.append({"image": f"{number}.png", "caption": [f"a {color} square", f"{color}"]})
    folder.with_suffix(".json").write_text(json.dumps(content))


def run(capsys, *arguments):
    try:
        app([str(each) for each in arguments])
    except SystemExit as end:
        assert not end.code, capsys.readouterr().err
    return capsys.readouterr().out


def test_the_command_trains_and_search_reranks(tmp_path, capsys):
    for name, count, first in (("train", 18, 0), ("val", 6, 18)):
        write_photos(tmp_path / name, count, first)
        run(capsys, "features", tmp_path / name, "--model", "mini", "--regions", "cc2",
            "--out", tmp_path / f"{name}-features")  # fmt: skip
    sources = (
        "--captions", tmp_path / "train.json", "--features", tmp_path / "train-features",
        "--validation-captions", tmp_path / "val.json", "--validation", tmp_path / "val-features",
        "--epochs", 2, "--batch", 8, "--json",
    )  # fmt: skip
    reader, fused = tmp_path / "reader", tmp_path / "fused"
    told = run(capsys, "train", "matcher", *sources, "--model", "mini", "--out", reader,
               "--kind", "scan", "--name", "mine", "--hidden", 16)  # fmt: skip
    assert json.loads(told)["onnx_apart"] < 1e-3
    assert not list(tmp_path.glob("*.checkpoint*"))
    told = run(capsys, "train", "matcher", *sources, "--model", reader, "--out", fused,
               "--kind", "region-fusion")  # fmt: skip
    assert json.loads(told)["onnx_cosine"] > 0.9999
    home = tmp_path / "collection"
    run(capsys, "index", tmp_path / "train", "--model", fused, "--collection", home,
        "--regions", "cc2")  # fmt: skip
    collection = Collection.open(home)
    plain = collection.search("a red square", 18)
    hits = collection.search("a red square", 18, rerank="mine")
    assert {hit.path for hit in hits} == {hit.path for hit in plain}
    model = collection.model
    regions = {row["path"]: np.array(row["regions"], np.float32) for row in
               collection.read(["path", "regions"]).read_all().to_pylist()}  # fmt: skip
    for hit in hits[:3]:
        expected = model.matcher("mine").scores([regions[str(hit.path)]], ["a red square"])
        assert hit.score == pytest.approx(float(expected[0, 0]), abs=1e-5)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    page = collection.search("a red square", 4, offset=3, rerank="mine", rerank_top=5)
    assert [hit.rank for hit in page] == [4, 5, 6, 7]
    grouped = collection.search("a red square", 3, group=True, rerank="mine")
    assert grouped[0].path == hits[0].path
    by_fused = collection.search("a red square", 18, "fused")
    vector = model.text_head(model.encoder.encode_texts(["a red square"]))[0]
    own = {row["path"]: np.array(row["fused"], np.float32)[0] for row in
           collection.read(["path", "fused"]).read_all().to_pylist()}  # fmt: skip
    best = max(own, key=lambda path: float(own[path] @ vector))
    assert str(by_fused[0].path) == best
    assert by_fused[0].score == pytest.approx(float(own[best] @ vector), abs=2e-3)
    image = collection.search(tmp_path / "train" / "0.png", 18, "fused")
    assert image[0].score == pytest.approx(1, abs=0.1) or len(image) == 18
    with pytest.raises(InputError, match="one text"):
        collection.search(tmp_path / "train" / "0.png", 3, rerank="mine")
    with pytest.raises(InputError, match="no matcher 'adapt'"):
        collection.search("a red square", rerank="adapt")
    with pytest.raises(InputError, match="leave --model out"):
        Collection.open(home, "mini").search("a red square", 3, "fused")
    out = run(capsys, "search", "a red square", "--collection", home, "--rerank", "mine", "-k", 2)
    assert len(out.splitlines()) == 2
    other = tmp_path / "looked-otherwise"
    run(capsys, "index", tmp_path / "val", "--model", fused, "--collection", other,
        "--regions", "grid2")  # fmt: skip
    with pytest.warns(UserWarning, match="trained on regions of cc2"):
        Collection.open(other).search("a red square", 3, rerank="mine")


def test_precomputed_features_need_no_model(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for split in ("train", "dev"):
        np.save(tmp_path / f"{split}_ims.npy", rng.normal(size=(6, 4, 20)).astype(np.float32))
        lines = [f"caption {i} of image {i // 5}\n" for i in range(30)]
        (tmp_path / f"{split}_caps.txt").write_text("".join(lines))
        (tmp_path / f"{split}_ids.txt").write_text("".join(f"{i // 5}\n" for i in range(30)))
    out = tmp_path / "alone"
    told = run(capsys, "train", "matcher", "--captions", tmp_path,
               "--validation-captions", tmp_path, "--validation-split", "dev",
               "--kind", "adapt-t2i", "--hidden", 16, "--epochs", 1, "--out", out,
               "--json")  # fmt: skip
    assert json.loads(told)["onnx_apart"] < 1e-3
    assert sorted(path.name for path in out.iterdir()) == [
        "matcher.json", "matcher.onnx", "tokenizer.json", "words.onnx",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--kind", "blip"], "unknown kind 'blip'"),
        (["--kind", "scan"], "captions alone"),
        (["--kind", "scan", "--model", "mini"], "captions alone"),
    ],
)
def test_wrong_arguments_are_told(tmp_path, arguments, message):
    write_photos(tmp_path / "train", 2, 0)
    with pytest.raises(InputError, match=message):
        app(
            ["train", "matcher", "--captions", str(tmp_path / "train.json"),
             "--validation-captions", str(tmp_path / "train.json"), "--out", str(tmp_path / "x"),
             *arguments],
            standalone_mode=False,
        )  # fmt: skip

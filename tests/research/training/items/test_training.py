"""Item training on a toy world: flat shapes in colours, a shop photo and user photos of each."""

import json
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner

torch = pytest.importorskip("torch")

from finesight.cli.train import app  # noqa: E402
from finesight.errors import DataError, InputError  # noqa: E402
from finesight.models import BUNDLED, load_model  # noqa: E402
from finesight.research.datasets import clevr_ds, read_items  # noqa: E402
from finesight.research.datasets.records import CaptionSet  # noqa: E402
from finesight.research.evaluation.items import item_metrics  # noqa: E402
from finesight.research.training.export import put_part  # noqa: E402
from finesight.research.training.items.examples import (  # noqa: E402  # noqa: E402
    CAPTIONS,
    LOSSES,
    OF_PAIRS,
    ItemRecipe,
    Learned,
    described,
    examples,
    from_captions,
)
from finesight.research.training.items.export import items_part, write_tuned_bundle  # noqa: E402
from finesight.research.training.items.start import (  # noqa: E402
    begin_network,
    begin_tower,
    caption_tokenizer,
)
from finesight.research.training.items.towers import FrozenTower, TunedTower  # noqa: E402
from finesight.research.training.items.training import train_items  # noqa: E402
from finesight.research.training.items.views import ViewSampler, box_crops, keep_parts  # noqa: E402
from finesight.research.training.run import Run  # noqa: E402

SIDE = 96
COLORS = {"red": (200, 30, 30), "green": (30, 170, 40), "blue": (40, 60, 210)}
SHAPES = ("mug", "car")


def draw_items(folder, seed, users=2):
    """Write a set of items as `finesight render identities` does."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    (folder / "annos").mkdir()
    lines = []
    pairs = [(shape, color) for shape in SHAPES for color in COLORS]
    for pair, (shape, color) in enumerate(pairs, 1):
        for number in range(1 + users):
            index = len(lines)
            shop = number == 0
            ground = (235, 235, 235) if shop else tuple(int(x) for x in rng.integers(60, 200, 3))
            image = Image.new("RGB", (SIDE, SIDE), ground)
            size = 70 if shop else int(rng.integers(16, 48))
            left, top = (13, 13) if shop else (int(x) for x in rng.integers(0, SIDE - size, 2))
            box = [left, top, left + size, top + size]
            pen = ImageDraw.Draw(image)
            (pen.ellipse if shape == "mug" else pen.rectangle)(box, fill=COLORS[color])
            image.save(folder / "images" / f"{index:06d}.png")
            thing = {"class": shape, "instance": 70, "color": color, "material": "matte"}
            thing |= {"box_px": box, "visible_px": size * size, "hidden": 0.0}
            thing |= {"size": "large", "role": "query"}
            item = {"style": 1, "category_id": 1, "category_name": shape, "bounding_box": box}
            item |= {"scale": 1 + (size > 30), "occlusion": 1, "zoom_in": 1, "viewpoint": 2}
            source = "shop" if shop else "user"
            annotation = {"source": source, "pair_id": pair, "item1": item}
            (folder / "annos" / f"{index:06d}.json").write_text(json.dumps(annotation))
            lines.append(
                {"file": f"images/{index:06d}.png", "index": index, "width": SIDE, "height": SIDE}
                | {"objects": [thing]}
            )
    (folder / "scenes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    head = {"format": "finesight-scenes", "version": 2, "kind": "identities", "seed": seed}
    head |= {"classes": list(SHAPES), "colors": list(COLORS), "never_named": []}
    (folder / "dataset.json").write_text(json.dumps(head))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return draw_items(tmp_path_factory.mktemp("items") / "set", 1)


@pytest.fixture(scope="module")
def items(folder):
    return read_items(folder)


@pytest.fixture(scope="module")
def mini():
    return load_model("mini")


@pytest.fixture(scope="module")
def found(items):
    return examples(items, CAPTIONS["detailed"])


def held(items, model):
    users, shops = items.views("user"), items.views("shop")
    crops = box_crops([*users, *shops], model.encoder.preprocessing)
    asked, sold = [v.identity for v in users], [v.identity for v in shops]

    def score(z):
        return item_metrics(z[: len(users)] @ z[len(users) :].T, asked, sold)["mAP"]

    return crops, score


def train(found, items, model, recipe, tuned=False, rounds=2, **more):
    tokenizer = caption_tokenizer(model.directory, [str(each.caption) for each in found])
    network = begin_network(model.encoder, model.directory, tokenizer, recipe.seed)
    sampler = ViewSampler(keep_parts(found), 64, 0)
    if tuned:
        tower = TunedTower(begin_tower(model.directory), sampler)
    else:
        tower = FrozenTower(model.encoder, sampler, rounds, recipe.needs(OF_PAIRS))
    learned = Learned.of(found, tokenizer)
    score = train_items(network, tower, learned, held(items, model), recipe, Run(**more))
    return network, tower, tokenizer, score


def test_what_is_said_of_an_item(items, found):
    user = items.views("user")[0]
    assert CAPTIONS["detailed"](user) == "an image of a matte red mug"
    assert CAPTIONS["category"](user) == "an image of a mug"
    assert CAPTIONS["template"](user).startswith("An image of a mug with viewpoint frontal")
    unknown = replace(user, thing=replace(user.thing, identity="7-1"))
    with pytest.raises(InputError, match="does not say what colour"):
        CAPTIONS["detailed"](unknown)


def test_objects_of_scenes_teach_words_alone(folder, found):
    known = {(each.photo.path, each.box, each.caption) for each in found}
    untold = described(clevr_ds.load(folder))
    assert {(each.photo.path, each.box, each.caption) for each in untold} == known
    assert {each.identity for each in untold} == {None}


def test_captions_of_a_file_are_said_of_their_photos(items):
    first, second = items.photos[:2]
    names = (items.relative(first), items.relative(second))
    captions = CaptionSet("talk", names, ("a cup", "a cup in the sand"), np.array([0, 1]))
    say = from_captions(captions, items)
    views = {view.photo.path: view for view in [*items.views("shop"), *items.views("user")]}
    assert say(views[second.path]) == "a cup in the sand"
    assert say(views[items.photos[2].path]) is None
    other = CaptionSet("talk", ("elsewhere.jpg",), ("a cup",), np.array([0]))
    with pytest.raises(InputError, match="captions none of the photos"):
        from_captions(other, items)


def test_views_are_the_same_whenever_they_are_asked_for(found):
    sampler = ViewSampler(keep_parts(found), 32, 5)
    one = sampler.views([3, 4, 5], 7)
    two = sampler.views([5, 3], 7)
    assert (one.pixels[2] == two.pixels[0]).all() and (one.boxes[0] == two.boxes[1]).all()
    assert (sampler.views([3], 8).pixels[0] != one.pixels[0]).any()
    many = sampler.views(range(len(found)), 1)
    assert many.boxes.min() >= 0 and many.boxes.max() <= 1
    assert (many.boxes[:, 2:] > many.boxes[:, :2]).all()
    assert 0 < many.loose.sum() < len(found)


def test_a_photo_that_its_annotation_contradicts_is_named(found):
    wrong = replace(found[0], photo=replace(found[0].photo, width=SIDE + 1))
    with pytest.raises(DataError, match="96 × 96 pixels and its annotation says 97 × 96"):
        keep_parts([wrong])


@pytest.mark.parametrize("names", [[name] for name in LOSSES] + [list(LOSSES)])
def test_any_losses_train(names, found, items, mini):
    reports = []
    recipe = ItemRecipe(dict.fromkeys(names, 1.0), steps=4, batch=8, validate_every=2)
    train(found, items, mini, recipe, report=reports.append)
    assert [each.done for each in reports if each.scores] == [0, 2, 4]
    assert set(reports[-1].losses) == set(names)
    assert all(np.isfinite(value) for value in reports[-1].losses.values())


def test_unknown_losses_and_none_are_refused():
    with pytest.raises(InputError, match="unknown losses triplet"):
        ItemRecipe({"triplet": 1.0})
    with pytest.raises(InputError, match="unknown losses"):
        ItemRecipe({})


def test_training_learns_and_the_best_validation_is_kept(found, items, mini):
    recipe = ItemRecipe(steps=60, batch=18, validate_every=10, seed=1)
    reports = []
    network, tower, _, score = train(found, items, mini, recipe, report=reports.append)
    reports = [each for each in reports if each.scores]
    assert score == max(each.score for each in reports)
    assert reports[-1].losses["arcface"] < reports[1].losses["arcface"]
    crops, scored = held(items, mini)
    with torch.inference_mode():
        again = scored(network.head(tower.regions(crops)).numpy())
    assert again == pytest.approx(score)


def test_an_interrupted_run_goes_on_as_if_it_had_not_been(found, items, mini, tmp_path):
    recipe = ItemRecipe(steps=8, batch=12, validate_every=4, patience=9)
    whole = train(found, items, mini, recipe)[0]

    class Stop(Exception):
        pass

    def stop(progress):
        if progress.done == 4:
            raise Stop

    kept = tmp_path / "run"
    with pytest.raises(Stop):
        train(found, items, mini, recipe, checkpoint=kept, report=stop)
    resumed = train(found, items, mini, recipe, checkpoint=kept)[0]
    for name, value in whole.state_dict().items():
        assert torch.allclose(value, resumed.state_dict()[name]), name
    with pytest.raises(InputError, match="other settings"):
        train(found, items, mini, replace(recipe, rate=0.5), checkpoint=kept)


@pytest.mark.parametrize("helps", [True, False])
def test_what_is_said_stays_where_it_validates_better(helps, found, items, mini, tmp_path):
    recipe = ItemRecipe({"itc": 1.0}, steps=2, batch=12, validate_every=2)
    tokenizer = caption_tokenizer(BUNDLED["mini"], [each.caption for each in found])
    network = begin_network(mini.encoder, BUNDLED["mini"], tokenizer, 0)
    tower = FrozenTower(mini.encoder, ViewSampler(keep_parts(found), 64, 0), 1, False)

    def score(embeddings):
        return float((embeddings.shape[1] > 128) == helps)

    validation = (held(items, mini)[0], score)
    learned = Learned.of(found, tokenizer)
    assert train_items(network, tower, learned, validation, recipe) == 1.0
    said = {each.caption for each in found}
    assert network.head.width == 128 + (len(said) if helps else 0)
    out = tmp_path / "model"
    assert put_part(BUNDLED["mini"], out, {}, partial(items_part, network.head)) > 0.9999
    manifest = json.loads((out / "finesight.json").read_text())
    embeddings = mini.encoder.encode_images(validation[0][:3])
    items_ = load_model(str(out)).item_head(embeddings)
    assert items_.shape == (3, network.head.width) == (3, manifest["items"]["width"])
    with torch.inference_mode():
        ours = network.head(torch.from_numpy(embeddings)).numpy()
    np.testing.assert_allclose(items_, ours, atol=1e-4)


def test_a_frozen_head_goes_into_a_copy_of_the_bundle(found, items, mini, tmp_path):
    recipe = ItemRecipe(steps=6, batch=12, validate_every=3)
    network, *_ = train(found, items, mini, recipe)
    torch.nn.init.normal_(network.head.second.weight, std=0.1)
    out = tmp_path / "model"
    put_part(BUNDLED["mini"], out, {"how": "in a test"}, partial(items_part, network.head))
    model = load_model(str(out))
    assert model.fingerprint == mini.fingerprint
    regions = model.encoder.encode_images(held(items, mini)[0])
    with torch.inference_mode():
        ours = network.head(torch.from_numpy(regions)).numpy()
    np.testing.assert_allclose(model.item_head(regions), ours, atol=1e-5)
    with pytest.raises(InputError, match="is there already"):
        put_part(BUNDLED["mini"], out, {}, partial(items_part, network.head))


def test_a_learning_tower_becomes_a_bundle_of_its_own(found, items, mini, tmp_path):
    losses = dict.fromkeys(LOSSES, 1.0)
    recipe = ItemRecipe(losses, steps=3, batch=8, validate_every=3, patience=9)
    network, tower, tokenizer, _ = train(found, items, mini, recipe, tuned=True)
    # As if it had learned: the first validation may well have been the best.
    tower.tower.project.weight.data *= torch.linspace(0.5, 1.5, 128)[:, None]
    out = tmp_path / "tuned"
    assert write_tuned_bundle(tower.tower, network, tokenizer, mini.directory, {}, out) > 0.999
    model = load_model(str(out))
    assert model.fingerprint != mini.fingerprint
    assert model.objects is not None and model.item_head is not None
    crops = held(items, mini)[0]
    ours = tower.regions(crops).numpy()
    np.testing.assert_allclose(model.encoder.encode_images(crops), ours, atol=2e-3)
    assert not model.encoder.unknown_words("a matte red mug")


def test_a_bundle_without_weights_cannot_learn(mini, tmp_path):
    bundle = tmp_path / "without"
    shutil.copytree(BUNDLED["mini"], bundle)
    (bundle / "model.safetensors").unlink()
    with pytest.raises(InputError, match="leave its tower frozen"):
        begin_tower(bundle)
    tokenizer = caption_tokenizer(bundle, ["a zebra"])
    assert tokenizer.token_to_id("zebra") is not None and tokenizer.token_to_id("mug") is None
    assert begin_network(mini.encoder, bundle, tokenizer, 0).settings.width == 128


def run(*arguments):
    return CliRunner().invoke(app, ["items", *map(str, arguments)])


def test_the_command_goes_from_photos_to_a_bundle(folder, tmp_path):
    out = tmp_path / "model"
    result = run(
        folder, "--validation", folder, "--out", out, "--losses", "arcface,itc", "--captions",
        "detailed", "--described", folder, "--steps", 4, "--batch", 8, "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["onnx_cosine"] > 0.9999 and 0 <= said["validation"] <= 1
    assert load_model(str(out)).item_head is not None
    manifest = json.loads((out / "finesight.json").read_text())
    about = manifest["provenance"]["items"]
    assert about["settings"]["losses"] == {"arcface": 1.0, "itc": 1.0}
    assert about["photos"] == 2 * 18
    assert not list(tmp_path.glob("*.checkpoint*"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--losses", "arcface,triplet"], "unknown losses triplet"),
        (["--captions", "poems"], "unknown captions 'poems'"),
        (["--model", "nowhere"], "unknown model 'nowhere'"),
    ],
)
def test_what_is_wrong_with_the_command_is_said(folder, tmp_path, arguments, said):
    result = run(folder, "--validation", folder, "--out", tmp_path / "model", *arguments)
    assert isinstance(result.exception, InputError)
    assert said in str(result.exception)
    assert not (tmp_path / "model").exists()

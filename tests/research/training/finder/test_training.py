"""A head on a small encoder's map learns where something is; the map's windows are its crops."""

import json

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="training needs PyTorch")
pytest.importorskip("onnxscript", reason="exporting needs onnxscript")

from finesight import load_model  # noqa: E402
from finesight.boxes import suppress  # noqa: E402
from finesight.cli.app import app  # noqa: E402
from finesight.encoders.capabilities import Capabilities  # noqa: E402
from finesight.encoders.dense import HEAD, MAP, DenseEntry, PooledTower  # noqa: E402
from finesight.encoders.finder import OBJECTNESS, Finder, ScoredBoxes  # noqa: E402
from finesight.errors import DataError, InputError  # noqa: E402
from finesight.images.open import Picture  # noqa: E402
from finesight.models.bundle import Bundle  # noqa: E402
from finesight.models.parts import FinderEntry  # noqa: E402
from finesight.proposals import encode_proposals, parse_proposer  # noqa: E402
from finesight.proposals.finder_proposer import FinderProposer  # noqa: E402
from finesight.research.datasets.records import LabelledImage, LabelledObject  # noqa: E402
from finesight.research.networks.finder import finder_loss, targets  # noqa: E402
from finesight.research.networks.small_clip import SmallClip, SmallClipSettings  # noqa: E402
from finesight.research.training.encoder.export import export_small_clip  # noqa: E402
from finesight.research.training.finder.export import export_finder  # noqa: E402
from finesight.research.training.finder.training import (  # noqa: E402
    FinderTraining,
    train_finder,
)
from finesight.research.training.flops import multiplications  # noqa: E402
from finesight.research.training.run import Run  # noqa: E402
from finesight.research.training.vocabulary import build_tokenizer  # noqa: E402

SIDE = 200
COST = 2.0 / 96**2


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """An untrained small encoder: random convolutions are enough to see a spot."""
    torch.manual_seed(3)
    directory = tmp_path_factory.mktemp("models") / "random"
    tokenizer = build_tokenizer(["mug"], 24)
    network = SmallClip(SmallClipSettings(tokenizer.get_vocab_size()))
    export_small_clip(network, tokenizer, directory)
    said = Bundle.of_files(directory, name="random", width=128, regions="cc10", dense=DenseEntry(8))
    said.write(directory)
    return directory


def spots(folder, count, seed):
    """Gray images with one or two bright squares, and where these are."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    labelled = []
    for number in range(count):
        pixels = rng.integers(90, 110, (SIDE, SIDE, 3)).astype(np.uint8)
        things = []
        for corner in ((10, 10), (110, 100))[: 1 + number % 2]:
            side = int(rng.integers(24, 60))
            x, y = np.array(corner) + rng.integers(0, 30, 2)
            pixels[y : y + side, x : x + side] = rng.integers(150, 255, 3)
            box = (x / SIDE, y / SIDE, (x + side) / SIDE, (y + side) / SIDE)
            things.append(LabelledObject("spot", tuple(map(float, box)), 0.05))
        path = folder / f"{number}.png"
        Image.fromarray(pixels).save(path)
        labelled.append(LabelledImage(path, SIDE, SIDE, things))
    return labelled


@pytest.fixture(scope="module")
def taught(bundle, tmp_path_factory):
    images = spots(tmp_path_factory.mktemp("data") / "train", 48, seed=0)
    preprocessing = load_model(str(bundle)).encoder.preprocessing
    losses = []
    settings = FinderTraining(canvases=(64, 96), epochs=20, batch=8)
    run = Run(report=lambda step: losses.append(step.loss))
    network, _ = train_finder(images, preprocessing, settings, run)
    out = tmp_path_factory.mktemp("taught") / "bundle"
    folder = tmp_path_factory.mktemp("graph")
    (folder / "onnx").mkdir()
    export_finder(network, folder / OBJECTNESS)
    Bundle.read(bundle).with_part(FinderEntry(COST), folder, {}).write(out)
    return load_model(str(out)), losses


def test_a_stopped_run_ends_as_an_unbroken_one_does(bundle, tmp_path):
    images = spots(tmp_path / "images", 9, seed=1)
    preprocessing = load_model(str(bundle)).encoder.preprocessing
    settings = FinderTraining(canvases=(64,), epochs=3, batch=4, half=False)

    def stop(step):
        if step.done == 2:
            raise KeyboardInterrupt

    unbroken, loss = train_finder(images, preprocessing, settings)
    with pytest.raises(KeyboardInterrupt):
        train_finder(images, preprocessing, settings, Run(tmp_path / "kept", stop))
    resumed, again = train_finder(images, preprocessing, settings, Run(tmp_path / "kept"))
    assert again == pytest.approx(loss, rel=1e-5)
    for name, value in unbroken.state_dict().items():
        assert torch.allclose(value, resumed.state_dict()[name], atol=1e-6), name


def test_it_finds_spots_that_it_has_not_seen(taught, tmp_path):
    model, losses = taught
    assert losses[-1] < 0.4 * losses[0]
    found = 0
    images = spots(tmp_path / "held-out", 12, seed=9)
    for labelled in images:
        with Image.open(labelled.path) as image:
            windows = FinderProposer(model.capabilities.objects, 96, 2).windows(image)
        assert np.array_equal(windows[0], [0, 0, 1, 1])
        for thing in labelled.objects:
            x0, y0, x1, y1 = thing.box
            middle = ((x0 + x1) / 2, (y0 + y1) / 2)
            for a, b, c, d in windows[1:]:
                if a < middle[0] < c and b < middle[1] < d and c - a < 3 * (x1 - x0):
                    found += 1
                    break
    assert found >= 0.8 * sum(len(image.objects) for image in images)


def test_looking_for_objects_cuts_few_windows_and_says_what_it_costs(taught):
    model, _ = taught
    proposer = parse_proposer("objects96x5", model.capabilities)
    assert proposer.forward_passes(SIDE, SIDE) == pytest.approx(1 + 2 + 5)
    image = Image.new("RGB", (SIDE, SIDE // 2))
    windows = proposer.windows(image)
    assert 1 <= len(windows) <= 6
    smallest = (windows[:, 2:] - windows[:, :2]).min(axis=0)
    finest = proposer.finest(*image.size)
    assert (finest[0, 2:] - finest[0, :2] <= smallest + 1e-6).all()
    assert parse_proposer("normal", model.capabilities).count == 12
    low = parse_proposer("low", model.capabilities)
    assert (low.count, low.side) == (7, 56)


def test_small_crops_of_objects_cost_less_and_are_encoded_at_once(taught):
    model, _ = taught
    proposer = parse_proposer("objects96x5at40", model.capabilities)
    assert proposer.forward_passes(SIDE, SIDE) == pytest.approx(1 + 2 + 5 * (40 / 64) ** 2)
    image = Image.fromarray(np.random.default_rng(2).integers(0, 255, (90, 120, 3), np.uint8))
    proposals, crops = proposer.propose(Picture(image), model.encoder.preprocessing)
    assert crops.shape == (1, 64, 64, 3)
    seen = encode_proposals(Picture(image), model.encoder, proposer)
    assert len(seen.boxes) == len(seen.embeddings) == len(proposals.boxes) > 1
    np.testing.assert_allclose(np.linalg.norm(seen.embeddings, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(seen.embeddings[1:], proposals.known)
    # Crops of the model's own side would give what its encoder gives.
    cut = model.encoder.preprocessing.cut(image, seen.boxes)
    np.testing.assert_allclose(
        model.capabilities.dense.encode(cut), model.encoder.encode_images(cut), atol=1e-4
    )
    with pytest.raises(InputError, match="crops have from 8 to 63 pixels"):
        parse_proposer("objects96x5at64", model.capabilities)


def test_windows_of_the_map_are_what_crops_give(bundle):
    model = load_model(str(bundle))
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 255, (2, 64, 64, 3), dtype=np.uint8)
    dense = model.capabilities.dense
    maps = dense.maps(crops)
    assert maps.shape[2:] == (8, 8)
    boxes, embeddings = dense.windows(maps[0], 8, 8)
    assert boxes.tolist() == [[0, 0, 1, 1]]
    np.testing.assert_allclose(embeddings, model.encoder.encode_images(crops[:1]), atol=1e-4)
    # The windows of a larger canvas, each the maximum and mean of its own cells.
    boxes, embeddings = dense.windows(maps[0], 3, 2)
    assert len(boxes) == len(embeddings) == 16
    part = maps[0][:, 2:5, 5:8]
    pooled = (part.mean(axis=(1, 2)) + part.max(axis=(1, 2)))[None]
    expected = dense._head.run({"pooled": pooled})[0][0]
    row = [i for i, box in enumerate(boxes) if np.allclose(box, [5 / 8, 2 / 8, 1, 5 / 8])]
    np.testing.assert_allclose(embeddings[row[0]], expected / np.linalg.norm(expected), atol=1e-5)


def test_looking_densely_gives_boxes_and_embeddings_as_crops_do(bundle):
    model = load_model(str(bundle))
    image = Image.fromarray(np.random.default_rng(1).integers(0, 255, (90, 120, 3), np.uint8))
    proposer = parse_proposer("dense128", model.capabilities)
    seen = encode_proposals(Picture(image), model.encoder, proposer)
    assert seen.boxes.shape == (len(seen.embeddings), 4)
    assert seen.boxes[0].tolist() == [0, 0, 1, 1]
    np.testing.assert_allclose(np.linalg.norm(seen.embeddings, axis=1), 1, atol=1e-5)
    sides = {round(float(side), 3) for side in (seen.boxes[1:, 2] - seen.boxes[1:, 0])}
    assert sides == {0.5}
    assert proposer.forward_passes(120, 90) == 1 + 4
    with pytest.raises(InputError, match="at least the 64 pixels"):
        parse_proposer("dense60", model.capabilities)
    with pytest.raises(InputError, match="reads windows out of one canvas"):
        parse_proposer("dense128")


def test_overlapping_guesses_are_kept_once():
    boxes = np.array([[0, 0, 0.5, 0.5], [0.02, 0, 0.5, 0.5], [0.6, 0.6, 1, 1]], np.float32)
    likely = np.array([0.8, 0.9, 0.1], np.float32)
    assert suppress(ScoredBoxes(boxes, likely), 5).tolist() == [1, 2]
    assert suppress(ScoredBoxes(boxes, likely), 1).tolist() == [1]


def test_targets_mark_centres_and_say_the_box():
    boxes = torch.tensor([[0.0, 0.0, 0.5, 0.25], [0.5, 0.5, 1.0, 1.0]])
    heat, said, near = targets(boxes, 8)
    assert (heat >= 1).nonzero().tolist() == [[1, 2], [6, 6]]
    assert near[1, 2] and near[6, 6] and not near[0, 7]
    # Cell (2, 1) has its middle at (2.5, 1.5); the first box is centred on (2, 1), 4 × 2 cells.
    expected = torch.tensor([-0.5, -0.5, np.log(4.0), np.log(2.0)], dtype=torch.float32)
    assert torch.allclose(said[:, 1, 2], expected)
    right = torch.cat([torch.where(heat >= 1, 9.0, -9.0)[None], said])[None]
    wrong = torch.cat([torch.full((1, 8, 8), -9.0), said + 1])[None]
    args = (heat[None], said[None], near[None])
    assert finder_loss(right, *args) < 0.05 < finder_loss(wrong, *args)


def test_what_cannot_be_taught_or_told_is_refused(bundle, taught, tmp_path, color_model):
    images = [LabelledImage(tmp_path / "a.png", 8, 8, [])]
    with pytest.raises(InputError, match="no image has an annotated object"):
        train_finder(images, load_model(str(bundle)).encoder.preprocessing, FinderTraining())
    with pytest.raises(InputError, match="tells where objects are"):
        parse_proposer("objects96x5", color_model.capabilities)
    with pytest.raises(InputError, match="a multiple of 32 pixels"):
        parse_proposer("objects100x5", taught[0].capabilities)
    with pytest.raises(InputError, match="crops have one size"):
        parse_proposer("objects96x5at40", Capabilities(objects=taught[0].capabilities.objects))
    for file in (MAP, HEAD):
        assert (bundle / file).is_file()
    broken = PooledTower(tmp_path, load_model(str(bundle)).encoder.preprocessing, 8)
    with pytest.raises(DataError, match="is missing: download, export or install"):
        broken.maps(np.zeros((1, 64, 64, 3), np.uint8))
    with pytest.raises(DataError, match="is missing: download, export or install"):
        Finder(tmp_path, broken.preprocessing, COST).detect(Image.new("RGB", (9, 9)), 96)


def test_the_command_writes_a_bundle_that_tells_objects(bundle, toy_scenes, tmp_path, capsys):
    training, _ = toy_scenes
    out = tmp_path / "taught"
    command = ["train", "objectness", "--dataset", str(training), "--model", str(bundle),
               "--out", str(out), "--epochs", "1", "--json"]  # fmt: skip
    app(command, standalone_mode=False)
    said = capsys.readouterr()
    assert json.loads(said.out)["loss"] > 0
    assert "`finesight train objectness` is `finesight train finder` now" in said.err
    model = load_model(str(out))
    # A network of its own, of which a pixel costs about as much as one of the small encoder.
    assert 0.2 < model.capabilities.objects.forward_passes(64) / 0.0712 < 5
    assert model.fingerprint == load_model(str(bundle)).fingerprint
    with pytest.raises(InputError, match="is there already"):
        app(command, standalone_mode=False)


def test_multiplications_are_counted_as_by_hand(tmp_path):
    from finesight.research.training.export import export_graph

    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, stride=2, padding=1), torch.nn.Flatten(2), torch.nn.Linear(16, 5)
    )
    path = tmp_path / "graph.onnx"
    export_graph(network, {"x": torch.zeros(2, 3, 8, 8)}, {0: "b"}, ["y"], path)
    assert multiplications(path, (1, 3, 8, 8)) == 4 * 16 * 27 + 4 * 5 * 16


def test_an_exported_vision_transformer_can_be_taught(toy_scenes, tmp_path, capsys):
    pytest.importorskip("transformers", reason="checkpoints need finesight[torch]")
    from checkpoints import make_checkpoint

    from finesight.research.training.bundle_export import export_model

    make_checkpoint(tmp_path / "model")
    export_model(load_model(str(tmp_path / "model")), tmp_path / "bundle", "int8")
    teach = ["train", "finder", "--dataset", str(toy_scenes[0]), "--epochs", "1",
             "--out", str(tmp_path / "taught")]  # fmt: skip
    with pytest.raises(InputError, match="finesight export"):
        app([*teach, "--model", str(tmp_path / "model")], standalone_mode=False)
    app([*teach, "--model", str(tmp_path / "bundle")], standalone_mode=False)
    model = load_model(str(tmp_path / "taught"))
    proposer = parse_proposer("low", model.capabilities)
    seen = encode_proposals(Picture(Image.new("RGB", (60, 40), (9, 9, 9))), model.encoder, proposer)
    assert 1 < len(seen.boxes) <= 6
    with pytest.raises(InputError, match="crops have one size"):
        parse_proposer("objects96x5at16", model.capabilities)

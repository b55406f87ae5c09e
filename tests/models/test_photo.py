"""The bundled model of photographs: words, colours, and honesty about what it does not know."""

import subprocess
import sys

import numpy as np
import pytest

from finesight.models import BUNDLED, load_model


@pytest.fixture(scope="module")
def encoder():
    return load_model("photo").encoder


def test_models_that_come_along_are_small():
    folders = BUNDLED.values()
    size = sum(path.stat().st_size for each in folders for path in each.rglob("*"))
    assert size <= 24_000_000


def test_licences_come_along():
    assert "Princeton University" in (BUNDLED["photo"] / "LICENSE.WordNet").read_text()
    assert "Apache" in (BUNDLED["photo"] / "README.md").read_text()


def test_it_encodes_without_pytorch():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np\n"
        "from finesight import load_model\n"
        "encoder = load_model('photo').encoder\n"
        "crops = np.full((1, 224, 224, 3), (215, 25, 30), np.uint8)\n"
        "found = encoder.encode_images(crops) @ encoder.encode_texts(['red', 'blue']).T\n"
        "assert found[0, 0] > found[0, 1]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("texts", "unknown"),
    [
        ("a wedding", ["wedding"]),
        ("Golden Retrievers on the beach", ["beach"]),
        ("puppies", []),
        ("a red automobile", []),
        ("traffic lights", []),
        ("hot dog", []),
        ("a yellow umbrella", []),
    ],
)
def test_unknown_words_are_said(encoder, texts, unknown):
    assert encoder.unknown_words(texts) == unknown


def test_a_text_without_a_known_word_has_no_direction(encoder):
    assert not encoder.encode_texts(["wedding"]).any()


def test_synonyms_plurals_and_kinds_are_near(encoder):
    car, auto, cars, dog, puppy, umbrella = encoder.encode_texts(
        ["car", "automobile", "cars", "dog", "puppy", "umbrella"]
    )
    assert car @ auto > 0.999 and car @ cars > 0.999 and dog @ puppy > 0.999
    assert max(car @ umbrella, dog @ umbrella, car @ dog) < 0.3


def test_a_colour_and_a_noun_are_both_meant(encoder):
    both, red, umbrella = encoder.encode_texts(["red umbrella", "red", "umbrella"])
    assert both @ red == pytest.approx(0.707, abs=0.01)
    assert both @ umbrella == pytest.approx(0.707, abs=0.01)
    brown_dog, brown, dog = encoder.encode_texts(["brown dog", "brown", "dog"])
    # An image of a dog is of one of 118 classes, and has little of each.
    assert brown_dog @ dog > 0.85 > brown_dog @ brown > 0.25


def test_the_middle_of_a_whole_image_is_read_and_squares_whole(encoder):
    assert encoder.width <= 512
    assert encoder.preprocessing.fit == "crop"
    assert encoder.preprocessing.shortest == encoder.preprocessing.side


def test_its_background_is_made_of_words_that_it_knows(encoder):
    background = load_model("photo").background
    assert len(background) > 100
    assert not [text for text in background if encoder.unknown_words(text)]


def test_a_picture_of_one_colour_is_named(encoder):
    crops = np.stack([np.full((224, 224, 3), c, np.uint8) for c in ((40, 70, 205), (250, 220, 40))])
    texts = encoder.encode_texts(["blue", "yellow"])
    assert (encoder.encode_images(crops) @ texts.T).argmax(axis=1).tolist() == [0, 1]

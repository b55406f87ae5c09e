"""The Python client, against a server."""

import io
from pathlib import Path

import pytest
from conftest import COLORS
from PIL import Image

from finesight.client import Client
from finesight.errors import DataError, InputError
from finesight.server.settings import Settings
from finesight.types import Part

from .conftest import serving

TOKEN = "a-token-of-enough-letters"


@pytest.fixture
def client(served):
    return Client(served.url)


def test_it_answers_as_the_collection_does(client, collection, spots):
    for asked in (
        "red",
        spots / "small" / "red.png",
        Image.new("RGB", (9, 9), COLORS["blue"]),
        [Part(text="red"), Part(text="green", weight=-0.5)],
        [Part(image=spots / "small" / "green.png", box=(0.6, 0.6, 0.75, 0.8)), Part(text="blue")],
    ):
        mine, theirs = client.search(asked, k=4), collection.search(asked, k=4)
        assert [(h.id, h.rank, h.why, h.part) for h in mine] == [
            (h.id, h.rank, h.why, h.part.replace("red.png", "image").replace("green.png", "image"))
            for h in theirs
        ]
        assert [h.score for h in mine] == pytest.approx([h.score for h in theirs], abs=1e-5)
        assert mine[0].box == pytest.approx(theirs[0].box, abs=1e-5)
        assert mine[0].path == theirs[0].path.relative_to(spots)


def test_near_filters_and_pages(client):
    (first,) = client.search("green", k=1, folder="small")
    assert first.path == Path("small/green.png")
    assert first.id not in {hit.id for hit in client.search(near=first.id)}
    (again,) = client.search(near=first.id, box=first.box, k=1, folder="small")
    assert again.id == first.id
    assert client.search("green", k=1, offset=1)[0].rank == 2


def test_the_rest_of_the_api(client):
    listed = client.images(k=2, folder="large")
    assert len(listed) == 2
    assert client.images(metadata={"author": "Ann"}) == []
    picture = Image.open(io.BytesIO(client.image(listed[0]["id"], size=50, box=(0, 0, 0.5, 1))))
    assert max(picture.size) == 50
    assert client.status()["images"] == 6
    assert client.collections()[0]["name"] == "pics"


def test_what_goes_wrong_is_said(client, served, tmp_path):
    with pytest.raises(InputError, match="empty"):
        client.search()
    with pytest.raises(InputError, match="k: "):
        client.search("red", k=1000)
    with pytest.raises(InputError, match="by its id"):
        client.search([Part(near=tmp_path)])
    with pytest.raises(InputError, match="cannot be read"):
        client.search(tmp_path / "missing.jpg")
    with pytest.raises(InputError, match="no image with this id"):
        client.image("0" * 16)
    with pytest.raises(InputError, match="no such collection"):
        Client(served.url, collection="none").status()
    with pytest.raises(DataError, match="is it running"):
        Client("http://127.0.0.1:9").status()
    with pytest.raises(DataError, match="is it running"):
        Client("nonsense").status()


def test_with_a_token(collection):
    with serving(Settings(collections=(collection.directory,), token=TOKEN)) as served:
        with pytest.raises(InputError, match="token"):
            Client(served.url).search("red")
        assert Client(served.url, token=TOKEN, collection="pics").search("red")

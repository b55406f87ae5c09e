"""Which folder a collection's name means."""

import sys
from pathlib import Path

import pytest

from finesight.cli.options import cache_folder, collection_folder, data_folder
from finesight.errors import InputError


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty home of a user who set nothing, and who stands in it."""
    for name in ("FINESIGHT_COLLECTION", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.skipif(sys.platform != "linux", reason="where Linux has them")
def test_the_folders_are_where_they_always_were(home, monkeypatch):
    assert collection_folder(None) == home / ".local" / "share" / "finesight" / "collection"
    assert cache_folder() == home / ".cache" / "finesight"
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert collection_folder(None) == Path("/data/finesight/collection")
    assert cache_folder() == Path("/cache/finesight")


@pytest.mark.parametrize(
    ("system", "variables", "parts"),
    [
        ("darwin", {"XDG_DATA_HOME": "elsewhere"}, ("Library", "Application Support")),
        ("win32", {"LOCALAPPDATA": "Local"}, ("Local",)),
    ],
)
def test_collections_of_earlier_versions_are_found(home, monkeypatch, system, variables, parts):
    for name, folder in variables.items():
        monkeypatch.setenv(name, str(home / folder))
    earlier = home.joinpath(*parts, "finesight")
    earlier.mkdir(parents=True)
    monkeypatch.setattr(sys, "platform", system)
    assert data_folder() == earlier


def test_a_name_is_a_collection_in_the_data_folder(home):
    assert collection_folder("pics") == data_folder() / "pics"
    assert collection_folder("pics.finesight") == data_folder() / "pics.finesight"


def test_with_a_slash_or_where_it_is_it_is_a_folder(home):
    assert collection_folder("./pics") == Path("pics")
    assert collection_folder("pics/") == Path("pics")
    assert collection_folder("~/pics") == home / "pics"
    assert collection_folder(str(home / "new")) == home / "new"
    assert collection_folder(".") == Path()
    (home / "pics").mkdir()
    assert collection_folder("pics") == Path("pics")


def test_the_environment_names_one_where_no_option_does(home, monkeypatch):
    monkeypatch.setenv("FINESIGHT_COLLECTION", "pics")
    assert collection_folder(None) == data_folder() / "pics"
    monkeypatch.setenv("FINESIGHT_COLLECTION", str(home / "there"))
    assert collection_folder(None) == home / "there"
    assert collection_folder("other") == data_folder() / "other"
    with pytest.raises(InputError, match="--collection is empty"):
        collection_folder("")

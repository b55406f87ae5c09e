"""WordNet's files are read; what is missing, cut short or goes in circles is said."""

import pytest
from classifiers import MEANINGS, write_taxonomy

from finesight.errors import DataError
from finesight.research.training.words.wordnet import Taxonomy, licence_of


def test_nouns_meanings_and_what_they_are_kinds_of(taxonomy_folder):
    taxonomy = Taxonomy.read(taxonomy_folder)
    assert taxonomy.meanings["00000021"].names == ("poodle", "poodle dog")
    assert taxonomy.ancestors("00000025") == ["00000021", "00000020", "00000010", "00000001"]
    assert taxonomy.nouns["crane"] == ("00000041", "00000030")
    assert taxonomy.plurals == {"goose": ("geese",)}
    assert taxonomy.attested == {"00000020"}
    assert taxonomy.below["00000020"] == ["00000021", "00000022", "00000023", "00000024"]
    assert licence_of(taxonomy_folder) == "A licence of its own.\n"


def test_a_loop_is_named(tmp_path):
    looped = MEANINGS | {"00000010": (["animal"], ["00000021"], "05")}
    with pytest.raises(DataError, match="loop") as raised:
        Taxonomy.read(write_taxonomy(tmp_path / "looped", looped))
    path = str(raised.value).rpartition(": ")[2].split(" → ")
    assert path[0] == path[-1] and set(path) == {"animal", "dog", "poodle"}


def test_a_kind_of_nothing_is_named(tmp_path):
    without = {offset: each for offset, each in MEANINGS.items() if offset != "00000010"}
    with pytest.raises(DataError, match=r"kind of 00000010, which is not in data\.noun"):
        Taxonomy.read(write_taxonomy(tmp_path / "cut", without))


def test_a_folder_without_the_files_is_no_taxonomy(tmp_path):
    with pytest.raises(DataError, match=r"data\.noun cannot be read"):
        Taxonomy.read(tmp_path)
    (tmp_path / "data.noun").write_text("not WordNet\n")
    (tmp_path / "index.noun").write_text("not WordNet\n")
    with pytest.raises(DataError, match="no taxonomy that can be read"):
        Taxonomy.read(tmp_path)


def test_a_file_that_is_cut_short_is_said(taxonomy_folder):
    path = taxonomy_folder / "data.noun"
    text = path.read_text()
    path.write_text(text[: text.index(" n 0000 | what", text.index("poodle"))])
    with pytest.raises(DataError):
        Taxonomy.read(taxonomy_folder)

"""Files and folders appear whole or not at all."""

import pytest

from finesight.errors import InputError, first_line
from finesight.files import need_new, new_folder, read_json, write_json


def test_a_new_folder_appears_whole_or_not_at_all(tmp_path):
    out = tmp_path / "deep" / "out"
    with pytest.raises(RuntimeError), new_folder(out) as folder:
        (folder / "half").touch()
        raise RuntimeError
    assert not any(out.parent.iterdir())
    out.mkdir()
    with new_folder(out) as folder:
        (folder / "whole").touch()
        assert not any(out.iterdir())
    assert [path.name for path in out.iterdir()] == ["whole"]
    assert [*out.parent.iterdir()] == [out]
    for taken in (out, out / "whole"):
        with pytest.raises(InputError, match="is there already"), new_folder(taken):
            pass
        with pytest.raises(InputError, match="is there already"):
            need_new(taken)


@pytest.mark.parametrize("content", [None, b"{", b"\xff", b"[1]", b'{"a": 1}'])
def test_json_that_cannot_be_read_is_empty(tmp_path, content):
    if content is not None:
        (tmp_path / "x.json").write_bytes(content)
    assert read_json(tmp_path / "x.json") == ({"a": 1} if content == b'{"a": 1}' else {})
    write_json(tmp_path / "x.json", {"b": 2})
    assert read_json(tmp_path / "x.json") == {"b": 2}


def test_the_first_line_of_an_error():
    assert first_line(ValueError("\none\ntwo")) == "one"
    assert first_line(ValueError(" ")) == "ValueError"

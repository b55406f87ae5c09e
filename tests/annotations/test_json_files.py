import pytest

from finesight.annotations.json_files import (
    MALFORMED,
    expecting,
    parse_json,
    read_json,
    read_json_lines,
)
from finesight.errors import DataError, InputError

DEEP = "[" * 100_000


def test_what_is_nested_too_deeply_is_damage():
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json(DEEP)


def test_numbers_that_json_does_not_have():
    assert parse_json("[NaN, -Infinity]", strict=True) == [None, None]
    assert parse_json("[Infinity]") == [float("inf")]


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe\xfa", DEEP.encode(), b""])
def test_damage_is_named_with_what_to_do(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.json is damaged, or is not JSON .*: fetch it again"):
        read_json(path, "fetch it again")
    with pytest.raises(InputError, match=r"b\.json cannot be read: No such file"):
        read_json(tmp_path / "b.json")


def test_a_mark_of_the_byte_order_is_no_damage(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf[1]")
    assert read_json(tmp_path / "a.json") == [1]
    assert read_json_lines(tmp_path / "a.json", lambda value: value) == [[1]]


def test_only_a_line_feed_ends_a_line(tmp_path):
    """The rarer separators may stand in JSON's texts as they are."""
    path = tmp_path / "a.jsonl"
    path.write_bytes('{"a": "one\u2028line\x85"}\r\n\n{"a": "two"}\n'.encode())
    assert read_json_lines(path, lambda record: record["a"]) == ["one\u2028line\x85", "two"]


@pytest.mark.parametrize("line", ["{", "[]", "{}", "3", '{"a": "x"}', '{"a": 1e999}'])
def test_a_wrong_line_is_named(tmp_path, line):
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"a": 1}}\n\n{line}\n')
    with pytest.raises(DataError, match=r"a\.jsonl, line 3 is wrong \(.+\): mend it"):
        read_json_lines(path, lambda record: int(record["a"]), "is wrong", "mend it")
    with pytest.raises(InputError, match="cannot be read"):
        read_json_lines(tmp_path / "b.jsonl", lambda value: value)


def test_huge_numbers_are_malformed():
    with pytest.raises(MALFORMED):
        float(parse_json("1" * 400))


def test_what_is_expected_is_said_with_what_is_wrong():
    for wrong, reason in ((lambda: int("x"), "invalid literal.*"), (lambda: {}["a"], "KeyError.*")):
        with (
            pytest.raises(DataError, match=rf"^a\.json is damaged \({reason}\): copy it$"),
            expecting("a.json is damaged", "copy it"),
        ):
            wrong()
    with pytest.raises(ZeroDivisionError), expecting("a.json is damaged", "copy it"):
        1 / 0  # noqa: B018

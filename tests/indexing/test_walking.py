import os
import sys

import pytest
from conftest import spotted

from finesight.errors import InputError
from finesight.indexing.walking import find_images


def names(findings, root):
    return [found.path.relative_to(root).as_posix() for found in findings.images]


@pytest.fixture
def tree(tmp_path):
    root = (tmp_path / "tree").resolve()
    for name in ("a.png", "b/c.png", "b/d.jpg", "b/deep/e.png", "raw/f.dng", ".hidden/g.png"):
        spotted(root / "x.png", "red")
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes((root / "x.png").read_bytes())
    (root / "x.png").unlink()
    (root / "notes.txt").write_text("no image")
    return root


def test_folders_are_walked_in_order(tree):
    assert names(find_images([tree]), tree) == ["a.png", "b/c.png", "b/d.jpg", "b/deep/e.png"]


def test_each_file_once(tree):
    found = find_images([tree / "b", tree, tree / "a.png", tree / "b" / ".." / "a.png"])
    assert sorted(names(found, tree)) == ["a.png", "b/c.png", "b/d.jpg", "b/deep/e.png"]


def test_size_and_time_are_known(tree):
    (found,) = find_images([tree / "a.png"]).images
    status = (tree / "a.png").stat()
    assert (found.size, found.mtime_ns) == (status.st_size, status.st_mtime_ns)


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        (["*.png"], ["b/d.jpg"]),
        (["*.png", "!a.png"], ["a.png", "b/d.jpg"]),
        (["b/"], ["a.png"]),
        (["/b/*.png", "# a comment"], ["a.png", "b/d.jpg", "b/deep/e.png"]),
        (["**/deep/**"], ["a.png", "b/c.png", "b/d.jpg"]),
    ],
)
def test_an_ignore_file(tree, patterns, left):
    (tree / ".finesightignore").write_text("\n".join(patterns))
    assert names(find_images([tree]), tree) == left


def test_excluding_is_like_an_ignore_file_at_the_top(tree):
    assert names(find_images([tree], exclude=["*.png", "!/a.png"]), tree) == ["a.png", "b/d.jpg"]


def test_a_deeper_ignore_file_decides(tree):
    (tree / ".finesightignore").write_text("*.png")
    (tree / "b" / ".finesightignore").write_text("!c.png\nd.jpg")
    assert names(find_images([tree]), tree) == ["b/c.png"]


def test_an_ignore_file_holds_below_its_folder_only(tree):
    (tree / "b" / ".finesightignore").write_text("*.png")
    assert names(find_images([tree]), tree) == ["a.png", "b/d.jpg"]


def test_a_bad_pattern_is_refused(tree):
    (tree / ".finesightignore").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="finesightignore cannot be read"):
        find_images([tree])
    with pytest.raises(InputError, match="--exclude has a pattern that is not valid"):
        find_images([tree / "b"], exclude=["!"])


def test_a_named_file_is_taken_whatever_is_ignored(tree):
    (tree / ".finesightignore").write_text("*")
    assert names(find_images([tree / "a.png"]), tree) == ["a.png"]


def test_patterns_with_stars(tree):
    assert names(find_images([tree / "**" / "*.png"]), tree) == ["a.png", "b/c.png", "b/deep/e.png"]
    with pytest.raises(InputError, match="no file matches"):
        find_images([tree / "*.webp"])


def test_brackets_in_a_name_are_no_pattern(tree):
    (tree / "a.png").rename(tree / "a[1].png")
    assert names(find_images([tree / "a[1].png"]), tree) == ["a[1].png"]


def test_a_list_may_name_what_is_gone(tree):
    found = find_images([tree / "a.png", tree / "gone.png"], listed=True)
    assert names(found, tree) == ["a.png"]
    assert [(s.path.name, s.reason) for s in found.skipped] == [
        ("gone.png", "cannot be read: No such file or directory")
    ]


def test_raw_files_are_asked_for(tree):
    assert "raw/f.dng" in names(find_images([tree], raw=True), tree)


def test_a_linked_folder_has_its_own_ignore_files(tree, tmp_path):
    other = (tmp_path / "other").resolve()
    spotted(other / "x.png", "red")
    spotted(other / "y.png", "red")
    (other / ".finesightignore").write_text("y.png")
    (tree / "link").symlink_to(other, target_is_directory=True)
    found = [f.path for f in find_images([tree], exclude=["*.jpg"]).images]
    assert other / "x.png" in found
    assert other / "y.png" not in found


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_a_pipe_is_not_read(tree):
    os.mkfifo(tree / "pipe.png")
    (skipped,) = find_images([tree]).skipped
    assert (skipped.path.name, skipped.reason) == ("pipe.png", "cannot be read: not a plain file")


def test_the_tables_of_a_collection_are_not_walked(tree):
    spotted(tree / "c" / "images-0.lance" / "data" / "x.png", "red")
    assert "c/images-0.lance/data/x.png" not in names(find_images([tree]), tree)

"""What a run has to do, from names, sizes, times and hashes alone."""

from pathlib import Path

import pytest
from conftest import spotted

from finesight.indexing.plan import Known, Plan, image_id
from finesight.store.ledger import Entry
from finesight.types import Found


@pytest.fixture
def begin(folder, store):
    """A function that begins a run on three indexed images."""
    store.add([folder], "cc5")

    def begun(regions="cc5", tried="now"):
        table, ledger = store.table(), store._folder.ledger()
        return Plan(Known(table, regions), ledger, tried, f"archive {tried}")

    return begun


def found(path, size=None):
    status = path.stat()
    return Found(path, size or status.st_size, status.st_mtime_ns)


def digest(plan, path):
    return plan.known.record(plan.known.place[str(path)]).sha256


def test_what_is_new_changed_and_gone(folder, begin):
    folder = folder.resolve()
    plan = begin()
    assert not plan.is_new(found(folder / "red.png"))
    assert plan.is_new(found(folder / "green.png", 7))
    assert plan.is_new(found(spotted(folder / "new.png", "red")))
    assert plan.unchanged == 1
    assert plan.gone([folder]) == [plan.known.ids[plan.known.place[str(folder / "blue.png")]]]
    assert plan.gone([folder / "elsewhere"]) == []
    plan.unsure.append(folder)
    assert plan.gone([folder]) == []


def test_other_regions_make_every_image_new(folder, begin):
    assert begin("cc10").is_new(found(folder.resolve() / "red.png"))


def test_touched_moved_and_copied_files(folder, begin):
    red, moved = folder.resolve() / "red.png", folder.resolve() / "moved.png"
    plan = begin()
    row = plan.id_for(red)
    assert plan.claim(found(red), digest(plan, red)) == row  # touched
    red.rename(moved)
    plan = begin()
    assert plan.claim(found(moved), digest(plan, red)) == row
    assert plan.claim(found(moved), digest(plan, red)) is None  # a second file: a copy
    assert (plan.moved, plan.gone([folder.resolve()]).count(row)) == (1, 0)
    assert plan.id_for(red) != row  # which went with the file


def test_failures_are_remembered_while_files_would_be_read_alike(folder, begin, store):
    bad = folder.resolve() / "bad.png"
    bad.write_text("no image")
    store._folder.ledger().write([Entry(found(bad), "now", "damaged")])
    plan = begin()
    assert not plan.is_new(found(bad))
    assert [(each.reason, each.remembered) for each in plan.skipped] == [("damaged", True)]
    assert begin(tried="otherwise").is_new(found(bad))
    assert begin().is_new(found(bad, 3))
    assert begin().failures_gone([folder.resolve()]) == [bad]
    assert plan.failures_gone([folder.resolve()]) == []


def test_ids_are_not_given_twice(begin):
    plan = begin()
    taken = plan.known.ids[0]
    assert plan.id_for(Path("/a"), taken) == image_id(Path(taken))
    assert plan.id_for(Path("/b"), "wanted") == "wanted"

import io
import tarfile
import zipfile

import pytest

from finesight.images import archives
from finesight.images.archives import ArchiveError, members, read_member

FILES = {"a.txt": b"one", "inner/b.txt": b"two" * 1000}


def write(path, files=FILES):
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
    else:
        kind = {".tar": "w", ".tgz": "w:gz", ".gz": "w:gz", ".tbz2": "w:bz2", ".xz": "w:xz"}
        with tarfile.open(path, kind[path.suffix]) as archive:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tgz", "x.tar.gz", "x.tbz2", "x.tar.xz"])
def test_members_are_read_as_if_the_archive_were_a_folder(tmp_path, name):
    archive = write(tmp_path / name)
    assert archives.is_archive(archive)
    read = {member.path: (member.size, member.read()) for member in members(archive)}
    assert read == {archive / n: (len(data), data) for n, data in FILES.items()}
    assert read_member(archive / "inner" / "b.txt") == FILES["inner/b.txt"]
    with pytest.raises(ArchiveError, match="holds no such file"):
        read_member(archive / "c.txt")


def test_a_plain_path_is_in_no_archive(tmp_path):
    (tmp_path / "folder.zip").mkdir()
    assert read_member(tmp_path / "folder.zip" / "a.txt") is None
    assert read_member(tmp_path / "a.txt") is None


@pytest.mark.parametrize("name", ["x.zip", "x.tar"])
def test_names_that_lead_out_and_hidden_files_are_passed_over(tmp_path, name):
    odd = {"../up.txt": b"1", "/root.txt": b"2", ".hidden": b"3", "__MACOSX/a": b"4", "ok": b"5"}
    archive = write(tmp_path / name, odd)
    assert [member.path for member in members(archive)] == [archive / "ok"]


@pytest.mark.parametrize("name", ["x.zip", "x.tgz", "x.tar"])
def test_a_damaged_archive(tmp_path, name):
    noise = bytes(range(256)) * 40
    archive = write(tmp_path / name, {"a": noise, "b": noise[::-1]})
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    with pytest.raises(ArchiveError, match="damaged archive"):
        for member in members(archive):
            member.read()


def test_a_member_of_a_damaged_body(tmp_path):
    archive = write(tmp_path / "x.zip", {"a": b"hello" * 100})
    data = bytearray(archive.read_bytes())
    data[40:44] = b"\xff\xff\xff\xff"
    archive.write_bytes(data)
    with pytest.raises(ArchiveError, match="damaged archive"):
        for member in members(archive):
            member.read()


def test_a_member_that_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_BYTES", 100)
    archive = write(tmp_path / "x.zip")
    read = members(archive)
    assert next(read).read() == b"one"
    with pytest.raises(ArchiveError, match="too large"):
        next(read).read()

"""Exported files in a folder or an archive."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest

from executions.planning.export import ExportRefused, check_destination, write_export, zip_export

FILES = {"pkg/deep/a.py": "x = 'ä'\r\n", "b.py": "y = 1\n", "pkg/c.py": ""}


def test_files_are_written_with_fixed_modes_and_line_ends(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_export(FILES, tmp_path / "new" / "out")
    finally:
        os.umask(before)
    out = tmp_path / "new" / "out"
    assert (out / "pkg/deep/a.py").read_bytes() == "x = 'ä'\n".encode()
    assert {path.relative_to(out).as_posix() for path in out.rglob("*")} == {*FILES, "pkg", "pkg/deep"}
    assert out.stat().st_mode & 0o777 == 0o755
    assert all(path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644) for path in out.rglob("*"))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out"]


def test_an_empty_folder_is_filled_and_stays_the_same_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir(mode=0o700)
    inode = out.stat().st_ino
    write_export(FILES, out)
    assert (out.stat().st_ino, out.stat().st_mode & 0o777) == (inode, 0o700)
    assert sorted(path.name for path in out.iterdir()) == ["b.py", "pkg"]


def test_a_link_to_an_empty_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    write_export(FILES, tmp_path / "link")
    assert (tmp_path / "real" / "b.py").is_file()


@pytest.mark.parametrize("act", [check_destination, lambda path: write_export(FILES, path)])
def test_a_folder_that_is_not_empty_is_refused_and_left_alone(tmp_path: Path, act: object) -> None:
    (tmp_path / ".hidden").write_text("mine")
    with pytest.raises(ExportRefused, match=r'is not empty: it holds "\.hidden"'):
        act(tmp_path)  # type: ignore[operator]
    assert [path.name for path in tmp_path.iterdir()] == [".hidden"]


@pytest.mark.parametrize("act", [check_destination, lambda path: write_export(FILES, path)])
@pytest.mark.parametrize("place", ["file", "file/below/out", "dangling"])
def test_a_place_where_no_folder_can_be_is_refused(tmp_path: Path, act: object, place: str) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(ExportRefused, match="cannot be"):
        act(tmp_path / place)  # type: ignore[operator]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dangling", "file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ExportRefused, match="no permission"):
        check_destination(tmp_path / "out")
    with pytest.raises(ExportRefused, match="cannot be written"):
        write_export(FILES, tmp_path / "out")


def test_a_destination_that_is_absent_or_empty_is_fine(tmp_path: Path) -> None:
    check_destination(tmp_path)
    check_destination(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["../out.py", "/abs.py", "a/../../b.py", "C:/x.py", ".bashrc"])
def test_paths_that_leave_the_folder_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(ExportRefused):
        write_export({path: ""}, tmp_path / "out")
    with pytest.raises(ExportRefused):
        zip_export({path: ""})
    assert list(tmp_path.iterdir()) == []


def test_a_failed_export_leaves_nothing(tmp_path: Path) -> None:
    for out in (tmp_path / "absent", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(ExportRefused):
            write_export({"a.py": "", "a.py/b.py": ""}, out)
        with pytest.raises(ExportRefused, match="no character"):
            write_export({"a.py": "\ud800"}, out)
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]


def test_archives_of_equal_files_are_equal() -> None:
    backwards = dict(reversed(FILES.items()))
    assert zip_export(FILES) == zip_export(backwards)


def test_an_archive_holds_plain_sorted_files_without_dates() -> None:
    with zipfile.ZipFile(io.BytesIO(zip_export(FILES))) as archive:
        entries = archive.infolist()
        assert [entry.filename for entry in entries] == sorted(FILES)
        assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.external_attr >> 16 for entry in entries} == {0o100644}
        assert archive.read("pkg/deep/a.py") == "x = 'ä'\n".encode()

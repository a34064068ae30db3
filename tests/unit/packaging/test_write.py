"""Writing a package: whole or not at all, and only what is new."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from partwise.errors import PackageError
from partwise.packaging import Manifest, Package, is_package, open_package
from tests.packages import small_graph, small_package


def _files(folder: Path) -> Mapping[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_was_written_opens(tmp_path: Path) -> None:
    package = small_package(tmp_path / "p")
    opened = open_package(tmp_path / "p")
    assert opened.manifest == package.manifest
    assert opened.digest == package.digest
    assert opened.graph() == small_graph()
    assert opened.plan_bytes() == b"{}"
    assert list(opened.whole().weights) == ["w0", "w1", "w2"]
    assert repr(opened).endswith("3 segments)")


def test_the_same_cut_writes_the_same_bytes_and_says_so(tmp_path: Path) -> None:
    assert not small_package(tmp_path / "a").unchanged
    before = _files(tmp_path / "a")
    assert small_package(tmp_path / "a").unchanged
    small_package(tmp_path / "b")
    assert _files(tmp_path / "a") == _files(tmp_path / "b") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_weight_is_stored_once(tmp_path: Path) -> None:
    small_package(tmp_path / "p")
    blobs = [name for name in _files(tmp_path / "p") if name.startswith("blobs")]
    assert len(blobs) == 3 + 2  # weights; plan and whole


def test_a_damaged_blob_is_mended_by_cutting_again(tmp_path: Path) -> None:
    package = small_package(tmp_path / "p")
    blob = package.manifest.segments[0].weights[0].blob.digest.removeprefix("sha256:")
    path = tmp_path / "p/blobs/sha256" / blob
    good = path.read_bytes()
    path.write_bytes(b"\0" * len(good))
    assert not small_package(tmp_path / "p").unchanged
    assert path.read_bytes() == good


def test_another_package_replaces_the_first(tmp_path: Path) -> None:
    first = small_package(tmp_path / "p")
    second = small_package(tmp_path / "p", "null")
    assert not second.unchanged
    assert open_package(tmp_path / "p").digest == second.digest != first.digest


def test_the_check_decides_what_the_manifest_says(tmp_path: Path) -> None:
    def check(package: Package) -> Manifest:
        assert package.segment(0).weights["w0"].shape == (4, 4)
        return replace(package.manifest, exact=True, difference={"y": 0.0})

    assert small_package(tmp_path / "p", check=check).manifest.exact
    assert open_package(tmp_path / "p").manifest.difference == {"y": 0.0}


def test_a_failed_check_leaves_nothing(tmp_path: Path) -> None:
    def check(package: Package) -> Manifest:
        raise PackageError(repr(package), "failed")

    with pytest.raises(PackageError, match="failed"):
        small_package(tmp_path / "p", check=check)
    assert list(tmp_path.iterdir()) == []


def test_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for out in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(PackageError, match="is no package"):
            small_package(out)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PackageError, match="cannot be written"):
        small_package(tmp_path / "file" / "p")


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    small_package(tmp_path / "p")
    assert is_package(tmp_path / "p")
    assert not is_package(tmp_path)


def test_an_empty_current_folder_becomes_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    small_package(Path())
    assert len(open_package(Path()).manifest.segments) == 3  # of the folder in which we still are
    assert sorted(path.name for path in Path().iterdir()) == ["blobs", "manifest.json", "segments"]
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_nothing_is_left_in_an_empty_folder_by_a_move_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "p").mkdir()
    move = Path.rename

    def rename(path: Path, to: Path) -> Path:
        if path.name == "manifest.json":
            raise OSError(28, "No space left on device")
        return move(path, to)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(PackageError, match="No space left"):
        small_package(tmp_path / "p")
    assert not list((tmp_path / "p").iterdir())


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    small_package(tmp_path / "p")
    (tmp_path / "link").symlink_to("p")
    second = small_package(tmp_path / "link", "null")
    assert (tmp_path / "link").is_symlink()
    assert open_package(tmp_path / "p").digest == second.digest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "p"]

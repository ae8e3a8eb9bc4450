"""Files are replaced as a whole or not at all, and only regular files are read."""

from __future__ import annotations

import errno
import os
import socket
import stat as mode_bits
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from lepton.core import DataError, ErrorCode, LeptonError, StoreError, UsageError
from lepton.store import (
    expand,
    files,
    make_folder,
    open_read,
    remove_leftovers,
    replace_file,
    replace_path,
    scratch_folder,
    stamp,
    write_bytes,
    write_new,
    write_text,
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def open_files() -> int:
    return len(names(Path("/proc/self/fd")))


def mode_of(path: Path) -> int:
    return mode_bits.S_IMODE(path.stat().st_mode)


def make_special(folder: Path, kind: str) -> Path:
    path = folder / kind
    if kind == "folder":
        path.mkdir()
    elif kind == "FIFO":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.relpath(path))
    elif kind == "device":
        return Path("/dev/zero")
    return path


class TestReplace:
    def test_content_and_nothing_else(self, folder):
        write_bytes("a.bin", b"one")
        write_bytes("a.bin", b"two")
        write_text("b.txt", "é\r\nü")
        assert Path("a.bin").read_bytes() == b"two"
        assert Path("b.txt").read_bytes() == "é\r\nü".encode()
        assert names(folder) == ["a.bin", "b.txt"]

    def test_old_content_stands_until_the_end(self, folder):
        write_bytes("a", b"old")
        with replace_file("a") as file:
            file.write(b"new")
            file.flush()
            assert Path("a").read_bytes() == b"old"
        assert Path("a").read_bytes() == b"new"

    @pytest.mark.parametrize("error", [RuntimeError("x"), KeyboardInterrupt(), ConnectionResetError(104, "gone")])
    def test_any_error_passes_and_leaves_the_old_file(self, folder, error):
        write_bytes("a", b"old")
        with pytest.raises(type(error)) as caught, replace_file("a") as file:  # noqa: PT012
            file.write(b"new")
            raise error
        assert caught.value is error
        assert Path("a").read_bytes() == b"old"
        assert names(folder) == ["a"]

    def test_a_library_may_write_by_name(self, folder):
        with replace_path("values.npy") as path:
            assert path.parent == Path()
            np.save(path, np.arange(3))  # would add a suffix of its own if there were none
        assert np.load("values.npy").tolist() == [0, 1, 2]
        assert names(folder) == ["values.npy"]

    def test_a_library_may_put_its_own_file_there(self, folder):
        old_mask = os.umask(0)
        try:
            with replace_path("a") as path:
                own = Path("own")
                own.write_bytes(b"theirs")
                own.chmod(0o666)
                own.replace(path)
        finally:
            os.umask(old_mask)
        assert Path("a").read_bytes() == b"theirs"
        assert mode_of(Path("a")) == 0o644

    def test_a_library_may_not_leave_nothing_or_a_link(self, folder):
        write_bytes("a", b"old")
        with pytest.raises(StoreError) as caught, replace_path("a") as path:
            path.unlink()
        assert caught.value.code is ErrorCode.STORE_FAILED
        with pytest.raises(StoreError), replace_path("a") as path:  # noqa: PT012
            path.unlink()
            path.symlink_to("/etc/hostname")
        assert Path("a").read_bytes() == b"old"
        assert names(folder) == ["a"]

    @pytest.mark.parametrize(("mask", "wanted"), [(0o000, 0o644), (0o022, 0o644), (0o077, 0o600)])
    def test_modes_follow_the_umask_and_no_group_may_write(self, folder, mask, wanted):
        old_mask = os.umask(mask)
        try:
            write_bytes("a", b"")
            made = make_folder("x/y")
        finally:
            os.umask(old_mask)
        assert mode_of(Path("a")) == wanted
        assert {mode_of(made) & 0o022, mode_of(made.parent) & 0o022} == {0}

    def test_a_private_file_stays_private(self, folder):
        write_bytes("a", b"old")
        Path("a").chmod(0o600)
        write_bytes("a", b"new")
        assert mode_of(Path("a")) == 0o600

    def test_two_writers_leave_one_whole_file(self, folder):
        contents = [bytes([number]) * 200_000 for number in range(8)]
        threads = [threading.Thread(target=write_bytes, args=("a", content), name="writer") for content in contents]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert Path("a").read_bytes() in contents
        assert names(folder) == ["a"]

    @given(st.binary(max_size=5000), st.binary(max_size=5000))
    def test_what_is_written_is_read(self, first, second):
        with scratch_folder() as place:
            for content in (first, second):
                write_bytes(place / "a", content)
                with open_read(place / "a") as file:
                    assert file.read() == content
            assert names(place) == ["a"]

    @given(st.text(max_size=300).filter(lambda text: "/" not in text))
    def test_any_name_is_written_or_refused_in_one_way(self, name):
        with scratch_folder() as place:
            refused = None
            try:
                write_bytes(f"{place}/{name}", b"x")
            except LeptonError as error:
                refused = str(error)
            if refused is None:
                assert names(place) == [name]
                assert expand(f"{place}/{name}") == (place / name,)
            else:
                assert names(place) == []
                assert str(place) not in refused
                assert "\n" not in refused


class TestRefusedTargets:
    @pytest.mark.parametrize("kind", ["folder", "FIFO", "socket", "device"])
    def test_not_a_regular_file(self, folder, kind):
        path = make_special(folder, kind)
        with pytest.raises(DataError, match=f"is a {kind}") as caught:
            write_bytes(path, b"x")
        assert caught.value.code is ErrorCode.NOT_A_FILE

    @pytest.mark.parametrize("points_to", ["there", "nowhere"])
    def test_a_link_is_neither_followed_nor_replaced(self, folder, points_to):
        write_bytes("there", b"old")
        Path("link").symlink_to(points_to)
        with pytest.raises(DataError, match="'link' is a link") as caught:
            write_bytes("link", b"x")
        assert caught.value.code is ErrorCode.NOT_A_FILE
        assert Path("there").read_bytes() == b"old"
        assert names(folder) == ["link", "there"]

    @pytest.mark.parametrize("parent", ["none", "dangling"])
    def test_no_folder(self, folder, parent):
        Path("dangling").symlink_to("nowhere")
        with pytest.raises(DataError, match=f"no folder '{parent}'") as caught:
            write_bytes(f"{parent}/a", b"x")
        assert caught.value.code is ErrorCode.NOT_FOUND

    def test_a_file_in_place_of_the_folder(self, folder):
        write_bytes("a", b"old")
        for refused in (lambda: write_bytes("a/b", b"x"), lambda: make_folder("a/b/c"), lambda: make_folder("a")):
            with pytest.raises(DataError, match="'a' is not a folder") as caught:
                refused()
            assert caught.value.code is ErrorCode.NOT_A_FILE

    @pytest.mark.parametrize("path", ["", "a\0b", "\ud800"])
    def test_names_that_no_system_takes(self, folder, path):
        for refused in (lambda: write_bytes(path, b""), lambda: open_read(path), lambda: expand(path)):
            with pytest.raises(UsageError, match="path") as caught:
                refused()
            assert caught.value.code is ErrorCode.BAD_NAME

    @pytest.mark.parametrize("path", [None, 3, b"bytes", 1.5])
    def test_what_is_not_a_path(self, path):
        with pytest.raises(UsageError, match=type(path).__name__):
            write_bytes(path, b"")

    def test_name_too_long(self, folder):
        with pytest.raises(StoreError, match="too long"):
            write_bytes("a" * 300, b"x")
        write_bytes("a" * 255, b"x")
        assert names(folder) == ["a" * 255]

    def test_an_absolute_path_is_not_told(self, folder):
        with pytest.raises(DataError) as caught:
            open_read(folder / "secret-place" / "a")
        assert str(folder) not in str(caught.value)


class TestFailingDisk:
    """Errors as the system gives them; tests/store/test_faults.py meets a disk that is really full."""

    @pytest.mark.parametrize(
        ("number", "code"),
        [
            (errno.ENOSPC, ErrorCode.STORE_FULL),
            (errno.EDQUOT, ErrorCode.STORE_FULL),
            (errno.EFBIG, ErrorCode.STORE_FULL),
            (errno.EIO, ErrorCode.STORE_FAILED),
            (errno.EROFS, ErrorCode.STORE_FAILED),
            (errno.EACCES, ErrorCode.STORE_FAILED),
        ],
    )
    @pytest.mark.parametrize("call", ["body", "body-by-text", "open", "fsync", "rename"])
    def test_every_step_may_fail(self, folder, monkeypatch, number, code, call):
        write_bytes("a", b"old")

        def fail(*_: object, **__: object) -> None:
            raise OSError(number, os.strerror(number))

        if call == "open":
            monkeypatch.setattr(os, "open", fail)
        elif call == "fsync":
            monkeypatch.setattr(os, "fsync", fail)
        elif call == "rename":
            monkeypatch.setattr(Path, "replace", fail)
        with pytest.raises(StoreError) as caught, replace_file("a") as file:  # noqa: PT012
            file.write(b"x" * 1500)
            file.flush()
            if call == "body":
                fail()
            if call == "body-by-text":
                raise RuntimeError(f"parquet: underlying IO error: something (os error {number})")
        monkeypatch.undo()
        assert caught.value.code is code
        assert "'a'" in str(caught.value)
        if code is ErrorCode.STORE_FULL:
            assert caught.value.details == {"written": 0 if call == "open" else 1500}
        assert (folder / "a").read_bytes() == b"old"
        assert names(folder) == ["a"]

    def test_errors_about_other_files_pass(self, folder):
        with pytest.raises(FileNotFoundError), replace_path("a"):
            Path("not-there").read_bytes()
        with pytest.raises(PermissionError), replace_path("a"):
            raise PermissionError(errno.EACCES, "denied", "another")
        with pytest.raises(OSError, match="thrift"), replace_path("a"):
            raise OSError("Couldn't deserialize thrift")
        with pytest.raises(RuntimeError), replace_path("a"):
            raise RuntimeError("connection lost (os error 104)")

    def test_refusals_inside_pass_as_they_are(self, folder):
        with pytest.raises(DataError, match="os error 28"), replace_path("a"):
            raise DataError(ErrorCode.UNREADABLE, "a column named (os error 28)")

    def test_a_folder_that_cannot_be_synced(self, folder, monkeypatch):
        real = os.fsync

        def sync(handle: int, number: int) -> None:
            if mode_bits.S_ISDIR(os.fstat(handle).st_mode):
                raise OSError(number, os.strerror(number))
            real(handle)

        monkeypatch.setattr(os, "fsync", lambda handle: sync(handle, errno.EINVAL))
        write_bytes("a", b"x")
        monkeypatch.setattr(os, "fsync", lambda handle: sync(handle, errno.EIO))
        with pytest.raises(StoreError):
            write_bytes("a", b"x")

    def test_read_only(self, folder):
        write_bytes("a", b"old")
        Path("a").chmod(0o444)
        if os.access("a", os.W_OK):
            pytest.skip("this user may write anywhere")
        with pytest.raises(StoreError, match="read-only"):
            write_bytes("a", b"x")
        folder.chmod(0o555)
        with pytest.raises(StoreError, match="Permission denied"):
            write_bytes("b", b"x")
        with pytest.raises(StoreError, match="Permission denied"):
            make_folder("c")
        Path("a").chmod(0o000)
        folder.chmod(0o755)
        with pytest.raises(DataError, match="may not be read"):
            open_read("a")


class TestRead:
    @pytest.mark.parametrize("kind", ["folder", "FIFO", "socket", "device"])
    def test_only_regular_files(self, folder, kind):
        path = make_special(folder, kind)
        before = open_files()
        for refused in (open_read, expand):
            with pytest.raises(DataError) as caught:
                refused(path)
            assert caught.value.code is ErrorCode.NOT_A_FILE
        assert open_files() == before

    def test_not_found_names_the_closest(self, folder):
        write_bytes("houses.csv", b"")
        for refused in (open_read, stamp, expand):
            with pytest.raises(DataError, match=r"no file 'house.csv'.*did you mean 'houses.csv'") as caught:
                refused("house.csv")
            assert caught.value.code is ErrorCode.NOT_FOUND

    @pytest.mark.parametrize("path", ["houses.csv/a", "none/a", "a" * 300, "loop"])
    def test_not_found(self, folder, path):
        write_bytes("houses.csv", b"")
        Path("loop").symlink_to("loop")
        with pytest.raises(DataError) as caught:
            open_read(path)
        assert caught.value.code is ErrorCode.NOT_FOUND

    def test_links_are_followed_for_reading(self, folder):
        write_bytes("a", b"1")
        Path("link").symlink_to("a")
        with open_read("link") as file:
            assert file.read() == b"1"

    @pytest.mark.parametrize(
        ("number", "code"), [(errno.EACCES, ErrorCode.NOT_A_FILE), (errno.EIO, ErrorCode.STORE_FAILED)]
    )
    def test_refused_by_the_system(self, folder, monkeypatch, number, code):
        def fail(*_: object, **__: object) -> int:
            raise OSError(number, os.strerror(number))

        write_bytes("a", b"1")
        monkeypatch.setattr(os, "open", fail)
        with pytest.raises(LeptonError, match="'a'") as caught:
            open_read("a")
        assert caught.value.code is code


class TestStamp:
    def test_unchanged(self, folder):
        write_bytes("a", b"1")
        stamp("a").check("a")

    @pytest.mark.parametrize("change", ["append", "same-size", "replace", "remove"])
    def test_changed(self, folder, change):
        write_bytes("a", b"1")
        os.utime("a", ns=(0, 0))
        before = stamp("a")
        match change:
            case "append":
                Path("a").write_bytes(b"12")
            case "same-size":
                Path("a").write_bytes(b"3")
            case "replace":
                write_bytes("a", b"1")
            case "remove":
                Path("a").unlink()
        with pytest.raises(DataError, match=r"'a' (changed|disappeared) while") as caught:
            before.check("a")
        assert caught.value.code is ErrorCode.CHANGED_WHILE_READ


class TestExpand:
    @pytest.fixture
    def tree(self, folder):
        for name in ("b.csv", "a.csv", "c.txt", "sub/a.csv", "sub/deep/z.csv", ".hidden.csv", "odd[1].csv"):
            make_folder(Path(name).parent)
            write_bytes(name, b"x")
        make_folder("folder.csv")
        return folder

    @pytest.mark.parametrize(
        ("source", "wanted"),
        [
            ("a.csv", ["a.csv"]),
            (Path("a.csv"), ["a.csv"]),
            ("?.csv", ["a.csv", "b.csv"]),
            ("**/*.csv", ["a.csv", "b.csv", "odd[1].csv", "sub/a.csv", "sub/deep/z.csv"]),
            ("sub/**/*.csv", ["sub/a.csv", "sub/deep/z.csv"]),
            ("odd[1].csv", ["odd[1].csv"]),
            (["b.csv", "?.csv"], ["b.csv", "a.csv"]),
            (("sub/a.csv", Path("a.csv")), ["sub/a.csv", "a.csv"]),
        ],
    )
    def test_found(self, tree, source, wanted):
        assert [str(path) for path in expand(source)] == wanted

    def test_absolute(self, tree):
        assert expand(tree / "?.csv") == (tree / "a.csv", tree / "b.csv")

    @pytest.mark.parametrize("source", ["*.parquet", ["a.csv", "*.parquet"], "folder.cs?"])
    def test_nothing_matches(self, tree, source):
        with pytest.raises(DataError, match=r"'\*.parquet'|'folder.cs\?'") as caught:
            expand(source)
        assert caught.value.code is ErrorCode.NOT_FOUND

    def test_no_path_at_all(self):
        with pytest.raises(DataError, match="no path at all"):
            expand([])

    def test_a_folder_names_the_glob(self, tree):
        with pytest.raises(DataError, match=r"'sub' is a folder.*'sub/\*\.csv'") as caught:
            expand("sub")
        assert caught.value.code is ErrorCode.NOT_A_FILE


class TestNewFile:
    @pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
    def test_a_private_file_is_for_this_user_alone(self, folder, mask):
        earlier = os.umask(mask)
        try:
            write_new("private", b"x", private=True)
            write_new("public", b"y")
        finally:
            os.umask(earlier)
        assert (folder / "private").read_bytes() == b"x"
        assert mode_of(folder / "private") == 0o600
        assert mode_of(folder / "public") == 0o644 & ~mask

    def test_nothing_is_overwritten(self, folder):
        write_bytes("a", b"mine")
        (folder / "link").symlink_to("nowhere")
        (folder / "folder").mkdir()
        with pytest.raises(UsageError, match="'a' exists already"):
            write_new("a", b"x")
        for name in ("link", "folder", "none/a"):
            with pytest.raises(DataError):
                write_new(name, b"x")
        assert (folder / "a").read_bytes() == b"mine"
        assert names(folder) == ["a", "folder", "link"]

    def test_a_file_that_came_between_the_question_and_the_answer_stays(self, folder, monkeypatch):
        monkeypatch.setattr(files, "_checked", Path)  # which would have seen it
        (folder / "a").write_bytes(b"theirs")
        with pytest.raises(UsageError, match="exists already"):
            write_new("a", b"mine")
        assert (folder / "a").read_bytes() == b"theirs"

    @pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
    def test_any_error_leaves_nothing(self, folder, monkeypatch, error):
        def fail(_handle):
            raise error

        before = open_files()
        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises((StoreError, KeyboardInterrupt)):
            write_new("a", b"x", private=True)
        assert names(folder) == []
        assert open_files() == before

    def test_the_disk_refuses(self, folder, monkeypatch):
        def refuse(*_arguments):
            raise OSError(errno.EROFS, "read-only")

        monkeypatch.setattr(os, "open", refuse)
        with pytest.raises(StoreError) as caught:
            write_new("a", b"x")
        assert caught.value.code == ErrorCode.STORE_FAILED


class TestFolders:
    def test_scratch_is_private_and_goes(self, folder):
        with scratch_folder(folder) as place:
            assert place.parent == folder
            assert mode_of(place) == 0o700
            write_bytes(place / "a", b"x")
        assert names(folder) == []

    def test_scratch_goes_after_an_error(self, folder):
        with pytest.raises(RuntimeError), scratch_folder(folder) as place:  # noqa: PT012
            write_bytes(place / "a", b"x")
            raise RuntimeError
        assert names(folder) == []

    def test_scratch_without_a_place(self):
        with pytest.raises(StoreError, match="'none'"), scratch_folder("none"):
            pass

    def test_make_folder_twice(self, folder):
        assert make_folder("x/y") == make_folder("x/y") == Path("x/y")

    def test_only_old_leftovers_of_ours_go(self, folder):
        for name in (".lepton-part-old.csv", ".lepton-part-new", "data.csv", ".other"):
            write_bytes(name, b"x")
            if name != ".lepton-part-new":
                os.utime(name, (time.time() - 2 * 86400,) * 2)
        assert remove_leftovers(folder) == 1
        assert names(folder) == [".lepton-part-new", ".other", "data.csv"]


class Recorder:
    """Writes down the calls that make a rename durable, by what they touch."""

    def __init__(self, monkeypatch):
        self.calls: list[str] = []
        real_sync, real_replace = os.fsync, Path.replace

        def sync(handle: int) -> None:
            self.calls.append("sync folder" if mode_bits.S_ISDIR(os.fstat(handle).st_mode) else "sync file")
            real_sync(handle)

        def replace(path: Path, target: Path) -> Path:
            self.calls.append("rename")
            return real_replace(path, target)

        monkeypatch.setattr(os, "fsync", sync)
        monkeypatch.setattr(Path, "replace", replace)

    def check(self) -> None:
        assert self.calls == ["sync file", "rename", "sync folder"]


def test_the_order_that_survives_a_power_cut(folder, monkeypatch):
    recorder = Recorder(monkeypatch)
    write_bytes("a", b"x")
    recorder.check()


def test_the_order_is_really_checked(folder, monkeypatch):
    recorder = Recorder(monkeypatch)
    monkeypatch.setattr(files, "_sync_folder", lambda _: None)
    write_bytes("a", b"x")
    with pytest.raises(AssertionError):
        recorder.check()


@pytest.mark.parametrize(
    "url", ["https://me:canary@host/a.csv", "https:/host/a?canary", "s3://canary/a", "FILE:///canary"]
)
@pytest.mark.parametrize("call", [open_read, stamp, expand, lambda path: write_bytes(path, b"")])
def test_where_a_file_is_wanted_a_url_is_refused_and_not_repeated(call, url):
    with pytest.raises(DataError) as caught:
        call(url)
    assert caught.value.code is ErrorCode.NOT_A_FILE
    assert "canary" not in str(caught.value)

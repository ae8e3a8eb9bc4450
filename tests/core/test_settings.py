"""Settings: file, environment and flags in rising order; what is not known is refused."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from lepton.core import ErrorCode, Settings, UsageError, cache_folder, load_settings

GOOD = {
    "workers": st.integers(0, 1000),
    "memory": st.integers(0, 10**12),
    "seed": st.integers(0, 2**32),
    "log": st.sampled_from(["debug", "info", "warning", "error"]),
    "host": st.sampled_from(["0.0.0.0", "::1", "localhost"]),
    "port": st.integers(0, 65535),
    "cache": st.sampled_from(["", "somewhere", "/else where"]),
}
some = st.fixed_dictionaries({}, optional=GOOD)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(values: dict[str, object]) -> None:
    lines = [f"{key} = '{value}'" if isinstance(value, str) else f"{key} = {value}" for key, value in values.items()]
    Path("lepton.toml").write_text("[lepton]\n" + "\n".join(lines), "utf-8")


def test_every_setting_has_a_rule_here():
    assert {field.name for field in fields(Settings)} == set(GOOD)


def test_defaults_without_anything():
    assert load_settings(environ={}) == Settings()


@given(some, some, some)
def test_later_ones_win(in_file, in_environment, as_flags):
    write(in_file)
    environ = {f"LEPTON_{key.upper()}": str(value) for key, value in in_environment.items()}
    assert load_settings(environ=environ, flags=as_flags) == Settings(**{**in_file, **in_environment, **as_flags})


def test_flags_that_were_not_given_change_nothing():
    assert load_settings(environ={"LEPTON_PORT": "9"}, flags={"port": None}).port == 9


def test_other_tables_and_variables_are_not_ours():
    Path("lepton.toml").write_text("[other]\nport = 1\n")
    assert load_settings(environ={"LEPTON_CONFIG": "lepton.toml", "PORT": "2", "TLEPTON_PORT": "3"}) == Settings()


def test_a_named_file():
    Path("mine.toml").write_text("[lepton]\nport = 1\n")
    write({"port": 2})
    assert load_settings("mine.toml", {}).port == 1
    assert load_settings(environ={"LEPTON_CONFIG": "mine.toml"}).port == 1
    assert load_settings(environ={}).port == 2


@pytest.mark.parametrize(("text", "size"), [("4GB", 4 * 10**9), ("1GiB", 2**30), ("500", 500)])
def test_memory_as_a_size(text, size):
    write({"memory": text})
    assert load_settings(environ={}).memory == size


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("workers", -1),
        ("workers", "many"),
        ("workers", True),
        ("port", 65536),
        ("port", "80a"),
        ("seed", 1.5),
        ("log", "loud"),
        ("host", 3),
        ("memory", "lots"),
    ],
)
def test_values_that_cannot_be_used(key, value):
    with pytest.raises(UsageError, match=key):
        load_settings(environ={}, flags={key: value})


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[lepton]\nprot = 1", r"unknown setting 'prot'.*did you mean 'port'"),
        ("[lepton]\nzzz = 1", r"unknown setting 'zzz'.*one of workers"),
        ("lepton = [", "not valid TOML"),
        ("lepton = 3", r"sets lepton to 3.*a table \[lepton\]"),
    ],
)
def test_files_that_cannot_be_used(text, what):
    Path("lepton.toml").write_text(text)
    with pytest.raises(UsageError, match=what) as caught:
        load_settings(environ={})
    assert caught.value.code is ErrorCode.BAD_SETTING
    assert "lepton.toml" in str(caught.value)


def test_files_that_are_not_text():
    Path("lepton.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not valid TOML"):
        load_settings(environ={})


def test_a_named_file_must_be_there():
    with pytest.raises(UsageError, match=r"no settings file 'none\.toml'"):
        load_settings("none.toml", {})


def test_the_folder_of_caches(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("LEPTON_CACHE", raising=False)
    assert cache_folder() == Settings().cache_path == Path("/home/somebody/.cache/lepton")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert cache_folder() == Path("/caches/lepton")
    monkeypatch.setenv("LEPTON_CACHE", "/mine")
    assert cache_folder() == Path("/mine")
    assert Settings(cache="/chosen").cache_path == Path("/chosen")


def test_an_unknown_variable_of_ours_is_refused():
    with pytest.raises(UsageError, match=r"LEPTON|'prot'.*did you mean 'port'"):
        load_settings(environ={"LEPTON_PROT": "9"})

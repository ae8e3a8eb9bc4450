"""The traffic file: what it says, and what it cannot say."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from lepton.core import DataError, ErrorCode, UsageError
from lepton.serving.traffic.rules import (
    BoundsRecord,
    CacheRecord,
    CombinationRecord,
    HeaderRecord,
    ShadowRecord,
    Target,
    read_rules,
    rules_of,
)

FILE = """
aliases: {champion: houses@3}
splits:
  houses:
    shares: {houses@3: 0.9, houses@4: 0.1}
    by: X-User
    headers: [{name: X-Tier, equals: beta, to: houses@4}]
    shadow: {to: houses@5, share: 0.25}
    bounds: {houses@4: {errors: 0.02, p95_ms: 50, window: 60, count: 100}}
pipelines: {price_then_class: [a, b@2]}
ensembles: {both: {of: [a, champion], by: mean}}
cache: {houses: {rows: 10000, seconds: 60}}
"""


def test_what_a_file_says(tmp_path: Path) -> None:
    path = tmp_path / "traffic.yaml"
    path.write_text(FILE)
    rules = read_rules(path)
    new = Target("houses", "4")
    assert rules.aliases == {"champion": Target("houses", "3")}
    split = rules.splits["houses"]
    assert split.shares == {Target("houses", "3"): 0.9, new: 0.1}
    assert (split.by, split.headers) == ("x-user", (HeaderRecord("x-tier", "beta", new),))
    assert split.shadow == ShadowRecord(Target("houses", "5"), 0.25)
    assert split.bounds == {new: BoundsRecord(0.02, 50.0, False, 60.0, 100)}
    assert rules.combinations == {
        "price_then_class": CombinationRecord((Target("a"), Target("b", "2"))),
        "both": CombinationRecord((Target("a"), Target("champion")), "mean"),
    }
    assert rules.caches == {"houses": CacheRecord(10_000, 60.0)}
    assert rules.names == {
        "champion": "alias",
        "houses": "split",
        "price_then_class": "pipeline",
        "both": "ensemble",
    }


def test_json_is_yaml_and_an_empty_file_is_not_written_yet(tmp_path: Path) -> None:
    path = tmp_path / "traffic.json"
    path.write_text('{"aliases": {"champion": "houses"}}')
    assert read_rules(path).aliases == {"champion": Target("houses")}
    path.write_text("{}")
    assert read_rules(path).names == {}
    path.write_text("")
    with pytest.raises(UsageError, match="the file is empty"):
        read_rules(path)
    path.write_text("aliases: {a: b, a: c}")
    with pytest.raises(DataError, match="twice"):
        read_rules(path)


def split(**fields: Any) -> dict[str, Any]:
    return {"splits": {"a": {"shares": {"a@1": 0.5, "a@2": 0.5}, **fields}}}


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ([], "the file is"),
        ({"alias": {}}, "unknown key 'alias'"),
        ({"aliases": {"x": 3}}, "aliases.x is 3"),
        ({"aliases": {"../x": "a"}}, "cannot be used"),
        ({"aliases": {"x": "../../etc/passwd"}}, "cannot be used"),
        ({"aliases": {"x": "a@v3"}}, "a@v3"),
        ({"aliases": {"x": "a@"}}, "a@"),
        ({"aliases": {"x": "a@03"}}, "a@03"),
        ({"aliases": {"x": "a"}, "pipelines": {"x": ["a", "b"]}}, "which aliases has too"),
        ({"aliases": {"x": "y", "y": "z", "z": "x"}}, "in a circle: x → y → z → x"),
        ({"pipelines": {"x": ["a", "y"]}, "ensembles": {"y": {"of": ["x", "a"], "by": "mean"}}}, "in a circle"),
        ({"pipelines": {"x": ["a"]}}, "list of 2 to 20"),
        ({"pipelines": {"x": "a"}}, "list of 2 to 20"),
        ({"ensembles": {"x": {"of": ["a", "b"], "by": "median"}}}, "mean or vote"),
        ({"ensembles": {"x": {"of": ["a", "b"]}}}, "has no by"),
        ({"cache": {"a": {"rows": 0, "seconds": 1}}}, "cache.a.rows is 0"),
        ({"cache": {"a": {"rows": 5}}}, "has no seconds"),
        ({"cache": {"a": {"rows": True, "seconds": 1}}}, "rows is True"),
        ({"splits": {"a": {"shares": {"a@1": 0.5, "a@2": 0.4}}}}, "sum to 0.9"),
        ({"splits": {"a": {"shares": {}}}}, "sum to 0"),
        ({"splits": {"a": {"shares": {"a@1": 1.5, "a@2": -0.5}}}}, "from 0 to 1"),
        ({"splits": {"a": {"shares": {"a@1": float("nan")}}}}, "from 0 to 1"),
        ({"splits": {"a": {"sides": {}}}}, "unknown key 'sides'"),
        (split(by="x user"), "a header's name"),
        (split(headers={}), "a list of"),
        (split(headers=[{"name": "x-tier", "equals": 3, "to": "a"}]), "in quotes"),
        (split(shadow={"to": "b", "share": 2}), "from 0 to 1"),
        (split(bounds={"a@9": {"errors": 0.1}}), "names 'a@9'"),
        (split(bounds={"a@2": {}}), "bounds nothing"),
        (split(bounds={"a@2": {"errors": 0.1, "count": 3}}), "count is 3"),
        (split(bounds={"a@2": {"drift": "yes"}}), "true or false"),
        ({"splits": {"a": {"bounds": {"a": {"errors": 0.1}}}}}, "one of several sides"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_place(raw: Any, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        rules_of(raw)
    assert refused.value.code is ErrorCode.BAD_TRAFFIC
    assert said in str(refused.value)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["a", "a@1", "x", "\u202e", "../a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["aliases", "splits", "pipelines", "ensembles", "cache", "shares", "by", "of", "a", "rows"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(PLAIN)
def test_whatever_stands_in_a_file_it_is_read_or_refused(raw: Any) -> None:
    with contextlib.suppress(UsageError):
        rules_of(raw)

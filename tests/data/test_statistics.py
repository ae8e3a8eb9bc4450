"""Statistics: bounds hold, parts merge, summaries keep rows private, distances mean what they say."""

from __future__ import annotations

import json
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from lepton.core import BundleError, ColumnRecord, DataError, Kind, Role, Schema, UsageError
from lepton.data.statistics import (
    Baseline,
    ColumnStatistics,
    DistinctSketch,
    FrequentValues,
    Moments,
    NumberStatistics,
    QuantileSketch,
    chi_square,
    jensen_shannon,
    kolmogorov_smirnov,
    psi,
    shares,
)
from lepton.data.statistics.distinct import hash_numbers, hash_texts

FINITE = st.floats(allow_nan=False, allow_infinity=False)
ROWS = hnp.arrays(np.float64, st.integers(0, 400), elements=FINITE)
SIZES = st.lists(st.integers(0, 3_000), min_size=1, max_size=8)
SHAPES = {
    "random": lambda rng, n: rng.normal(size=n),
    "rising": lambda rng, n: np.arange(n, dtype=float),
    "falling": lambda rng, n: -np.arange(n, dtype=float),
    "zooming in": lambda rng, n: np.where(np.arange(n) % 2, 1.0, -1.0) / (1 + np.arange(n)),
    "few values": lambda rng, n: rng.integers(0, 5, n).astype(float),
    "periodic": lambda rng, n: (np.arange(n) % 64).astype(float),
}


def sketch_of(*parts, size=256):
    sketch = QuantileSketch(size)
    for part in parts:
        sketch.update(part)
    return sketch


def worst_rank(sketch, rows):
    """Largest difference of estimated and true ranks, as a share of the rows, at every place where either jumps."""
    places = np.concatenate([rows, sketch.values()])
    true = np.searchsorted(np.sort(rows), places, side="right")
    return np.abs(sketch.rank(places) - true).max() / len(rows)


def column(kind, values, name="c", **options):
    out = ColumnStatistics(name, kind, **options)
    out.update(values if isinstance(values, pl.Series) else pl.Series(values))
    return out


class TestQuantiles:
    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("batch", [1, 37, 1_000, 20_000])
    def test_ranks_stay_within_the_stated_error(self, shape, batch):
        n = min(20_000, batch * 600)
        rows = SHAPES[shape](np.random.default_rng(1), n)
        sketch = sketch_of(*(rows[i : i + batch] for i in range(0, n, batch)))
        assert worst_rank(sketch, rows) <= sketch.rank_error + 1e-12
        assert sketch.num_kept <= 256
        assert sketch.rank_error < 0.06

    @given(SIZES, st.integers(0, 5))
    def test_the_error_bounds_any_batches(self, sizes, seed):
        rng = np.random.default_rng(seed)
        parts = [rng.choice([0.0, 1.0, 1e300, -3.5], size=k) * rng.random(k) for k in sizes]
        rows = np.concatenate(parts)
        sketch = sketch_of(*parts, size=64)
        if len(rows):
            assert worst_rank(sketch, rows) <= sketch.rank_error + 1e-12

    @given(SIZES, st.integers(0, 5))
    def test_merging_stays_within_the_stated_error_in_any_order(self, sizes, seed):
        rng = np.random.default_rng(seed)
        parts = [rng.normal(size=k) for k in sizes]
        rows = np.concatenate(parts)
        for order in (parts, parts[::-1]):
            merged = QuantileSketch(64)
            for part in order:
                merged.merge(sketch_of(part, size=64))
            assert merged.count == len(rows)
            if len(rows):
                assert worst_rank(merged, rows) <= merged.rank_error + 1e-12

    @given(ROWS.filter(len), st.lists(st.floats(0, 1), min_size=1, max_size=5))
    def test_few_rows_give_what_numpy_gives(self, rows, wanted):
        sketch = sketch_of(rows, size=512)
        assert sketch.rank_error == 0
        bounded = rows / 4  # numpy's own interpolation overflows
        # What is next to nothing beside the rows is rounded away by either.
        nothing = max(1e-300, 1e-15 * np.abs(bounded).max())
        np.testing.assert_allclose(sketch.quantile(wanted) / 4, np.quantile(bounded, wanted), rtol=1e-9, atol=nothing)

    def test_the_default_size_is_accurate(self):
        rows = np.random.default_rng(0).lognormal(size=1_000_000)
        sketch = sketch_of(*np.array_split(rows, 16), size=4_096)
        assert sketch.rank_error < 0.002
        assert worst_rank(sketch, rows) <= sketch.rank_error

    def test_the_same_batches_give_the_same_bytes(self):
        rows = np.random.default_rng(0).normal(size=30_000)
        first, second = (json.dumps(sketch_of(*np.array_split(rows, 7)).to_dict()) for _ in range(2))
        assert first == second

    @given(SIZES)
    def test_json_keeps_everything(self, sizes):
        sketch = sketch_of(*(np.arange(k, dtype=float) for k in sizes))
        again = QuantileSketch.from_dict(json.loads(json.dumps(sketch.to_dict())))
        assert again.to_dict() == sketch.to_dict()
        places = np.array([-1.0, 0.0, 17.0, 1e9])
        assert again.rank(places).tolist() == sketch.rank(places).tolist()

    def test_nothing_seen(self):
        sketch = QuantileSketch()
        assert np.isnan(sketch.quantile(0.5)).all()
        assert np.isnan(sketch.share(np.zeros(1))).all()
        assert sketch.summary(10).count == 0

    def test_summaries_answer_within_their_error_and_are_final(self):
        rows = np.random.default_rng(0).normal(size=50_000)
        summary = sketch_of(rows, size=4_096).summary(100)
        assert summary.num_kept == 100
        assert 0.005 < summary.rank_error < 0.02
        assert worst_rank(summary, rows) <= summary.rank_error
        with pytest.raises(UsageError, match="final"):
            summary.update(rows)
        with pytest.raises(UsageError, match="final"):
            QuantileSketch().merge(summary)

    def test_a_size_that_cannot_work(self):
        with pytest.raises(UsageError, match="size 3"):
            QuantileSketch(3)

    @pytest.mark.parametrize(
        "damage", [{"levels": []}, {"levels": ["AAAA"]}, {"count": -1}, {"count": "x"}, {"size": 1}, {"levels": [3]}]
    )
    def test_damaged_json_is_refused(self, damage):
        with pytest.raises(ValueError):  # noqa: PT011
            QuantileSketch.from_dict({**sketch_of(np.arange(9.0)).to_dict(), **damage})


class TestNumbers:
    @given(hnp.arrays(np.float64, st.integers(3, 200), elements=st.floats(-1e6, 1e6)), st.integers(0, 200))
    def test_moments_of_parts_are_those_of_the_whole(self, rows, cut):
        joint = Moments.of(rows)
        merged = Moments.of(rows[:cut]).joined(Moments.of(rows[cut:]))
        scale = max(1.0, float(np.abs(rows).max()))
        assert merged.count == joint.count
        assert merged.mean == pytest.approx(joint.mean, rel=1e-9, abs=1e-9 * scale)
        assert merged.squares == pytest.approx(joint.squares, rel=1e-8, abs=1e-9 * scale**2)
        assert merged.cubes == pytest.approx(joint.cubes, rel=1e-7, abs=1e-7 * scale**3)

    def test_moments_against_the_textbook(self):
        rows = np.random.default_rng(0).gamma(2.0, size=10_000)
        moments = Moments.of(rows)
        assert moments.deviation == pytest.approx(rows.std(ddof=1))
        assert moments.skew == pytest.approx(((rows - rows.mean()) ** 3).mean() / rows.std() ** 3)

    def test_moments_that_do_not_exist_or_overflow(self):
        assert Moments.of(np.array([3.0])).deviation is None
        assert Moments.of(np.full(9, 3.0)).skew is None
        huge = Moments.of(np.array([1e300, -1e300, 5.0]))
        assert huge.deviation is None
        assert huge.skew is None

    def test_infinities_and_zeros_are_counted(self):
        numbers = NumberStatistics()
        numbers.update(np.array([np.inf, -0.0, 0.0, 2.0, -np.inf, np.inf]))
        assert (numbers.zeros, numbers.below, numbers.above, numbers.infinities) == (2, 1, 2, 3)
        assert (numbers.sketch.minimum, numbers.sketch.maximum, numbers.moments.count) == (0.0, 2.0, 3)

    def test_overflowed_moments_survive_json(self):
        numbers = NumberStatistics()
        numbers.update(np.array([1e300, -1e300, 1e308]))
        again = NumberStatistics.from_dict(json.loads(json.dumps(numbers.to_dict(), allow_nan=False)))
        assert again.moments.deviation is None
        assert again.sketch.maximum == 1e308


class TestDistinct:
    @given(st.lists(st.lists(st.integers(0, 3_000), max_size=50), max_size=10))
    def test_few_values_are_counted_exactly_and_merge_exactly(self, parts):
        joint, merged = DistinctSketch(), DistinctSketch()
        for part in parts:
            hashes = hash_numbers(np.array(part, dtype=float))
            joint.update(hashes)
            piece = DistinctSketch()
            piece.update(hashes)
            merged.merge(piece)
        assert joint.estimate == len({v for part in parts for v in part})
        assert joint.is_exact
        assert merged.to_dict() == joint.to_dict()

    @pytest.mark.parametrize("count", [2_000, 100_000])
    def test_many_values_are_estimated_within_four_standard_errors(self, count):
        for hashes in (
            hash_numbers(np.arange(count, dtype=float)),
            hash_texts(pl.Series(range(count)).cast(pl.String)),
        ):
            sketch = DistinctSketch()
            for part in np.array_split(hashes, 9):
                sketch.update(part)
            assert not sketch.is_exact
            assert sketch.estimate == pytest.approx(count, rel=4 * sketch.relative_error)

    @given(st.lists(st.text(alphabet=st.characters(codec="utf-8"), max_size=6), max_size=30))
    def test_texts_hash_by_their_content_wherever_they_stand(self, texts):
        hashes = hash_texts(pl.Series(texts, dtype=pl.String)).tolist()
        alone = [hash_texts(pl.Series([text])).item() for text in texts]
        assert hashes == alone
        assert len(set(hashes)) == len(set(texts))

    def test_hashes_never_change(self):
        assert hash_numbers(np.array([0.0, -0.0, 1.5])).tolist() == [
            16294208416658607535,
            16294208416658607535,
            15481881892811333770,
        ]
        assert hash_texts(pl.Series(["", "a", "房子"])).tolist() == [
            16294208416658607535,
            509744100601655171,
            6933854478372094816,
        ]

    def test_long_texts_that_share_their_start_differ_by_length(self):
        assert len(set(hash_texts(pl.Series(["x" * 500, "x" * 501])).tolist())) == 2

    def test_sealed_estimates_hold_no_hashes(self):
        sketch = DistinctSketch()
        sketch.update(hash_numbers(np.arange(10.0)))
        sealed = sketch.sealed()
        assert sealed.to_dict() == {"size": 1024, "estimate": 10, "exact": True}
        assert DistinctSketch.from_dict(sealed.to_dict()).estimate == 10
        with pytest.raises(UsageError, match="final"):
            sketch.merge(sealed)


class TestFrequent:
    @given(st.lists(st.lists(st.sampled_from("abcdefghij"), max_size=40), max_size=8))
    def test_counts_are_off_by_the_stated_error_at_most(self, parts):
        frequent = FrequentValues(4)
        joint: dict[str, int] = {}
        for part in parts:
            counts = {v: part.count(v) for v in sorted(set(part))}
            piece = FrequentValues(4)
            piece.update(counts.items())
            frequent.merge(piece)
            for value, count in counts.items():
                joint[value] = joint.get(value, 0) + count
        kept = dict(frequent.top())
        for value, count in joint.items():
            assert kept.get(value, 0) <= count <= kept.get(value, 0) + frequent.error
        assert frequent.rows == sum(joint.values())
        assert frequent.error <= frequent.rows / 4
        assert frequent.other == frequent.rows - sum(kept.values())

    def test_equal_counts_stand_in_the_order_of_values(self):
        frequent = FrequentValues(9)
        frequent.update([("b", 1), ("a", 1), ("c", 2)])
        assert frequent.top(2) == [("c", 2), ("a", 1)]

    def test_rare_values_are_folded_and_the_error_says_so(self):
        frequent = FrequentValues(9)
        frequent.update([("a", 50), ("b", 9), ("c", 1)])
        limited = frequent.limited(min_rows=10)
        assert limited.top() == [("a", 50)]
        assert (limited.other, limited.error) == (10, 9)

    @pytest.mark.parametrize("damage", [{"counts": [99]}, {"rows": -1}, {"values": [None]}, {"counts": []}])
    def test_damaged_json_is_refused(self, damage):
        frequent = FrequentValues(9)
        frequent.update([("a", 5)])
        with pytest.raises(ValueError):  # noqa: PT011
            FrequentValues.from_dict({**frequent.to_dict(), **damage})


SERIES = {
    Kind.NUMBER: pl.Series([1.0, None, math.nan, 2.0, 2.0, math.inf, 0.0]),
    Kind.BOOLEAN: pl.Series([True, None, False, True]),
    Kind.CATEGORY: pl.Series(["a", "b", None, "a", "é"]),
    Kind.TEXT: pl.Series(["some words", None, "", "more"]),
    Kind.IDENTIFIER: pl.Series(["x1", "x2", "x3"]),
    Kind.DATETIME: pl.Series([0, 86_400_000_000, None]).cast(pl.Datetime("us", "UTC")),
    Kind.IMAGE: pl.Series([b"1", None]),
}


def without_moments(statistics):
    """Everything that merges exactly: sums are rounded in the order in which they are added."""
    raw = statistics.to_dict()
    raw.get("numbers", {}).pop("moments", None)
    return raw


class TestColumns:
    @pytest.mark.parametrize("kind", SERIES)
    def test_parts_give_what_the_whole_gives(self, kind):
        joint = column(kind, SERIES[kind])
        merged = ColumnStatistics("c", kind)
        for row in range(len(SERIES[kind])):
            merged.merge(column(kind, SERIES[kind][row : row + 1]))
        assert without_moments(merged) == without_moments(joint)
        assert joint.rows == len(SERIES[kind])
        if joint.numbers and merged.numbers:
            assert merged.numbers.moments.count == joint.numbers.moments.count
            assert merged.numbers.moments.deviation == pytest.approx(joint.numbers.moments.deviation)

    @pytest.mark.parametrize("kind", SERIES)
    def test_json_keeps_everything(self, kind):
        for statistics in (
            column(kind, SERIES[kind]),
            column(kind, SERIES[kind]).summary(),
            ColumnStatistics("c", kind),
        ):
            text = json.dumps(statistics.to_dict(), allow_nan=False)
            assert ColumnStatistics.from_dict(json.loads(text)).to_dict() == json.loads(text)

    def test_numbers(self):
        found = column(Kind.NUMBER, SERIES[Kind.NUMBER])
        assert (found.rows, found.missing, found.present, found.distinct.estimate) == (7, 2, 5, 3)
        assert found.numbers.zeros == found.numbers.above == 1
        assert found.frequent.top(1) == [(2.0, 2)]
        assert column(Kind.NUMBER, pl.Series([1, 2, None])).numbers.moments.mean == 1.5

    def test_categories_texts_truth_and_moments(self):
        assert column(Kind.CATEGORY, SERIES[Kind.CATEGORY]).frequent.top() == [("a", 2), ("b", 1), ("é", 1)]
        assert column(Kind.TEXT, SERIES[Kind.TEXT]).numbers.sketch.maximum == 10
        assert column(Kind.BOOLEAN, SERIES[Kind.BOOLEAN]).frequent.top() == [("true", 2), ("false", 1)]
        assert column(Kind.DATETIME, SERIES[Kind.DATETIME]).numbers.sketch.maximum == 86_400e6
        dates = pl.Series([0, 1]).cast(pl.Date)
        assert column(Kind.DATETIME, dates).numbers.sketch.maximum == 86_400e6

    @pytest.mark.parametrize("kind", [Kind.NUMBER, Kind.CATEGORY, Kind.IDENTIFIER])
    def test_json_is_at_most_64_kilobytes_however_many_and_long_the_values(self, kind):
        values = pl.Series(np.random.default_rng(0).random(120_000))
        if kind is not Kind.NUMBER:
            values = values.cast(pl.String) + "é\U0001f600" * 70
        statistics = ColumnStatistics("c" * 128, kind)
        for start in range(0, len(values), 50_000):
            statistics.update(values[start : start + 50_000])
        assert len(json.dumps(statistics.to_dict(), ensure_ascii=False).encode()) <= 64_000

    def test_frequent_numbers_are_found_among_many(self):
        rng = np.random.default_rng(0)
        rows = np.where(rng.random(200_000) < 0.05, -999.0, rng.normal(size=200_000))
        statistics = ColumnStatistics("c", Kind.NUMBER)
        for part in np.array_split(rows, 5):
            statistics.update(pl.Series(part))
        assert statistics.frequent is not None
        (value, count), error = statistics.frequent.top()[0], statistics.frequent.error
        true = int((rows == -999).sum())
        assert value == -999
        assert count <= true <= count + error
        assert error < 200_000 / 64

    def test_what_cannot_be_of_the_kind_is_refused(self):
        with pytest.raises(DataError, match=r"'c' came as String.*kind number"):
            column(Kind.NUMBER, ["a"])
        with pytest.raises(DataError, match="kind datetime"):
            column(Kind.DATETIME, ["a"])
        with pytest.raises(DataError, match="got statistics of the text 'd'"):
            column(Kind.NUMBER, [1.0]).merge(column(Kind.TEXT, ["a"], name="d"))

    def test_summaries_hold_no_single_rows(self):
        names = ["often"] * 40 + ["seldom"] * 9
        summary = column(Kind.CATEGORY, names).summary()
        text = json.dumps(summary.to_dict())
        assert "often" in text
        assert "seldom" not in text
        assert "hashes" not in text
        assert summary.frequent.other == 9
        assert summary.distinct.estimate == 2
        assert column(Kind.NUMBER, np.arange(100.0)).summary().numbers.sketch.num_kept == 10
        with pytest.raises(UsageError, match="final"):
            summary.update(pl.Series(["often"]))
        with pytest.raises(UsageError, match="final"):
            column(Kind.CATEGORY, names).merge(summary)


class TestDistances:
    def test_equal_columns_are_near_and_shifted_ones_far(self):
        rng = np.random.default_rng(0)
        same = [column(Kind.NUMBER, rng.normal(size=20_000)) for _ in range(2)]
        far = column(Kind.NUMBER, rng.normal(3, size=20_000))
        for distance, near, wide in (
            (psi, 0.01, 2.0),
            (kolmogorov_smirnov, 0.02, 0.8),
            (chi_square, 0.03, 0.7),
            (jensen_shannon, 0.03, 0.7),
        ):
            assert 0 <= distance(*same) < near
            assert distance(same[0], far) > wide
            assert distance(same[0], same[0]) == 0

    @given(ROWS.filter(len), ROWS.filter(len))
    def test_kolmogorov_smirnov_against_its_definition(self, a, b):
        places = np.concatenate([a, b])
        first, second = ((np.sort(v)[:, None] <= places).mean(axis=0) for v in (a, b))
        found = kolmogorov_smirnov(column(Kind.NUMBER, a), column(Kind.NUMBER, b))
        assert found == pytest.approx(np.abs(first - second).max())

    def test_formulas_on_a_small_table(self):
        a = column(Kind.CATEGORY, ["x"] * 30 + ["y"] * 10)
        b = column(Kind.CATEGORY, ["x"] * 10 + ["y"] * 30)
        p = (np.array([30, 10, 0, 0]) + 0.5) / 42
        q = (np.array([10, 30, 0, 0]) + 0.5) / 42
        assert psi(a, b) == pytest.approx(((q - p) * np.log(q / p)).sum())
        assert chi_square(a, b) == pytest.approx(0.5)
        m = 0.5
        assert jensen_shannon(a, b) ** 2 == pytest.approx(0.75 * np.log2(0.75 / m) + 0.25 * np.log2(0.25 / m))

    def test_bins_count_missing_infinite_and_new_values(self):
        a = column(Kind.NUMBER, [*map(float, range(10)), math.inf, None])
        first, second = shares(a, column(Kind.NUMBER, [-math.inf, None, None]), bins=2)
        assert first.tolist() == [5, 5, 0, 1, 1]
        assert second.tolist() == [0, 0, 1, 0, 2]
        first, second = shares(column(Kind.CATEGORY, ["a", "a", "b"]), column(Kind.CATEGORY, ["a", "new", None]))
        assert first.tolist() == [2, 1, 0, 0]
        assert second.tolist() == [1, 0, 1, 1]

    def test_a_summary_serves_as_reference(self):
        rng = np.random.default_rng(0)
        rows = rng.normal(size=20_000)
        full, later = column(Kind.NUMBER, rows), column(Kind.NUMBER, rng.normal(0.5, size=5_000))
        assert psi(full.summary(), later) == pytest.approx(psi(full, later), rel=0.1)
        assert kolmogorov_smirnov(full.summary(), later) == pytest.approx(kolmogorov_smirnov(full, later), abs=0.01)

    @pytest.mark.parametrize("distance", [psi, kolmogorov_smirnov, chi_square, jensen_shannon])
    def test_no_rows_is_no_distance(self, distance):
        full, empty = column(Kind.NUMBER, [1.0, 2.0]), ColumnStatistics("c", Kind.NUMBER)
        assert math.isnan(distance(full, empty))
        assert math.isnan(distance(empty, full))

    @pytest.mark.parametrize("distance", [psi, kolmogorov_smirnov, chi_square, jensen_shannon])
    def test_columns_that_cannot_be_compared(self, distance):
        with pytest.raises(DataError, match="the same kind"):
            distance(column(Kind.NUMBER, [1.0]), column(Kind.TEXT, ["a"]))
        with pytest.raises(DataError, match="kind image"):
            distance(column(Kind.IMAGE, [b"1"]), column(Kind.IMAGE, [b"1"]))
        if distance is kolmogorov_smirnov:
            with pytest.raises(DataError, match="use chi_square"):
                distance(column(Kind.CATEGORY, ["a"]), column(Kind.CATEGORY, ["a"]))


SCHEMA = Schema(
    (
        ColumnRecord("size", Kind.NUMBER),
        ColumnRecord("place", Kind.CATEGORY, "string"),
        ColumnRecord("price", Kind.NUMBER, role=Role.TARGET),
    )
)


class TestBaseline:
    def baseline(self):
        rng = np.random.default_rng(0)
        frame = pl.DataFrame({"size": rng.normal(size=500), "place": ["a", "b"] * 250, "price": rng.normal(size=500)})
        outputs = {"prediction": np.array(["no", "yes"] * 50), "probabilities": rng.dirichlet([1, 1], size=100)}
        return Baseline.of(frame, SCHEMA, outputs)

    def test_features_and_outputs_are_summarised(self):
        baseline = self.baseline()
        assert [c.name for c in baseline.inputs] == ["size", "place"]
        assert [c.name for c in baseline.outputs] == ["prediction", "probabilities[0]", "probabilities[1]"]
        assert all(c.is_final for c in baseline.inputs + baseline.outputs)
        assert [c.kind for c in baseline.outputs] == [Kind.CATEGORY, Kind.NUMBER, Kind.NUMBER]

    def test_many_output_columns_keep_the_largest_only(self):
        wide = Baseline.of(pl.DataFrame(), Schema(()), {"probabilities": np.full((20, 40), 0.025)})
        assert [c.name for c in wide.outputs] == ["probabilities[max]"]

    def test_members_are_small_deterministic_and_read_back(self):
        members = self.baseline().to_members()
        assert members == self.baseline().to_members()
        assert sorted(members) == ["inputs.json", "outputs.json"]
        assert all(len(data) < 6_000 for data in members.values())
        assert Baseline.from_members(members).to_members() == members

    @pytest.mark.parametrize(
        "data",
        [b"", b"[]", b"{}", b'{"format":2,"columns":[]}', b'{"format":1,"columns":[{}]}', b"\xff", b'{"format":1}'],
    )
    def test_damaged_members_are_refused(self, data):
        with pytest.raises(BundleError, match="baseline cannot be read"):
            Baseline.from_members({"inputs.json": data, "outputs.json": data})


def test_there_are_no_more_different_values_than_values():
    columns = []
    for seed in range(6):
        column = ColumnStatistics("x", Kind.NUMBER)
        column.update(pl.Series(np.random.default_rng(seed).random(5_000)))
        columns.append(column)
    assert any(column.distinct.estimate > 5_000 for column in columns)
    assert all(4_500 < column.num_distinct <= 5_000 for column in columns)

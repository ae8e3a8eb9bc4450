# ruff: noqa: DTZ001
import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from lepton.core import ColumnRecord, DataError, Kind, Role, Schema, UsageError, Work
from lepton.data.recipes.base import RecipeStep, RunContext
from lepton.data.recipes.steps.rows import Balance, Sample, Shuffle, Sort, Split, _limit
from lepton.data.split import hashed, split_random
from lepton.store import scratch_folder
from tests.data.recipes.step_contract import check_step

SCHEMA = Schema(
    (
        ColumnRecord("id", Kind.NUMBER, "int64"),
        ColumnRecord("town", Kind.CATEGORY, "string"),
        ColumnRecord("who", Kind.IDENTIFIER, "string"),
        ColumnRecord("when", Kind.DATETIME, "datetime"),
    )
)
TOWNS = ["Ulm", "Bonn", None, "Ulm", "Ulm", "Köln", "Bonn", "Ulm"]
FRAME = pl.DataFrame(
    {
        "id": range(40),
        "town": TOWNS * 5,
        "who": [f"p{i % 9}" for i in range(40)],
        "when": [dt.datetime(2024, 1, 1) + dt.timedelta(days=(i * 7) % 40) for i in range(40)],
    }
)


def run(step: RecipeStep, frame: pl.DataFrame = FRAME, piece: int = 100, memory: int = 10**9) -> pl.DataFrame:
    bound = step.bind(SCHEMA, {})
    with scratch_folder() as folder:
        frames = list(bound.run(lambda: frame.iter_slices(piece), RunContext(Work(), folder, memory)))  # type: ignore[attr-defined]
    made = pl.concat(frames) if frames else frame.clear()
    assert not frames or tuple(made.columns) == bound.schema.names
    return made


STEPS = [
    Sort(("town", "when"), ("when",)),
    Shuffle(3),
    Sample(11, seed=2),
    Sample(share=0.3),
    Balance("town"),
    Balance("town", "over"),
    Split(0.25, 0.25),
    Split(by="town"),
    Split(by="who"),
    Split(by="when"),
]


@pytest.mark.parametrize("step", STEPS, ids=repr)
@pytest.mark.parametrize("piece", [1, 7])
def test_rows_do_not_depend_on_the_pieces(step, piece):
    assert run(step, piece=piece, memory=600).equals(run(step))


@pytest.mark.parametrize(
    "step",
    [*STEPS[2:4], Sort(("k", "v"), True), Shuffle(), Balance("k"), Balance("k", "over"), Split(), Split(by="k")],
    ids=repr,
)
def test_contract(step, tmp_path):
    columns = {"k": ["b", "a", None, "a", "b"], "v": [1.5, 2.0, None, 3.0, 4.0]}
    check_step(step, columns, scratch=tmp_path, all_missing=not isinstance(step, Split))  # one row cannot be split


def test_sort_puts_missing_last_and_keeps_equal_rows_in_order():
    made = run(Sort(("town",)))
    assert made["town"].unique(maintain_order=True).to_list() == ["Bonn", "Köln", "Ulm", None]
    assert all(part["id"].is_sorted() for part in made.partition_by("town"))
    assert run(Sort("town", True))["town"].unique(maintain_order=True).to_list() == ["Ulm", "Köln", "Bonn", None]  # type: ignore[arg-type]
    made = run(Sort(("town", "when"), ("when",)))
    assert made.filter(town="Ulm")["when"].is_sorted(descending=True)


def test_shuffle_keeps_every_row_and_depends_on_the_seed():
    one, other = run(Shuffle(1))["id"].to_list(), run(Shuffle(2))["id"].to_list()
    assert sorted(one) == sorted(other) == list(range(40))
    assert len({tuple(one), tuple(other), tuple(range(40))}) == 3


def test_sample_keeps_so_many_in_their_order():
    made = run(Sample(11))
    assert made.height == 11
    assert made["id"].is_sorted()
    assert run(Sample(share=0.3)).height == 12
    assert run(Sample(1000)).equals(FRAME)
    assert run(Sample(share=1.0)).equals(FRAME)
    assert run(Sample(5), FRAME.clear()).is_empty()
    often = np.bincount([i for seed in range(300) for i in run(Sample(8, seed=seed))["id"]], minlength=40)
    assert often.sum() == 2400
    assert abs(often - 60).max() < 30  # 4 standard deviations


@settings(max_examples=30)
@given(total=st.integers(1, 3000), seed=st.integers(0, 2**32), share=st.floats(0.001, 1))
def test_the_limit_of_a_sample_is_exact(total, seed, share):
    wanted = max(round(total * share), 1)
    hashes = hashed(np.arange(total, dtype=np.uint64), seed)
    assert _limit(total, wanted, seed) == np.sort(hashes)[wanted - 1]


def test_balance_makes_classes_equally_frequent():
    counts = {"Ulm": 20, "Bonn": 10, "Köln": 5, None: 5}
    assert dict(FRAME["town"].value_counts().iter_rows()) == counts
    under = run(Balance("town"))
    assert dict(under["town"].value_counts().iter_rows()) == dict.fromkeys(counts, 5)
    assert under["id"].is_sorted()
    assert under["id"].is_unique().all()
    over = run(Balance("town", "over"))
    assert dict(over["town"].value_counts().iter_rows()) == {"Ulm": 20, "Bonn": 20, "Köln": 20, None: 5}
    assert set(over["id"]) == set(range(40))
    assert run(Balance("town"), FRAME.clear()).is_empty()


def test_balance_refuses_what_is_no_class():
    frame = pl.DataFrame({"id": range(1200), "town": [str(i) for i in range(1200)]})
    with pytest.raises(DataError, match="more than 1,000 different values"):
        run(Balance("town"), frame)


def test_split_is_that_of_data_sets():
    made = run(Split(0.2, seed=5))
    assert ((made["split"] == "test").to_numpy() == split_random(40, 0.2, 5)).all()
    assert made.drop("split").equals(FRAME)
    made = run(Split(0.25, 0.25))
    assert dict(made["split"].value_counts().iter_rows()) == {"train": 20, "validation": 10, "test": 10}
    assert Split().bind(SCHEMA, {}).schema["split"] == ColumnRecord("split", Kind.CATEGORY, "string", role=Role.IGNORED)


def test_split_by_a_column_takes_the_method_that_fits_it():
    assert run(Split(0.2, by="town")).filter(split="test")["town"].value_counts().height == 4
    parts = run(Split(0.3, 0.3, by="who")).group_by("who").agg(pl.col("split").n_unique())
    assert parts["split"].max() == 1
    made = run(Split(0.2, 0.2, by="when"))
    times = {part: made.filter(split=part)["when"] for part in ("train", "validation", "test")}
    assert times["train"].max() < times["validation"].min()  # type: ignore[operator]
    assert times["validation"].max() < times["test"].min()  # type: ignore[operator]
    assert Split(method="random", by="when").bind(SCHEMA, {}).method == "random"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Sort(()).bind(SCHEMA, {}), UsageError, "no columns"),
        (lambda: Sort(("id",), ("town",)).bind(SCHEMA, {}), UsageError, "'town' in descending"),
        (lambda: Sort(("twon",)).bind(SCHEMA, {}), DataError, "did you mean 'town'"),
        (Sample, UsageError, "one of the two"),
        (lambda: Sample(3, 0.5), UsageError, "one of the two"),
        (lambda: Sample(0), UsageError, "at least 1"),
        (lambda: Sample(share=1.5), UsageError, "at most 1"),
        (lambda: Sample(share=float("nan")), UsageError, "share=nan"),
        (lambda: Split(0.6, 0.6), UsageError, "together below 1"),
        (lambda: Split(method="group"), UsageError, "without by"),
        (lambda: Split(method="time", by="town").bind(SCHEMA, {}), DataError, "to split by time"),
        (lambda: Split(column="id").bind(SCHEMA, {}), DataError, "already"),
        (lambda: Balance("town", "sideways"), UsageError, "sideways"),  # type: ignore[arg-type]
        (lambda: run(Split(), FRAME[:1]), DataError, "1 rows"),
    ],
)
def test_what_cannot_be_meant_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()

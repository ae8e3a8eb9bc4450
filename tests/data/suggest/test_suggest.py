"""What is planted in a table is found; what is right is left alone."""

import numpy as np
import polars as pl
import pytest

from lepton import verbs
from lepton.data import read
from lepton.data.recipes import Recipe
from lepton.data.suggest import far_values, suggest

ROWS = 1_000


def clean_frame(seed=0, rows=ROWS):
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "id": np.arange(rows),
            "city": rng.choice(["Ulm", "Bonn", "Kiel", "Jena"], rows),
            "income": rng.lognormal(10, 1, rows).round(),
            "age": rng.integers(18, 90, rows),
            "score": rng.normal(0, 1, rows).round(3),
            "sold": [f"{day:02d}.{month:02d}.2021" for day, month in rng.integers(1, 13, (rows, 2))],
        }
    )


def found_in(frame, **kinds):
    table = read(frame, kinds={"id": "identifier", "city": "category", **kinds})
    found = suggest(table)
    return found, {(each.step, each.column): each.rows for each in found.found}


@pytest.mark.parametrize("seed", range(5))
def test_a_clean_table_is_left_alone(seed):
    found, steps = found_in(clean_frame(seed))
    assert steps == {}
    assert "Nothing to clean" in found.text()
    assert len(found.recipe) == 0


def with_cells(frame, column, cells):
    values = frame[column].to_list()
    for row, value in cells.items():
        values[row] = value
    return frame.with_columns(pl.Series(column, values))


def test_planted_faults_are_found_with_their_counts():
    frame = clean_frame()
    frame = with_cells(frame, "city", {3: "ULM", 30: "bonn", 300: "Kiel "})
    frame = with_cells(frame, "age", dict.fromkeys(range(40, 52), -999))
    frame = with_cells(frame, "score", {7: 400.0})
    frame = with_cells(frame, "income", dict.fromkeys(range(100, 200)))
    frame = with_cells(frame, "sold", {row: f"2021-05-{row - 500:02d}" for row in range(513, 529)})
    frame = pl.concat([frame, frame.head(25)]).with_columns(nothing=pl.lit(None, pl.String), same=pl.lit(1.0))
    found, steps = found_in(frame, sold="category")
    assert steps == {
        ("drop", "nothing"): 1025,
        ("drop", "same"): 1025,
        ("drop_duplicates", None): 25,
        ("trim", "city"): 1,
        ("mark_missing", "age"): 12,
        ("parse_dates", "sold"): 16,
        ("merge_spellings", "city"): 4,
        ("flag_missing", "income"): 100,
        ("fill", "income"): 100,
        ("fill", "age"): 12,
        ("outliers", "score"): 2,
    }
    assert [each.step for each in found.found if each.for_a_person] == ["outliers"]


def test_the_suggested_recipe_runs_and_leaves_nothing_to_suggest(tmp_path):
    frame = with_cells(clean_frame(), "age", dict.fromkeys(range(40, 52), -999))
    frame = with_cells(frame, "city", {3: "ULM", 30: " Bonn"})
    frame = pl.concat([frame, frame.head(5)])
    found, _ = found_in(frame)
    found.recipe.save(tmp_path / "recipe.yaml")
    cleaned = Recipe.load(tmp_path / "recipe.yaml").fit_transform(
        read(frame, kinds={"id": "identifier", "city": "category"})
    )
    again = suggest(cleaned)
    assert not again.found
    assert cleaned.frame()["city"].n_unique() == 4


def test_a_target_is_looked_at_and_not_changed():
    frame = with_cells(clean_frame(), "age", dict.fromkeys(range(12), -999))
    found = verbs.suggest(read(frame, kinds={"id": "identifier"}), "age")
    assert [(each.step, each.for_a_person) for each in found.found] == [("mark_missing", True)]
    assert len(found.recipe) == 0


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: rng.normal(size=2_000),
        lambda rng: rng.lognormal(0, 1.5, 2_000),
        lambda rng: rng.exponential(size=2_000),
        lambda rng: rng.integers(0, 5, 2_000).astype(float),
        lambda rng: rng.poisson(3, 2_000).astype(float),
        lambda rng: rng.standard_t(4, 2_000),
        lambda rng: np.concatenate([rng.normal(0, 1, 1_000), rng.normal(20, 1, 1_000)]),
    ],
)
def test_heavy_tails_and_two_humps_are_no_outliers(draw, seed):
    assert far_values(pl.Series(draw(np.random.default_rng(seed)))) is None


@pytest.mark.parametrize("seed", range(10))
def test_gross_errors_are(seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(50, 10, 2_000)
    values[:5] *= 1_000
    fault = far_values(pl.Series(values))
    assert fault is not None
    assert fault.rows == 5
    assert far_values(pl.Series(np.concatenate([rng.lognormal(10, 1, 2_000), [1e12, -5e8]]))) is not None


def test_large_tables_are_looked_at_all_over():
    frame = clean_frame(rows=1_000).with_columns(x=pl.lit(1.0))
    large = pl.concat([frame] * 300).with_row_index("n").with_columns(pl.col("n").cast(pl.Int64))
    found = suggest(read(large, kinds={"city": "category", "id": "number"}))
    assert found.num_rows == 300_000
    assert 100_000 <= found.seen <= 200_000
    (same,) = [each for each in found.found if each.step == "drop"]
    assert same.rows == 300_000


@pytest.mark.parametrize("name", ["count", "rows", "value", "text", "shape"])
def test_any_name_of_a_column_will_do(name):
    table = read({name: ["1", "12", "n a", "x7"] * 20, "other": list(range(80))})
    assert suggest(table).num_rows == 80


def test_a_rare_word_that_lives_elsewhere_is_no_slip():
    rows = 600
    east = np.linspace(0, 10, rows).tolist()
    place = ["inland"] * (rows - 6) + ["island"] * 6
    assert not any(each.step == "slips" for each in suggest(read({"place": place, "east": east})).found)
    mixed = [*np.random.default_rng(0).permutation(rows).tolist()]
    found = suggest(read({"place": place, "east": mixed})).found
    assert [each.details["spellings"]["island"]["to"] for each in found if each.step == "slips"] == ["inland"]


def test_details_say_which_cells_are_meant():
    frame = clean_frame().with_columns(pl.Series("score", np.append(np.random.default_rng(0).normal(0, 1, 999), 500.0)))
    found, _ = found_in(frame)
    told = next(each.details for each in found.found if each.step == "outliers")
    assert told["upper"] < 500
    assert '"details"' in __import__("json").dumps(found.to_dict())


def test_mixed_dates_in_every_row_are_no_identifier():
    days = pl.datetime_range(pl.datetime(2020, 1, 1), pl.datetime(2020, 5, 1), "1d", eager=True)
    texts = days.dt.to_string("%Y/%m/%d").scatter([3, 9, 11], days.gather([3, 9, 11]).dt.to_string("%Y-%m-%d"))
    found = suggest(read({"when": texts, "x": range(len(days))}))
    assert [each.parameters for each in found.found if each.step == "parse_dates"] == [{"columns": ["when"]}]


def test_what_stands_behind_a_number_need_not_be_a_unit():
    texts = ["1 - 4 yrs"] * 30 + ["4 - 7 yrs"] * 30 + ["1 - f yrs", "1 +", "3 -"] * 10
    assert suggest(read({"length": texts, "n": range(90)})).num_rows == 90

"""Faults planted in the shared tables: how many of them `suggest` finds, and how much of what it says is right.

    python bench/data_faults.py --quick    # one seed for each half: about three minutes
    python bench/data_faults.py --full     # five seeds for each half

Protocol. The tables are in two halves. The detectors were tuned on the first (`tuning`: shared/data/tabular, the first
20,000 rows), by their authors with these very planters. The second (`held out`) was looked at by nobody who changed a
detector: medical, movies, books, air, intents and messages, with other seeds, other locales of persons, and more date
formats. In each run one kind of fault is planted in half of the columns that can hold it, drawn by the seed (one
column at least); the others stay as they are, and what is said of them is a false alarm. The dirty table is written as
CSV, read with `lepton.read` and given to `suggest`; what reading does (a `?` taken for missing) is part of the answer.

- missing markers: 0.5, 2 or 10 % of the cells. Texts and numbers are those that pandas (`STR_NA_VALUES`) and naniar
  (`common_na_strings`, `common_na_numbers`) list; a number must lie outside of the column's range. Found: the cell is
  missing after reading and the suggested `mark_missing`.
- duplicates: 0.5, 2 or 10 % of the rows once more, at places drawn. Counted are rows.
- swapped units: 1, 5 or 20 % of a positive number column times or by a factor such as 2.54, or Fahrenheit in columns of
  temperatures, in rows drawn. Only where the factor is larger than 1.1 times the ratio of the 99.5 % to the 0.5 %
  quantile, and only degrees above the 99.5 % quantile: within one column, others cannot be told (`told` says which
  share of the drawn pairs can be). Groups of rows that all are in another unit are not planted, and not claimed.
- typos: 0.5, 1 or 3 % (three at least) of the cells of a category (at most 200 values) with five letters or more whose
  value is there ten times or more: a letter left out, changed, added or swapped; one in four is another case or a space
  instead. Found: the cell has its old value after reading and the suggested steps, slips that are left to a person
  taken. Spaces that are trimmed elsewhere count neither way.
- mixed dates: a column of dates is added, 1, 5 or 20 % of them in another format, beside a column in one format. Found:
  the cell is the right date after the suggested `parse_dates`. Where day and month are swapped, days up to 12 cannot be
  told and are not counted.
- outliers: 0.5 % of the cells (one at least) of a number column, 2, 5 or 20 to twice as many ranges of the column
  beyond its end.
- personal data: a column made by Faker, named after its kind, named `field`, or (kinds that stand in texts) inside
  sentences in a twentieth of the cells. Counted are columns. Faker runs in an environment of its own.
- wrong labels: bench/data_labels.py, beside cleanlab.

Recall and precision are means over the runs, each table and strength counting the same, with the smallest and the
largest seed behind. What is said of the clean tables is listed first. It is a false alarm in every run, but where a
person agrees (`AGREED`, with the reason): that counts neither way. Said of a planted cell by the detector of another
kind, it counts neither way either: ten times too large is an outlier and another unit.
"""

import argparse
import json
import os
import subprocess
import tempfile
import warnings
from collections import defaultdict
from pathlib import Path

import numpy as np
import polars as pl
from peers.environments import interpreter

from lepton.core import Kind
from lepton.data import read
from lepton.data.suggest import suggest

SHARED = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
TUNING = (
    "tabular/titanic.csv",
    "tabular/california_housing.csv",
    "tabular/adult-train.csv",
    "tabular/german_credit.csv",
    "tabular/bank-additional.csv",
    "tabular/bikeshare.csv",
    "tabular/auto_imports.csv",
    "tabular/iris.csv",
)
HELD_OUT = (
    "medical/heart_cleveland.csv",
    "medical/breast_cancer_wdbc.csv",
    "recsys/movielens_small/ratings_train.csv",
    "recsys/movielens_small/movies.csv",
    "recsys/goodbooks10k/books.csv.gz",
    "timeseries/beijing_pm25.csv",
    "text/clinc150/data_full.json",
    "text/sms_spam/sms.tsv",
)
AGREED = {
    ("adult-train", "column_11", "mark_missing"): "capital gains of 99,999 are a code: nobody has 41,311 to 99,998",
    ("bank-additional", "pdays", "mark_missing"): "the data sheet says that 999 is a code",
    ("titanic", "Name", "personal_data"): "names of persons",
    ("books", "authors", "personal_data"): "names of persons",
    ("books", "authors", "merge_spellings"): "'William  Gibson' has a space too many",
    ("books", "isbn13", "outliers"): "numbers of nine digits are no ISBN of thirteen",
    ("sms", "message", "personal_data"): "telephone numbers and addresses of e-mail in messages",
}
MOST_ROWS = 20_000
KINDS = ("markers", "duplicates", "units", "typos", "dates", "outliers", "personal")
SHARES = {
    "markers": (0.005, 0.02, 0.1),
    "duplicates": (0.005, 0.02, 0.1),
    "units": (0.01, 0.05, 0.2),
    "typos": (0.005, 0.01, 0.03),
    "dates": (0.01, 0.05, 0.2),
    "outliers": (2, 5, 20),
    "personal": ("named", "field", "inside"),
}
STEPS = {
    "markers": "mark_missing",
    "duplicates": "drop_duplicates",
    "units": "swapped_units",
    "typos": "slips",
    "outliers": "outliers",
    "personal": "personal_data",
}
MARKERS = (
    "#N/A", "#N/A N/A", "#NA", "-NaN", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null", "missing",
    "N A", "na", "n a", "n / a", "N / A", "?", "*", ".",
)  # fmt: skip
MARKER_NUMBERS = (-9, -99, -999, -9999, 9999)
FACTORS = (10, 100, 1000, 2.54, 2.2046226, 1.609344, 3.28084, 30.48, 60)
FREQUENT = 10
TEMPERATURES = ("temp", "atemp", "TEMP", "DEWP")
FORMATS = {
    True: ("%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d %b %Y", "%B %d, %Y", "%Y/%m/%d"),
    False: ("%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%d-%b-%Y", "%b %d, %Y", "%Y.%m.%d", "%Y-%m-%d %H:%M:%S"),
}
LOCALES = {True: ("en_US", "de_DE", "fr_FR"), False: ("en_GB", "es_ES", "it_IT", "nl_NL", "pl_PL")}
PERSONAL = {
    "e-mail": ("email", "email"),
    "telephone": ("phone_number", "phone"),
    "name of a person": ("name", "customer_name"),
    "card number": ("credit_card_number", "card_number"),
    "IBAN": ("iban", "iban"),
    "IP address": ("ipv4", "ip"),
    "MAC address": ("mac_address", "mac"),
    "postal address": ("street_address", "address"),
}
INSIDE = ("e-mail", "telephone", "card number", "IBAN", "IP address", "postal address")
FAKER = """
import json, sys
from faker import Faker
made = {}
for seed, locale in json.loads(sys.argv[1]):
    fake = Faker(locale)
    fake.seed_instance(seed)
    made[f"{seed} {locale}"] = {call: [getattr(fake, call)() for _ in range(300)] for call in json.loads(sys.argv[2])}
json.dump(made, open(sys.argv[3], "w"))
"""


class Table:
    """A clean table: as it is read, and as the texts that its file holds."""

    def __init__(self, path, scratch):
        self.name, self.scratch = Path(path).name.split(".")[0], scratch
        source = SHARED / path
        if source.suffix == ".json":
            held = json.loads(source.read_text("utf-8"))
            self.name, pairs = "clinc150", [row for part in sorted(held) for row in held[part]][:MOST_ROWS]
            source = {"text": [pair[0] for pair in pairs], "intent": [pair[1] for pair in pairs]}
        elif source.suffix == ".tsv":
            pairs = [line.split("\t", 1) for line in source.read_text("utf-8").split("\n") if line]
            source = {"label": [pair[0] for pair in pairs], "message": [pair[1] for pair in pairs]}
        # The text of a table that Polars wrote: what was missing is empty, and numbers are as short as they can be.
        raw = read(source).frame().head(MOST_ROWS)
        self.raw = raw.select(pl.all().cast(pl.String))
        self.clean = self.reread(self.raw, "clean")
        self.frame = self.clean.frame()
        self.schema = self.clean.schema

    def reread(self, raw, name="dirty"):
        """The texts, written as CSV and read by lepton."""
        path = self.scratch / f"{self.name} {name}.csv"
        path.unlink(missing_ok=True)
        raw.write_csv(path)
        return read(path)

    def columns(self, *kinds):
        return [column.name for column in self.schema if column.kind in kinds]

    def numbers(self):
        """Number columns with ten values or more."""
        return [name for name in self.columns(Kind.NUMBER) if self.frame[name].n_unique() >= 10]


def drawn(rng, names):
    """Half of the names, one at least."""
    count = max(1, (len(names) + 1) // 2)
    return [names[k] for k in sorted(rng.choice(len(names), count, replace=False))] if names else []


def places(rng, values, share, least=3):
    """Rows that are not missing, in the order of the table."""
    present = np.flatnonzero(values.is_not_null().to_numpy())
    return np.sort(rng.choice(present, min(len(present), max(least, round(len(values) * share))), replace=False))


def written(number, like):
    """A number with as many decimals as a column has."""
    decimals = like.str.extract(r"\.(\d+)$").str.len_chars().max() or 0
    return f"{number:.{decimals}f}" if decimals else f"{number:.0f}" if abs(number) >= 10 else f"{number:.3g}"


def with_values(raw, name, rows, values):
    texts = raw[name].to_list()
    for row, value in zip(rows, values, strict=True):
        texts[row] = value
    return raw.with_columns(pl.Series(name, texts, dtype=pl.String))


def mask_of(rows, height):
    mask = np.zeros(height, bool)
    mask[rows] = True
    return mask


def plant_markers(table, share, rng, _):
    raw, truth = table.raw, {}
    for name in drawn(rng, [*table.numbers(), *table.columns(Kind.CATEGORY)]):
        values = table.frame[name]
        rows = places(rng, values, share)
        marker = MARKERS[rng.integers(len(MARKERS))]
        if values.dtype.is_numeric() and rng.random() < 0.5:
            usable = [m for m in MARKER_NUMBERS if not values.min() <= m <= values.max()]
            marker = str(usable[rng.integers(len(usable))])
        raw = with_values(raw, name, rows, [marker] * len(rows))
        truth[name] = mask_of(rows, raw.height)
    return raw, truth


def plant_duplicates(table, share, rng, _):
    rows = rng.integers(0, table.raw.height, max(2, round(share * table.raw.height)))
    order = rng.permutation(np.concatenate([np.arange(table.raw.height), rows]))
    return table.raw[order], {"": len(rows)}


def plant_units(table, share, rng, told):
    raw, truth = table.raw, {}
    for name in drawn(rng, table.numbers()):
        values = table.frame[name]
        numbers = values.drop_nulls().cast(pl.Float64)
        fahrenheit = name in TEMPERATURES
        if not fahrenheit and (numbers > 0).mean() < 0.99:
            continue
        factor = FACTORS[rng.integers(len(FACTORS))]
        up = bool(rng.integers(2))
        positive = numbers.filter(numbers > 0)
        can = fahrenheit or factor > 1.1 * positive.quantile(0.995) / positive.quantile(0.005)
        told.append(can)
        if not can:
            continue
        rows = places(rng, values, share)
        old = values.cast(pl.Float64).to_numpy()[rows]
        new = old * 1.8 + 32 if fahrenheit else old * factor if up else old / factor
        if fahrenheit:  # what falls among the others cannot be told
            rows, new = rows[new > numbers.quantile(0.995)], new[new > numbers.quantile(0.995)]
        digits = 3 if not up else 4
        raw = with_values(raw, name, rows, [f"{number:.{digits + 2}g}" for number in new])
        truth[name] = mask_of(rows, raw.height)
    return raw, truth


def typo(word, rng):
    if rng.random() < 0.25:
        other = [word.upper(), word.lower(), word.title(), word + " ", " " + word, word.replace(" ", "  ")]
        other = [each for each in other if each != word]
        return other[rng.integers(len(other))]
    place, way, letter = rng.integers(len(word) - 1), rng.integers(4), "abcdefghijklmnopqrstuvwxyz"[rng.integers(26)]
    return (
        word[:place] + word[place + 1 :],
        word[:place] + word[place + 1] + word[place] + word[place + 2 :],
        word[:place] + letter + word[place + 1 :],
        word[:place] + letter + word[place:],
    )[way]


def plant_typos(table, share, rng, _):
    raw, truth = table.raw, {}
    usable = [name for name in table.columns(Kind.CATEGORY) if table.frame[name].n_unique() <= 200]
    for name in drawn(rng, usable):
        values = table.frame[name]
        known = set(values.drop_nulls())
        usual = (values.str.len_chars() >= 5) & (
            values.to_frame("v").select(pl.len().over("v")).to_series() >= FREQUENT
        )
        rows = np.flatnonzero(usual.fill_null(False).to_numpy())
        rows = np.sort(rng.choice(rows, min(len(rows), max(3, round(len(rows) * share))), replace=False))
        slips = {row: typo(values[int(row)], rng) for row in rows}
        slips = {row: slip for row, slip in slips.items() if slip not in known}
        if slips:
            raw = with_values(raw, name, list(slips), list(slips.values()))
            truth[name] = mask_of(list(slips), raw.height)
    return raw, truth


def plant_dates(table, share, rng, tuning):
    height = table.raw.height
    formats = FORMATS[tuning]
    main, other = rng.choice(len(formats), 2, replace=False)
    pair = {formats[main], formats[other]}
    seconds = rng.integers(1_420_070_400, 1_640_995_200, (2, height)) // 86400 * 86400
    dates, beside = (pl.Series(each * 1_000_000).cast(pl.Datetime("us")) for each in seconds)
    rows = places(rng, dates, share)
    texts = dates.dt.to_string(formats[main]).to_list()
    for row in rows:
        texts[row] = dates[int(row)].strftime(formats[other])
    same = {tuple(sorted(f.replace("/", "-") for f in pair))} & {("%d-%m-%Y", "%m-%d-%Y")}
    blind = (dates.dt.day() <= 12).to_numpy() if same and "/" in min(pair) + max(pair) else np.zeros(height, bool)
    raw = table.raw.select(table.raw.columns[:2]).with_columns(
        pl.Series("when", texts), beside.dt.to_string(formats[main]).alias("beside")
    )
    return raw, {"rows": mask_of(rows, height), "blind": blind, "when": dates, "beside": beside}


def plant_outliers(table, size, rng, _):
    raw, truth = table.raw, {}
    for name in drawn(rng, table.numbers()):
        values = table.frame[name]
        low, high = float(values.min()), float(values.max())
        rows = places(rng, values, 0.005, least=1)
        away = (high - low) * size * (1 + rng.random(len(rows)))
        up = rng.random() < 0.7
        new = high + away if up else low - away
        raw = with_values(raw, name, rows, [written(number, raw[name]) for number in new])
        truth[name] = mask_of(rows, raw.height)
    return raw, truth


def plant_personal(table, how, rng, made):
    kinds = [kind for kind in PERSONAL if how != "inside" or kind in INSIDE]
    kind = kinds[rng.integers(len(kinds))]
    values = made[PERSONAL[kind][0]]
    texts = [values[k] for k in rng.integers(0, len(values), table.raw.height)]
    texts = [text.replace("\n", ", ") for text in texts]
    if how == "inside":
        said = ("Customer asked to be reached at {} soon", "Noted {} in the file", "Please use {} from now on")
        plain = ("No reply so far", "All went well with the order", "Waiting for the second delivery", "Paid in full")
        texts = [
            said[rng.integers(3)].format(text) if rng.random() < 0.05 else plain[rng.integers(4)] for text in texts
        ]
    name = PERSONAL[kind][1] if how == "named" else "field" if how == "field" else "notes"
    return table.raw.with_columns(pl.Series(name, texts)), {name: kind}


PLANTERS = {
    "markers": plant_markers,
    "duplicates": plant_duplicates,
    "units": plant_units,
    "typos": plant_typos,
    "dates": plant_dates,
    "outliers": plant_outliers,
    "personal": plant_personal,
}


def flagged(suggestions, frame, kind):
    """Column → cells that `suggest` speaks of."""
    found = {}
    for each in suggestions.found:
        if each.step != STEPS[kind]:
            continue
        values, told = frame[each.column], each.details
        if kind == "markers":
            numeric = values.dtype.is_numeric()
            texts = values.cast(pl.Float64) if numeric else values
            cells = texts.is_in([float(m) for m in told["markers"]] if numeric else told["markers"])
        elif kind == "units":
            cells = values.is_between(told["lowest"], told["highest"])
        else:
            cells = (values < told["lower"]) | (values > told["upper"])
        found[each.column] = cells.fill_null(False).to_numpy()
    return found


def ratio(one, of):
    return one / of if of else None


def judge_cells(table, kind, truth, dirty, suggestions):
    """Recall and precision of cells: markers, units, outliers."""
    frame = dirty.frame()
    found = flagged(suggestions, frame, kind)
    hits = alarms = planted = 0
    for name in frame.columns:
        said = found.get(name, np.zeros(frame.height, bool))
        if kind == "markers":  # what reading took for missing
            said = said | (frame[name].is_null() & table.frame[name].is_not_null()).to_numpy()
        there = truth.get(name, np.zeros(frame.height, bool))
        hits, planted = hits + (said & there).sum(), planted + there.sum()
        if (table.name, name, STEPS[kind]) not in AGREED:
            alarms += (said & ~there).sum()
    return ratio(hits, planted), ratio(hits, hits + alarms)


def judge_duplicates(table, kind, truth, dirty, suggestions):
    own = table.frame.height - table.frame.n_unique()  # equal rows are what they are in the clean table too
    said = sum(each.rows for each in suggestions.found if each.step == "drop_duplicates") - own
    return min(said, truth[""]) / truth[""], ratio(min(said, truth[""]), said)


def judge_typos(table, kind, truth, dirty, suggestions):
    frame = dirty.frame()
    hits = alarms = planted = 0
    for name in frame.columns:
        mended = frame[name]
        for each in suggestions.found:
            if each.column == name and each.step in ("merge_spellings", "slips"):
                mended = mended.replace({value: to["to"] for value, to in each.details["spellings"].items()})
            elif each.column == name and each.step == "trim":
                mended = mended.str.strip_chars()
        clean = table.frame[name]
        mended, clean, before = (each.cast(pl.String) for each in (mended, clean, frame[name]))
        right = mended.eq_missing(clean).to_numpy()
        there = truth.get(name, np.zeros(frame.height, bool))
        hits, planted = hits + (right & there).sum(), planted + there.sum()
        alarms += (~right & there & mended.ne_missing(before).to_numpy()).sum()
        if (table.name, name, "merge_spellings") not in AGREED:
            alarms += (mended.str.strip_chars().ne_missing(clean.str.strip_chars()).to_numpy() & ~there).sum()
    return ratio(hits, planted), ratio(hits, hits + alarms)


def judge_dates(table, kind, truth, dirty, suggestions):
    steps = suggestions.recipe
    names = ["when", "beside"]
    recipe = type(steps)()
    for each in suggestions.found:
        if each.step == "parse_dates" and each.column in names and each.parameters:
            recipe = recipe.step(each.step, **each.parameters)
    frame = recipe.fit_transform(dirty.select(names)).frame()

    def right(name):
        got = frame[name]
        got = got if got.dtype.is_temporal() else pl.Series([None] * len(got), dtype=pl.Datetime("us"))
        return got.dt.replace_time_zone(None).cast(pl.Datetime("us")).eq_missing(truth[name]).to_numpy()

    rows, sure = truth["rows"], ~truth["blind"]
    good = right("when")
    hits, planted = (good & rows & sure).sum(), (rows & sure).sum()
    alarms = (~good & ~rows & sure).sum() + (~right("beside")).sum()
    return ratio(hits, planted), ratio(hits, hits + alarms)


def judge_personal(table, kind, truth, dirty, suggestions):
    said = [
        (each.column, each.details["kind"])
        for each in suggestions.found
        if each.step == "personal_data" and (table.name, each.column, "personal_data") not in AGREED
    ]
    hits = sum((name, what) in said for name, what in truth.items())
    return hits / len(truth), ratio(hits, len(said))


JUDGES = {
    "markers": judge_cells,
    "duplicates": judge_duplicates,
    "units": judge_cells,
    "typos": judge_typos,
    "dates": judge_dates,
    "outliers": judge_cells,
    "personal": judge_personal,
}


def persons(scratch, wanted):
    """Made-up persons by seed and locale, or why there are none."""
    python, reason = interpreter("faker", ["faker"])
    if python is None:
        return None, reason
    calls = json.dumps([call for call, _ in PERSONAL.values()])
    command = [str(python), "-c", FAKER, json.dumps(wanted), calls, str(scratch / "persons.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return None, done.stderr.strip()[-300:]
    return json.loads((scratch / "persons.json").read_text()), ""


def clean_alarms(tables):
    """What `suggest` says of the clean tables."""
    for table in tables:
        for each in suggest(table.clean).found:
            if each.step in STEPS.values() or each.step in ("merge_spellings", "parse_dates"):
                agreed = AGREED.get((table.name, each.column, each.step), "")
                agreed = "rows that are equal" if each.step == "drop_duplicates" else agreed
                line = {"clean": table.name, "column": each.column, "says": each.step, "rows": each.rows}
                print(json.dumps(line | ({"agreed": agreed} if agreed else {"reason": each.reason[:100]})))


def mean(values):
    kept = [value for value in values if value is not None]
    return float(np.mean(kept)) if kept else float("nan")


def report(half, kind, runs, told):
    """One line: the mean over runs, and that of the smallest and the largest seed."""
    row = {"half": half, "kind": kind, "runs": len(runs)}
    for position, what in ((3, "recall"), (4, "precision")):
        seeds = defaultdict(list)
        for run in runs:
            seeds[run[1]].append(run[position])
        by_seed = [mean(values) for values in seeds.values()]
        row[what] = round(mean([run[position] for run in runs]), 3)
        row[f"{what} of seeds"] = [round(min(by_seed), 3), round(max(by_seed), 3)]
    by_strength = {}
    for strength in SHARES[kind]:
        some = [run for run in runs if run[2] == strength]
        by_strength[str(strength)] = [round(mean([run[k] for run in some]), 3) for k in (3, 4)]
    row["by strength"] = by_strength
    if told:
        row["told"] = round(float(np.mean(told)), 2)
    print(json.dumps(row), flush=True)
    return row


def main(quick, halves=("tuning", "held out"), kinds=KINDS, verbose=False):
    warnings.simplefilter("ignore")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        count = 1 if quick else 5
        seeds = {"tuning": range(count), "held out": range(100, 100 + count)}
        wanted = [(seed, locale) for half in halves for seed in seeds[half] for locale in LOCALES[half == "tuning"]]
        made, reason = persons(scratch, wanted) if "personal" in kinds else (None, "not asked for")
        if made is None:
            print(f"personal data: SKIPPED, Faker's environment cannot be made: {reason}")
        for half in halves:
            tuning = half == "tuning"
            paths = [path for path in (TUNING if tuning else HELD_OUT) if (SHARED / path).exists()]
            if not paths:
                print(f"{half}: SKIPPED, the shared data is not here")
                continue
            tables = [Table(path, scratch) for path in paths]
            clean_alarms(tables)
            for kind in kinds:
                runs, told = [], []
                for seed in seeds[half]:
                    for number, table in enumerate(tables):
                        for k, strength in enumerate(SHARES[kind]):
                            rng = np.random.default_rng((seed, number, k, KINDS.index(kind)))
                            more = told if kind == "units" else tuning
                            if kind == "personal":
                                if made is None:
                                    continue
                                locales = LOCALES[tuning]
                                more = made[f"{seed} {locales[rng.integers(len(locales))]}"]
                            raw, truth = PLANTERS[kind](table, strength, rng, more)
                            if not truth:
                                continue
                            dirty = table.reread(raw)
                            recall, precision = JUDGES[kind](table, kind, truth, dirty, suggest(dirty))
                            runs.append((table.name, seed, strength, recall, precision))
                            if verbose and (recall < 0.95 or (precision or 0) < 0.9):
                                print(*runs[-1], list(truth), flush=True)
                if runs:
                    rows.append(report(half, kind, runs, told))
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--half", choices=("tuning", "held out"), help="only this one")
    parser.add_argument("--kind", choices=KINDS, help="only this one")
    parser.add_argument("--misses", action="store_true", help="print each run that misses the limits")
    given = parser.parse_args()
    main(
        not given.full,
        (given.half,) if given.half else ("tuning", "held out"),
        (given.kind,) if given.kind else KINDS,
        given.misses,
    )

"""Near-duplicates among 1 M short texts: seconds, peak memory, recall and precision; and the worst cases.

    python bench/data_near_duplicates.py --quick       # 1,000,000 texts once, worst cases of 100,000: about 2 minutes
    python bench/data_near_duplicates.py --full        # 1,000,000 texts five times, worst cases of 1,000,000

Protocol. The texts are messages and titles of the shared data (English and Chinese): runs of 3 to 7 words (10 to 20
characters in Chinese) from random places, two of them put together at random, so that texts overlap as real ones do;
without the shared data, words drawn by Zipf's law. Of 5 % of them a copy with letters changed is planted: half with one
change, half with as many as keep the pair at a similarity of 0.8 or just above. All are shuffled and go through the
recipe step, in a process of its own that is given 1 GB.

Recall is the share of planted pairs that come out in one group, by their exact similarity (Jaccard of all runs of 3
letters, by Python's sets): of all pairs at 0.8 and above, and of those from 0.80 to 0.82. On a sample of some 6,000
texts, planted pairs and others, all pairs are compared exactly: recall over all pairs that are there, planted or not,
and precision, the share of rows that were left out that the exact groups leave out too.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from lepton.core import ColumnRecord, Kind, Resources, Schema, Work
from lepton.data.recipes import RunContext
from lepton.data.recipes.run import memory_limit
from lepton.data.recipes.steps.near_duplicates import NearDuplicates

SHARED = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
MEMORY = 1_000_000_000
SIMILARITY = 0.8
SCHEMA = Schema((ColumnRecord("text", Kind.TEXT, "string"),))


def runs(text):
    return {text[i : i + 3] for i in range(max(len(text) - 2, 1))}


def jaccard(one, other):
    a, b = runs(one), runs(other)
    return len(a & b) / len(a | b)


def halves(random, number):
    """Pieces of real texts, or of made words."""
    english, chinese = SHARED / "text/sms_spam/sms.tsv", SHARED / "text/csl_category/train.tsv"
    if not english.exists() or not chinese.exists():
        words = ["".join(chr(97 + c) for c in random.integers(0, 26, random.integers(2, 9))) for _ in range(20_000)]
        share = 1 / np.arange(1, len(words) + 1)
        drawn = random.choice(words, size=(number, 5), p=share / share.sum())
        return [" ".join(row) for row in drawn.tolist()]
    words = english.read_text(encoding="utf-8").lower().split()
    characters = "".join(line.split("\t")[1] for line in chinese.read_text(encoding="utf-8").splitlines())
    starts = random.random(number)
    sizes = random.random(number)
    made = []
    for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
        if start < 0.7:
            place = int(start / 0.7 * (len(words) - 8))
            made.append(" ".join(words[place : place + 3 + int(size * 4)]))
        else:
            place = int((start - 0.7) / 0.3 * (len(characters) - 25))
            made.append(characters[place : place + 10 + int(size * 10)])
    return made


def changed(random, text, times):
    letters = list(text)
    for place in random.choice(len(letters), min(times, len(letters)), replace=False):
        letters[place] = chr(97 + int(random.integers(26)))
    return "".join(letters)


def copy_of(random, text, near):
    """The text with one letter changed, or with as many as keep it at the similarity that is asked for."""
    best = changed(random, text, 1)
    if near:
        for times in range(1, 12):
            other = changed(random, text, times)
            if jaccard(text, other) < SIMILARITY:
                break
            best = other
    return best


def make(number, seed):
    """Texts in random order, and the rows of planted pairs [pairs, 2]."""
    random = np.random.default_rng(seed)
    planted = number // 20
    plain = number - planted
    parts = halves(random, 2 * plain)
    texts = [f"{a} {b}" for a, b in zip(parts[:plain], parts[plain:], strict=True)]
    sources = random.choice(plain, planted, replace=False)
    texts += [
        copy_of(random, texts[source], near) for near, source in zip(np.arange(planted) % 2, sources, strict=True)
    ]
    order = random.permutation(number)
    place = np.empty(number, dtype=np.int64)
    place[order] = np.arange(number)
    pairs = np.stack([place[sources], place[plain + np.arange(planted)]], axis=1)
    return [texts[i] for i in order], pairs


def groups_of(texts):
    """Number of the first row of each row's group, by the recipe step."""
    frame = pl.DataFrame({"text": texts})
    step = NearDuplicates("text", SIMILARITY, how="flag").bind(SCHEMA, {})
    work = Work(resources=Resources(memory=MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        context = RunContext(work, Path(folder), memory_limit(work))
        marks = pl.concat([f[step.writes[0]] for f in step.run(lambda: frame.iter_slices(262_144), context)])
    rows = np.arange(1, len(texts) + 1)
    return np.where(marks.is_null().to_numpy(), rows, marks.fill_null(0).to_numpy()) - 1


def exact_groups(texts):
    """The same by comparing all pairs, and all pairs that are similar enough."""
    sets = [runs(" ".join(text.lower().split())) for text in texts]
    names = {run: place for place, run in enumerate(sorted(set().union(*sets)))}
    rows = np.repeat(np.arange(len(sets)), [len(s) for s in sets])
    columns = np.concatenate([[names[run] for run in s] for s in sets])
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    has = csr_array((np.ones(len(rows), np.int32), (rows, columns)), shape=(len(sets), len(names)))
    sizes = np.asarray(has.sum(axis=1)).ravel()
    common = (has @ has.T).tocoo()
    similar = common.data / (sizes[common.row] + sizes[common.col] - common.data) >= SIMILARITY - 1e-12
    left, right = common.row[similar], common.col[similar]
    _, labels = connected_components(csr_array((np.ones(len(left)), (left, right)), shape=(len(sets), len(sets))))
    first = np.unique(labels, return_index=True)[1]
    upper = left < right
    return first[labels], np.stack([left[upper], right[upper]], axis=1)


def measured(texts):
    """Seconds, peak memory of a process of its own in MB, and the groups."""
    with tempfile.TemporaryDirectory() as folder:
        pl.DataFrame({"text": texts}).write_parquet(f"{folder}/texts.parquet")
        done = subprocess.run([sys.executable, __file__, "--child", folder], check=True, capture_output=True, text=True)
        return *json.loads(done.stdout), np.load(f"{folder}/groups.npy")


def peak_memory():
    """MB of this process alone; what `getrusage` says counts the parent's from before the start."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def child(folder):
    texts = pl.read_parquet(f"{folder}/texts.parquet")["text"]
    before = peak_memory()
    start = time.perf_counter()
    groups = groups_of(texts)
    seconds = time.perf_counter() - start
    np.save(f"{folder}/groups.npy", groups)
    print(json.dumps([seconds, before, peak_memory()]))


def show_recall(texts, pairs, groups):
    shares = np.array([jaccard(texts[a], texts[b]) for a, b in pairs.tolist()])
    found = groups[pairs[:, 0]] == groups[pairs[:, 1]]
    for name, low, high in (("0.80 and above", 0.8, 2.0), ("0.80 to 0.82", 0.8, 0.82)):
        chosen = (shares >= low) & (shares < high)
        print(f"  recall of planted pairs at {name}: {found[chosen].mean():.4f} of {chosen.sum():,} (limit 0.95)")


def show_sample(texts, pairs):
    """Against the exact method, on a sample."""
    some = pairs[:2000].ravel()
    rows = np.unique(np.concatenate([some, np.arange(2000)]))
    sample = [texts[row] for row in rows]
    exact, similar = exact_groups(sample)
    ours = groups_of(sample)
    recall = (ours[similar[:, 0]] == ours[similar[:, 1]]).mean()
    out = ours != np.arange(len(sample))
    precision = (exact[out] != np.arange(len(sample))[out]).mean()
    print(
        f"  sample of {len(sample):,}: recall {recall:.4f} of all {len(similar):,} pairs, precision {precision:.4f}",
        flush=True,
    )


def main(quick):
    for seed in range(1 if quick else 5):
        texts, pairs = make(1_000_000, seed)
        seconds, before, peak, groups = measured(texts)
        letters = np.mean([len(text) for text in texts[:10_000]])
        print(
            f"1,000,000 texts of {letters:.0f} letters: {seconds:.1f} s (limit 60), peak {peak:,.0f} MB"
            f" ({before:,.0f} with the texts alone), {(groups != np.arange(len(texts))).sum():,} left out",
            flush=True,
        )
        show_recall(texts, pairs, groups)
        show_sample(texts, pairs)
    number = 100_000 if quick else 1_000_000
    worst = {
        "all the same": ["the same text once more"] * number,
        "all nearly the same": [f"order number {i} has been shipped to the customer today" for i in range(number)],
        "as similar as the limit": [f"order number {i} shipped" for i in range(number)],
        "very long": ["".join(chr(97 + (i * j) % 26) for j in range(100_000)) for i in range(number // 1000)],
        "empty": [""] * number,
    }
    for name, texts in worst.items():
        seconds, before, peak, groups = measured(texts)
        print(
            f"{len(texts):,} texts, {name}: {seconds:.1f} s, peak {peak:,.0f} MB ({before:,.0f} before),"
            f" {len(np.unique(groups)):,} groups",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument("--quick", action="store_true")
    size.add_argument("--full", action="store_true")
    size.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child)
    else:
        main(arguments.quick)

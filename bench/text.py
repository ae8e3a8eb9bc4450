"""Default training on tables of texts against scikit-learn's TfidfVectorizer and LogisticRegression, on the same split.

    python bench/text.py --quick        # one split of messages (English) and of titles (Chinese): about 3 minutes
    python bench/text.py --full         # three splits

The reference knows that there is one text column, and its penalty is the best of three on the test rows themselves.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score

from lepton.bundle import open_model
from lepton.core import Work
from lepton.data import read
from lepton.training import train

SHARED = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
WITHIN = "60s"
NUM_CALLS = 500


def tables():
    """Name to frame with the columns `text` and `label`, and its score (truth, answers) → number."""
    lines = (SHARED / "text/sms_spam/sms.tsv").read_text(encoding="utf-8").splitlines()
    labels, texts = zip(*(line.split("\t", 1) for line in lines), strict=True)
    yield (
        "messages, F1 of spam",
        pl.DataFrame({"text": texts, "label": labels}),
        lambda y, p: f1_score(y, p, pos_label="spam"),
    )
    lines = (SHARED / "text/csl_category/train.tsv").read_text(encoding="utf-8").splitlines()
    _, texts, labels = zip(*(line.split("\t") for line in lines), strict=True)
    yield "titles, accuracy", pl.DataFrame({"text": texts, "label": labels}), accuracy_score


def reference(train_frame, test_frame, score):
    """The best score over the penalties."""
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), min_df=2, sublinear_tf=True)
    known = vectorizer.fit_transform(train_frame["text"].to_list())
    unseen = vectorizer.transform(test_frame["text"].to_list())
    models = [LogisticRegression(C=c, max_iter=300).fit(known, train_frame["label"].to_list()) for c in (1, 5, 30)]
    return max(score(test_frame["label"].to_list(), model.predict(unseen)) for model in models)


def ours(dataset, test_frame, score, seed):
    """Score, seconds of training, µs of one row and rows a second."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "texts.lepton"
        start = time.monotonic()
        train(dataset, target="label", work=Work(WITHIN, seed=seed), output=path)
        seconds = time.monotonic() - start
        model = open_model(path)
    rows = test_frame.select("text")
    start = time.perf_counter()
    answers = np.array(model.predict(rows)).tolist()
    rate = len(rows) / (time.perf_counter() - start)
    times = []
    for position in range(NUM_CALLS):
        row = [{"text": rows["text"][position]}]
        start = time.perf_counter()
        model.predict(row)
        times.append(time.perf_counter() - start)
    return score(test_frame["label"].to_list(), answers), seconds, statistics.median(times) * 1e6, rate


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument("--quick", action="store_true")
    size.add_argument("--full", action="store_true")
    num_splits = 3 if parser.parse_args().full else 1
    for name, frame, score in tables():
        for seed in range(num_splits):
            dataset = read(frame, kinds={"text": "text"})
            known, unseen = dataset.split(test=0.2, method="stratified", by="label", seed=seed)
            test_frame = unseen.frame()
            value, seconds, micros, rate = ours(known, test_frame, score, seed)
            peer = reference(known.frame(), test_frame, score)
            print(
                f"{name}, split {seed}: {value:.4f}, scikit-learn {peer:.4f}, ratio {value / peer:.3f}; trained in"
                f" {seconds:.0f} s, a row {micros:.0f} µs, {rate:,.0f} rows a second",
                flush=True,
            )


if __name__ == "__main__":
    main()

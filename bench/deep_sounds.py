"""Spoken digits, each speaker held out in turn and all mixed; and hands that show digits, at 64 pixels.

Everything is `lepton.train` on files as they come, with the time it is given and no setting for a data set. The quick
run gives each training two minutes or a little more, the full one nine.
"""

import argparse
import os
import re
import tempfile
import time
import zipfile
from pathlib import Path

import lepton

DATA = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
SPOKEN = DATA / "speech" / "fsdd" / "fsdd_4speakers.zip"
HANDS = DATA / "image" / "sign_digits" / "sign_digits.zip"
NAME = re.compile(r"(\d)_([a-z]+)_(\d+)\.wav")


def table(folder: Path, name: str, rows: list[tuple[str, str, int]]) -> Path:
    """A CSV of some of the sounds."""
    path = folder / f"{name}.csv"
    path.write_text("path,digit\n" + "".join(f"{file},d{digit}\n" for file, digit, _ in rows))
    return path


def trained(train: Path, test: Path, output: Path, within: str) -> tuple[float, float, str]:
    """Accuracy on the test rows, seconds of training, and how many passes it took."""
    began = time.perf_counter()
    kinds = {"path": "audio", "digit": "category"}
    model = lepton.train(lepton.read(train, kinds=kinds), audio="path", target="digit", within=within, output=output)
    seconds = time.perf_counter() - began
    passes = next(row.configuration for row in model.leaderboard().rows if row.chosen)
    found = model.evaluate(lepton.read(test, kinds=kinds)).metrics["accuracy"]
    return found.value, seconds, passes


def spoken(folder: Path, within: str) -> None:
    """Four folds by speaker, and one with all speakers on both sides."""
    with zipfile.ZipFile(SPOKEN) as archive:
        archive.extractall(folder)
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.wav"))
    rows = [(file, *found.groups()) for file in files if (found := NAME.search(file))]
    shares = []
    print("| held out | accuracy | seconds | learned in |\n|---|---|---|---|", flush=True)
    for speaker in sorted({row[2] for row in rows}):
        parts = [[(r[0], r[1], 0) for r in rows if (r[2] == speaker) is held] for held in (False, True)]
        train, test = (table(folder, f"{speaker}_{n}", part) for n, part in enumerate(parts))
        accuracy, seconds, passes = trained(train, test, folder / "model.lepton", within)
        shares.append(accuracy)
        print(f"| {speaker} | {accuracy:.1%} | {seconds:.0f} | {passes} |", flush=True)
    print(f"| **mean of four** | **{sum(shares) / len(shares):.1%}** (at least 90 %) | | |", flush=True)
    parts = [[(r[0], r[1], 0) for r in rows if (int(r[3]) % 5 == 0) is held] for held in (False, True)]
    train, test = (table(folder, f"mixed_{n}", part) for n, part in enumerate(parts))
    accuracy, seconds, passes = trained(train, test, folder / "model.lepton", within)
    print(f"| a fifth of the takes of all | {accuracy:.1%} (at least 97 %) | {seconds:.0f} | {passes} |", flush=True)


def hands(within: str) -> None:
    """A random fifth of the pictures held out."""
    train, test = lepton.read(HANDS).split(0.2, seed=0)
    began = time.perf_counter()
    model = lepton.train(train, target="label", within=within)
    seconds = time.perf_counter() - began
    passes = next(row.configuration for row in model.leaderboard().rows if row.chosen)
    accuracy = model.evaluate(test).metrics["accuracy"]
    print(f"\nHands, {len(test):,} of {len(train) + len(test):,} pictures held out: "
          f"{accuracy.value:.1%} ({accuracy.interval}; at least 97 %), {seconds:.0f} s, {passes}")  # fmt: skip


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two minutes or a little more for each training")
    parser.add_argument("--full", action="store_true", help="nine minutes for each")
    quick = not parser.parse_args().full
    with tempfile.TemporaryDirectory() as folder:
        spoken(Path(folder), "140s" if quick else "9m")
    hands("2m" if quick else "9m")


if __name__ == "__main__":
    main()

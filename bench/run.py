"""Runs the benches one after the other and keeps what they print in bench/RESULTS.md.

    python bench/run.py --quick                  # all of them, each at most 15 minutes on two cores
    python bench/run.py --full startup predict   # some of them
    python bench/run.py --quick "deep --only mnist --seeds 5"

A bench that is not run keeps its section from the last time; one with words of its own has a section of its own.
"""

import argparse
import os
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "RESULTS.md"
BENCHES = (
    "startup",
    "predict",
    "training",
    "automl",
    "automl_scale",
    "ensembles",
    "interactions",
    "honesty",
    "text",
    "serving_spine",
    "serving",
    "serving_peers",
    "estimators",
    "data",
    "data_checks",
    "data_near_duplicates",
    "data_labels",
    "data_faults",
    "forecast",
    "deep",
    "deep_trainer",
    "deep_kills",
    "deep_texts",
    "deep_sounds",
    "deep_search",
    "lean",
    "lean_tables",
    "lean_peers",
    "accelerate",
    "batch_predict",
    "trust",
)
LIBRARIES = ("lepton-ai", "numpy", "polars", "onnxruntime", "lightgbm", "scikit-learn")
HEAD = """# Results

Each section is what one command printed, with its date and machine. `python bench/run.py` writes them; ratios are side
by side in one run, with their spread. What a figure is measured against stands in the text of its bench.
"""


def machine() -> str:
    """Processor, cores, load, Python and the libraries that matter."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    found = re.search(r"model name\s*: (.+)", info)
    cpu = found[1] if found else platform.processor() or platform.machine()
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    load = f"load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    return f"{cpu}, {os.cpu_count()} cores, {load}, Python {platform.python_version()}, {libraries}"


def sections() -> dict[str, str]:
    """The sections that are there already, by bench."""
    if not RESULTS.exists():
        return {}
    parts = re.split(r"^## ", RESULTS.read_text("utf-8"), flags=re.MULTILINE)[1:]
    return {part.split("\n", 1)[0].strip(): part.split("\n", 1)[1].strip() for part in parts}


def main() -> int:
    """Run and write; returns the exit code of the worst bench."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="the short form (default)")
    size.add_argument("--full", action="store_true", help="the long form")
    parser.add_argument("benches", nargs="*", help="default: all")
    given = parser.parse_args()
    form, worst, kept = "--full" if given.full else "--quick", 0, sections()
    for name in given.benches or BENCHES:
        where, when = machine(), datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        bench, *words = name.split()
        command = [sys.executable, str(HERE / f"{bench}.py"), form, *words]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        print(done.stdout, flush=True)
        worst = max(worst, done.returncode)
        if done.returncode == 0:
            told = " ".join([f"{bench}.py", form, *words])
            kept[name] = f"`python bench/{told}`, {when}. {where}.\n\n```text\n{done.stdout.strip()}\n```"
    ordered = [name for name in BENCHES if name in kept] + [name for name in kept if name not in BENCHES]
    RESULTS.write_text("\n".join([HEAD, *(f"## {name}\n\n{kept[name]}\n" for name in ordered)]), "utf-8")
    return worst


if __name__ == "__main__":
    sys.exit(main())

"""How long one waits for the first answer, in fresh processes: medians of interleaved runs.

python bench/startup.py [--quick | --full]
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import lepton
from lepton.data.samples import sample

RUNS = 31 if "--full" in sys.argv else 11
LOAD = "import lepton; lepton.load({path!r}).predict({row!r})"


def seconds(command):
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main():
    with tempfile.TemporaryDirectory() as folder:
        table = lepton.read(sample("beijing_air"))
        model = lepton.train(table, target="pm25", within="8s", output=Path(folder) / "air.lepton")
        row = table.select([c.name for c in model.inputs]).frame().row(9, named=True)
        row = {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()}
        commands = {
            "python alone": [sys.executable, "-c", "pass"],
            "import lepton": [sys.executable, "-c", "import lepton"],
            "lepton --help": [str(Path(sys.executable).parent / "lepton"), "--help"],
            "lepton train --help": [str(Path(sys.executable).parent / "lepton"), "train", "--help"],
            "import onnxruntime, polars": [sys.executable, "-c", "import onnxruntime, polars"],
            "load and first prediction": [sys.executable, "-c", LOAD.format(path=str(model.path), row=row)],
        }
        times = {name: [] for name in commands}
        for _ in range(RUNS):
            for name, command in commands.items():
                times[name].append(seconds(command))
    base = statistics.median(times["python alone"])
    limits = {"import lepton": 150 + base * 1e3, "lepton --help": 250, "load and first prediction": 900}
    print(f"{'fresh process':28} median ms   quartiles ms      limit ms")
    for name, runs in times.items():
        low, middle, high = (1e3 * q for q in statistics.quantiles(runs, n=4))
        limit = f"{limits[name]:.0f}" if name in limits else ""
        print(f"{name:28} {middle:9.0f}   {low:6.0f} - {high:6.0f}   {limit:>9}")


if __name__ == "__main__":
    main()

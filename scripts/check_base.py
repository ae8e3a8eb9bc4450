"""Checks an environment that holds the base install alone: `python scripts/check_base.py PYTHON_OF_THAT_ENVIRONMENT`.

A model is trained here, with everything; it is loaded, asked, evaluated, explained, verified and served there. Prints
what was measured; exits with 1 if something does not hold.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import lepton
from lepton.data.samples import sample

MAX_BYTES = 400_000_000
TRAINING_LIBRARIES = ("torch", "sklearn", "onnx", "lightgbm", "scipy", "pandas", "pyarrow")

THERE = """
import importlib.util, json, sys
from importlib.metadata import distributions
present = [name for name in sys.argv[3:] if importlib.util.find_spec(name)]
size = sum(file.size or 0 for d in distributions() if d.name not in ("pip", "setuptools") for file in d.files or ())
import lepton
model = lepton.load(sys.argv[1])
test = lepton.read(sys.argv[2])
answers = lepton.predict(model, test).to_list()
evaluation = model.evaluate(test)
with lepton.serve(model, port=0) as server, lepton.Client(server.url) as client:
    served = client.predict("model", test.select([c.name for c in model.inputs]).head(5).to_dicts())
explained = model.explain(test.head(1), data=test)
whole = [float(each.ravel()[0]) for each in (explained.base, explained.values[0].sum(axis=0), explained.answers[0])]
trusted = [model.segments(test).num_rows, model.overview(test, seed=0).text() != "", model.card().markdown() != ""]
verified = model.verify(test, [{"metric": {"metric": "rmse", "most": 1e9}}]).passed
try:
    lepton.train(test, target=model.target, within="2s")
    refusal = ""
except lepton.LeptonError as error:
    refusal = str(error)
loaded = [name for name in sys.argv[3:] if name in sys.modules]
print(json.dumps([present, loaded, size, answers, served, evaluation.num_rows, refusal, whole, trusted, verified]))
"""


def main() -> int:
    """Run the check; returns the exit code."""
    there = str(Path(sys.argv[1]).absolute())
    with tempfile.TemporaryDirectory() as folder:
        train, test = lepton.read(sample("beijing_air")).split(test=0.1, seed=1)
        model = lepton.train(train, target="pm25", within="5s", output=Path(folder) / "model.lepton")
        test_file = test.save(Path(folder) / "test.parquet")
        done = subprocess.run(
            [there, "-W", "error", "-c", THERE, str(model.path), str(test_file), *TRAINING_LIBRARIES],
            capture_output=True,
            text=True,
            cwd=folder,
            check=False,
        )
        if done.returncode:
            print(done.stderr)
            return 1
        present, loaded, size, answers, served, rows, refusal, whole, trusted, verified = json.loads(done.stdout)
        expected = model.predict(test.frame()).to_list()
    checks = {
        f"{size / 1e6:.0f} MB by the wheels' records, at most {MAX_BYTES / 1e6:.0f}": size <= MAX_BYTES,
        f"no training library installed {present} or loaded {loaded}": not present and not loaded,
        f"{len(answers)} answers equal those of the full install": answers == expected,
        "served answers equal them": served == expected[:5],
        f"evaluated on {rows} rows": rows > 0,
        "contributions add up to the answer": abs(whole[0] + whole[1] - whole[2]) <= 1e-6 * abs(whole[2]),
        "weak places, the whole and a card are told, rules judged": all(trusted) and verified,
        "training names the extra that it needs": "lepton-ai[train]" in refusal,
    }
    for text, holds in checks.items():
        print(f"{'ok  ' if holds else 'FAIL'} {text}")
    print(f"{sum(checks.values())} passed, {len(checks) - sum(checks.values())} failed")
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())

"""What shap does, in an environment of its own: reads a job, writes contributions and seconds.

explain_peer.py trees JOB.pkl OUT.npz      # shap.TreeExplainer on the source model
explain_peer.py batched JOB.pkl OUT.npz    # Permutation, Kernel or Partition given a batched function
"""

import pickle
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import shap

warnings.filterwarnings("ignore")


def trees(job):
    """Interventional values of a tree model, with the time of the explainer's making and of its answers."""
    times = []
    for _ in range(job["repeats"]):
        start = time.perf_counter()
        explainer = shap.TreeExplainer(
            job["model"], job["background"], feature_perturbation="interventional", model_output="raw"
        )
        values = explainer.shap_values(job["rows"], check_additivity=False)
        times.append(time.perf_counter() - start)
    return np.asarray(values), times


def batched(job):
    """Values by asking an ONNX graph."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(job["graph"], options, providers=["CPUExecutionProvider"])
    asked = 0

    def ask(rows):
        nonlocal asked
        asked += len(rows)
        given = [
            session.run([job["output"]], {"numbers": np.ascontiguousarray(rows[at : at + 16384], dtype=np.float64)})[0]
            for at in range(0, len(rows), 16384)
        ]
        answers = np.concatenate(given).astype(np.float64)
        return answers[:, 1] if answers.ndim == 2 else answers

    rows, background, most = job["rows"], job["background"], job["most"]
    np.random.seed(job["seed"])  # noqa: NPY002 - what shap draws with
    start = time.perf_counter()
    if job["explainer"] == "kernel":
        explainer = shap.KernelExplainer(ask, background)
        values = explainer.shap_values(rows, nsamples=most, silent=True, l1_reg=False)
    else:
        masker = shap.maskers.Independent(background, max_samples=len(background))
        if job["explainer"] == "partition":
            masker = shap.maskers.Partition(background, max_samples=len(background))
        made = {"permutation": shap.PermutationExplainer, "partition": shap.PartitionExplainer}[job["explainer"]]
        given = {"seed": job["seed"]} if job["explainer"] == "permutation" else {}
        explainer = made(ask, masker, **given)
        explainer(rows[:1], max_evals=most, silent=True)  # compiles
        asked, start = 0, time.perf_counter()
        values = explainer(rows, max_evals=most, silent=True).values
    return np.asarray(values), [time.perf_counter() - start], asked


def main():
    kind, source, target = sys.argv[1:]
    job = pickle.loads(Path(source).read_bytes())
    values, times, *asked = trees(job) if kind == "trees" else batched(job)
    np.savez(target, values=values, times=times, asked=asked or [0])


main()

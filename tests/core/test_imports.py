"""Libraries come without what they could use besides, where the process is Lepton's own, and whole where it is not."""

import subprocess
import sys

import pytest

pytest.importorskip("lightgbm")

LEAN = """
import sys
import numpy as np
from lepton.core.imports import lean_import, own_process, shared_process
{own}
with lean_import("lightgbm"):
    import lightgbm
rows = np.arange(200.0).reshape(100, 2)
options = {{"verbose": -1, "num_threads": 1, "min_data_in_leaf": 5}}
trees = lightgbm.train(options, lightgbm.Dataset(rows, rows[:, 0]), num_boost_round=3)
assert np.ptp(trees.predict(rows)) > 0
assert all(module is not None for module in sys.modules.values())
print("pandas" in sys.modules, "sklearn" in sys.modules)
import pandas, sklearn
{then}
"""
WHOLE_AGAIN = """
shared_process()
import lightgbm as again
assert again is not lightgbm
again.LGBMRegressor(n_estimators=2, verbose=-1, min_child_samples=5).fit(pandas.DataFrame(rows), rows[:, 0])
with lean_import("xgboost"):
    pass
"""


def told(own, then=""):
    code = LEAN.format(own=own, then=then)
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()


def test_an_own_process_imports_what_it_needs_and_a_shared_one_all_of_it_again():
    pytest.importorskip("pandas")
    assert told("own_process()", WHOLE_AGAIN) == ["False", "False"]


def test_a_program_that_imports_lepton_has_its_libraries_whole():
    pytest.importorskip("pandas")
    assert told("") == ["True", "True"]

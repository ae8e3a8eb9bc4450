"""Small searches that several tests look at."""

from contextlib import contextmanager
from functools import partial

import polars as pl
import pytest

from lepton.core import Registry, Resources, Work
from lepton.data import read
from lepton.training import SearchOptions, automl, base, train
from lepton.training.automl import run as run_module
from lepton.training.base import LEARNERS
from tests.training.automl import faulty
from tests.training.automl.engines import PlainEngine
from tests.training.conftest import make_frame


@contextmanager
def few_learners(engine=None):
    """A world of few and quick learners, whose trials run in threads unless an engine is given."""
    names = {name: LEARNERS.address(name) for name in ("baseline", "linear", "forest")}
    known = Registry("few", {**names, "good": f"{faulty.__name__}:Good"})
    run = partial(automl.run_search, engine=engine or PlainEngine())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "LEARNERS", known)
        patch.setattr(run_module, "OPENERS", ("baseline",))
        patch.setattr(run_module, "_LOOK_SECONDS", 0.0)
        patch.setattr("lepton.training.tables.run_search", run)
        yield


@pytest.fixture(scope="session")
def searches():
    """Gives `search(path, engine, ...)`: a search among few learners that ends after some trials."""

    def search(path, engine=None, table=None, seed=0, effort="good", metric=None, cancel=None, **options):
        with few_learners(engine):
            return train(
                make_table() if table is None else table,
                target="price",
                effort=effort,
                metric=metric,
                work=Work(resources=Resources(cpus=2), seed=seed, cancel=cancel),
                search=SearchOptions(**options),
                output=path,
            )

    return search


def make_table(num_rows=240):
    return read(make_frame(num_rows).select(pl.exclude("dear", "level")), kinds={"town": "category"})


@pytest.fixture(scope="session")
def kept(searches, tmp_path_factory):
    """The folder of a search of eight trials, its model, and the engine that ran it."""
    folder = tmp_path_factory.mktemp("kept")
    engine = PlainEngine()
    result = searches(folder / "m.lepton", engine, workdir=folder / "search", max_trials=8)
    return folder / "search", result, engine

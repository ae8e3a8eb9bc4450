"""The tables that ship."""

import pytest

from lepton.core import Kind, UsageError
from lepton.data import read
from lepton.data.samples import SAMPLES, sample


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_is_read_and_has_its_licence(name):
    path = sample(name)
    assert path.stat().st_size < 1.2e6
    assert path.with_name(f"LICENSE-{name}.txt").read_text("utf-8").count("CC BY") >= 1
    assert read(path).num_rows > 1000


def test_beijing_air_has_categories_dates_and_missing_values():
    table = read(sample("beijing_air"))
    assert table.schema["when"].kind is Kind.DATETIME
    assert table.schema["wind"].kind is Kind.CATEGORY
    assert table.frame()["pm25"].null_count() == 463


def test_no_such_sample():
    with pytest.raises(UsageError, match="'titanic'"):
        sample("titanic")

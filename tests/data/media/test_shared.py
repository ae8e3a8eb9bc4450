"""Folders of files that people took, from archives as they were shared."""

from __future__ import annotations

import pytest

import lepton
from lepton.core import Resources, Work

pytestmark = [pytest.mark.shared, pytest.mark.timeout(300)]


def broken(check):
    return {each.rule: each.broken for each in check.results if not each.passed}


def test_photos_of_hands(shared_data):
    table = lepton.read(shared_data / "image" / "sign_digits" / "sign_digits.zip")
    assert (table.num_rows, table.frame()["label"].n_unique()) == (2_062, 10)
    check = lepton.check(table, work=Work(resources=Resources(cpus=1)))
    assert broken(check) == {"no image is far larger or smaller than most": 3}


def test_spoken_digits(shared_data):
    table = lepton.read(shared_data / "speech" / "fsdd" / "fsdd_4speakers.zip")
    frame = table.frame()
    assert frame["rate"].unique().to_list() == [8_000]
    seconds = sorted(frame["seconds"].to_list())
    assert 0.13 < seconds[0] < seconds[-1] <= 1.1
    check = lepton.check(table, work=Work(resources=Resources(cpus=1)))
    assert set(broken(check)) <= {"no two sounds are nearly the same"}
    assert sum(broken(check).values()) <= 10

"""What designs cost before they have learned anything."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lepton.training.deep.architectures.costs import Meter, untrained
from lepton.training.deep.architectures.designs import first_designs, least_design
from lepton.training.deep.architectures.subject import subject_of_arrays
from tests.training.deep.architectures.conftest import one_core, stripes


def test_designs_are_measured_with_everything_around_them(tmp_path: Path) -> None:
    x, y = stripes(40)
    subject = subject_of_arrays(x, y, kind=None, task=None)
    family = subject.learner(one_core()).spec
    meter = Meter(subject, first_designs(family)[0], tmp_path, None, one_core())
    assert 0 < meter.quiet[0] <= meter.quiet[1]
    whole, least = meter.of_design(family, None), meter.of_design(least_design(family), 10.0)
    assert whole.size > least.size > 1_000
    assert whole.multiply_adds > least.multiply_adds > 0
    assert whole.parameters == sum(each.numel() for each in untrained(family).parameters())
    assert least.row > 0
    known = Meter(subject, first_designs(family)[0], tmp_path, (0.5, 0.7), one_core())
    assert known.quiet == (0.5, 0.7)
    assert known.of_design(first_designs(family)[0], None).row > 0.05  # in units of what the reference is known to take


def test_rows_that_leave_early_cost_less_in_the_mean(tmp_path: Path) -> None:
    x, y = stripes(40)
    subject = subject_of_arrays(x, y, kind=None, task=None)
    spec = replace(first_designs(subject.learner(one_core()).spec)[0], exits=True)
    meter = Meter(subject, spec, tmp_path, None, one_core())
    module = untrained(spec)
    assert meter.of_net(module, x, None).multiply_adds == meter.of_design(spec, None).multiply_adds
    module.thresholds.fill_(0.0)
    assert meter.of_net(module, x, None).multiply_adds == module.multiply_adds()[0]

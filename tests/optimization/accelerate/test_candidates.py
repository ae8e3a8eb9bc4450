"""What is tried, and what is not."""

from lepton.bundle.settings import RuntimeSettings
from lepton.core import Resources
from lepton.optimization.accelerate.candidates import groups


def test_threads_go_up_to_the_cores() -> None:
    tried = next(group for group in groups(Resources(cpus=6), single=True) if group.name == "threads")
    assert {settings.threads for _, settings in tried.settings(RuntimeSettings())} == {2, 4, 6}
    assert {settings.spinning for _, settings in tried.settings(RuntimeSettings())} == {"always", "in-runs", "never"}
    alone = next(group for group in groups(Resources(cpus=1), single=True) if group.name == "threads")
    assert alone.settings(RuntimeSettings()) == []


def test_what_is_set_already_is_not_tried_again() -> None:
    calls = groups(Resources(cpus=1), single=True)[0]
    assert [settings for _, settings in calls.settings(RuntimeSettings(threads=2))] == [
        RuntimeSettings(threads=2, bound=True)
    ]
    assert calls.settings(RuntimeSettings(bound=True)) == []
    assert groups(Resources(cpus=1), single=False)[0].settings(RuntimeSettings()) == []

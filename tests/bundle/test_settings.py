"""Settings of onnxruntime: what a report may wish for, and what it may not."""

from __future__ import annotations

import logging
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from lepton.bundle.machines import machine_type
from lepton.bundle.settings import LEVELS, PROVIDERS, SPINNING, RuntimeSettings, recorded_settings
from lepton.core import LeptonError, Resources


def report(settings: Any, machine: Any = None) -> dict[str, Any]:
    return {"settings": {"machines": [{"machine": machine or machine_type(), "settings": settings}]}}


@pytest.mark.parametrize(
    "settings",
    [
        RuntimeSettings(),
        RuntimeSettings(threads=4, spinning="never", level="extended", bound=True),
        RuntimeSettings(arena=False, memory_pattern=False, parallel=True),
        RuntimeSettings(provider="OpenVINOExecutionProvider", provider_options=(("device_type", "GPU"),)),
    ],
)
def test_settings_come_back_as_they_were_told(settings: RuntimeSettings) -> None:
    assert RuntimeSettings.from_dict(settings.to_dict()) == settings


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        {1: 2},
        {"thread": 2},
        {"threads": 0},
        {"threads": 65},
        {"threads": True},
        {"threads": 2.0},
        {"spinning": "hard"},
        {"level": "layout"},
        {"bound": 1},
        {"provider": "EvilProvider"},
        {"provider": ["CPUExecutionProvider"]},
        {"provider_options": {"device_id": "0"}},
        {"provider": "CUDAExecutionProvider", "provider_options": {"device_id": "16"}},
        {"provider": "CUDAExecutionProvider", "provider_options": {"device_id": 1}},
        {"provider": "OpenVINOExecutionProvider", "provider_options": {"cache_dir": "/tmp"}},
        {"provider": "OpenVINOExecutionProvider", "provider_options": [["device_type", "GPU"]]},
    ],
)
def test_anything_else_is_refused(told: Any) -> None:
    with pytest.raises(LeptonError, match="got the runtime settings"):
        RuntimeSettings.from_dict(told)


def test_no_option_of_a_provider_is_a_path() -> None:
    values = {value for options in PROVIDERS.values() for allowed in options.values() for value in allowed}
    assert values
    assert all(value.isalnum() for value in values)


def test_threads_are_no_more_than_the_process_has() -> None:
    options = RuntimeSettings(threads=64, parallel=True).session_options(Resources(cpus=2))
    assert options.intra_op_num_threads == 2
    assert options.inter_op_num_threads == 2
    assert RuntimeSettings().session_options(Resources(cpus=2)).intra_op_num_threads == 1


def test_options_say_what_the_settings_say() -> None:
    settings = RuntimeSettings(spinning="never", level="basic", arena=False, memory_pattern=False)
    options = settings.session_options(Resources(cpus=1))
    assert options.graph_optimization_level == onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    assert not options.enable_cpu_mem_arena
    assert not options.enable_mem_pattern
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    in_runs = RuntimeSettings(spinning="in-runs").session_options(Resources(cpus=1))
    assert in_runs.get_session_config_entry("session.force_spinning_stop") == "1"


def test_what_is_recorded_for_this_type_of_machine_is_taken() -> None:
    assert recorded_settings({}) == RuntimeSettings()
    assert recorded_settings(report({"bound": True})) == RuntimeSettings(bound=True)
    assert recorded_settings(report({"bound": True}, {**machine_type(), "cores": 999})) == RuntimeSettings()


@pytest.mark.parametrize("machines", [None, 3, {"machine": 1}, [3], [{"machine": None}]])
def test_reports_of_another_form_say_nothing(machines: Any) -> None:
    assert recorded_settings({"settings": {"machines": machines}}) == RuntimeSettings()


def test_what_cannot_be_had_is_logged_and_left(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "lepton.bundle"):
        assert recorded_settings(report({"threads": "many"})) == RuntimeSettings()
        assert recorded_settings(report({"provider": "VitisAIExecutionProvider"})) == RuntimeSettings()
    assert "left aside" in caplog.text
    assert "VitisAIExecutionProvider is recorded for this machine, and not installed" in caplog.text


def test_settings_are_told_to_people() -> None:
    assert RuntimeSettings().text() == "the defaults"
    settings = RuntimeSettings(threads=2, bound=True, arena=False, provider="CoreMLExecutionProvider")
    assert settings.text() == "threads 2, memory bound once, arena off, provider CoreMLExecutionProvider"
    options = (("device_id", "1"),)
    assert RuntimeSettings(provider="CUDAExecutionProvider", provider_options=options).text().endswith("device_id=1")


def test_the_page_of_the_format_has_every_setting() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/bundle-format.md").read_text("utf-8")
    section = page.split("## Settings by machine")[1].split("\n## ")[0]
    named = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert named == [each.name for each in fields(RuntimeSettings)]
    assert all(f"`{value}`" in section for value in [*LEVELS, *SPINNING])

"""From a bundle to a session of onnxruntime, and to what packs rows for it."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

import onnxruntime

from lepton.bundle.codecs.tokens import TOKEN_CODECS
from lepton.bundle.files import Bundle
from lepton.bundle.frequency import Frequency
from lepton.bundle.inputs import TableInputs
from lepton.bundle.manifest import Manifest
from lepton.bundle.series import SeriesInputs
from lepton.bundle.settings import RuntimeSettings, recorded_settings
from lepton.bundle.tensors import TensorInputs
from lepton.core import BundleError, ErrorCode, LeptonError, Resources, printable

__all__ = ["check_runtime", "inputs_of", "open_session", "runtime_error"]

_FORECAST = "assets/forecast.json"
_logger = logging.getLogger("lepton.bundle")


def open_session(
    bundle: Bundle, graph: bytes, settings: RuntimeSettings | None, resources: Resources
) -> tuple[Any, RuntimeSettings]:
    """A session of the bundle's graph, and the settings that it runs with.

    Args:
        bundle: whose reports hold settings.
        graph: to run, of that bundle.
        settings: to run it with; None: those that its reports hold for this machine, or the defaults where they fail.
        resources: whose cores bound the threads.

    Raises:
        BundleError: onnxruntime refuses the graph.
    """
    chosen = recorded_settings(bundle.reports) if settings is None else settings
    try:
        return _session(graph, chosen, resources), chosen
    except BundleError as error:
        if settings is not None or chosen == RuntimeSettings():
            raise
        _logger.warning("the recorded settings (%s) do not work here: %s", chosen.text(), error.came)
    return _session(graph, RuntimeSettings(), resources), RuntimeSettings()


def _session(graph: bytes, settings: RuntimeSettings, resources: Resources) -> Any:
    try:
        options = settings.session_options(resources)
        session = onnxruntime.InferenceSession(graph, options, providers=settings.providers())
    except Exception as error:  # onnxruntime's errors have no common class
        raise runtime_error("onnxruntime cannot open the graph", error) from error
    session.disable_fallback()
    return session


def inputs_of(bundle: Bundle, session: Any) -> TableInputs | SeriesInputs | TensorInputs:
    """What packs rows into the tensors of the graph.

    Raises:
        BundleError: the member that says the frequency of series is damaged.
    """
    manifest = bundle.manifest
    if manifest.tensors:
        named = (TOKEN_CODECS[codec](bundle.member) for codec in manifest.codecs.values() if codec in TOKEN_CODECS)
        return TensorInputs(manifest.tensors, manifest.inputs, manifest.codecs, next(named, None))
    if manifest.task != "forecast":
        return TableInputs(manifest.inputs, manifest.codecs)
    horizon = next(output.shape[1] for output in manifest.outputs if output.name == "forecast")
    try:
        raw = json.loads(bundle.member(_FORECAST))
        frequency = Frequency.from_dict(raw["frequency"])
        if not isinstance(horizon, int):
            raise ValueError("the horizon is open")
    except (ValueError, TypeError, KeyError, RecursionError, LeptonError) as error:
        raise BundleError(ErrorCode.BUNDLE_DAMAGED, f"{_FORECAST} does not say the frequency of the series") from error
    return SeriesInputs(manifest.inputs, frequency, session.get_inputs()[0].shape[1], horizon)


def check_runtime(manifest: Manifest) -> None:
    """Raise `BundleError` if the onnxruntime here is older than what the model needs."""
    installed, oldest = (tuple(map(int, re.findall(r"\d+", version)[:3])) for version in (
        onnxruntime.__version__, manifest.minimum_onnxruntime
    ))  # fmt: skip
    if installed < oldest:
        raise BundleError(
            ErrorCode.BUNDLE_TOO_NEW,
            f"the model needs onnxruntime {manifest.minimum_onnxruntime} or newer; {onnxruntime.__version__} is here",
            fix=f"pip install 'onnxruntime>={manifest.minimum_onnxruntime}'",
        )


def runtime_error(what: str, error: Exception) -> BundleError:
    """What onnxruntime raised, as an error of the bundle."""
    return BundleError(ErrorCode.GRAPH_REFUSED, f"{what}: {printable(str(error).strip())}")

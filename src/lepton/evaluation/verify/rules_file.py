"""Rules about the model file: what it takes to run it, what it tells of its origin, and who vouches for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from lepton.bundle import TensorInputs, bundle_size, measure_latency, read_bundle, verify_bundle
from lepton.core import ErrorCode, LeptonError, SecurityError, parse_duration, parse_size, printable, show_size
from lepton.core.budgets import show_duration
from lepton.data.media.decoded import decoded_batches, takes_files
from lepton.evaluation.verify.base import Claim, Finding, Rule, Unknown
from lepton.evaluation.verify.examined import Examined
from lepton.security import PublicKey, TrustedKey, TrustList, read_trusted

__all__ = ["Doubts", "Latency", "Licence", "LineageRule", "Reproducible", "Runtime", "Signed", "Size"]

_VERSION = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6}){0,2}", re.ASCII)
_LINEAGE = ("dataset.fingerprint", "dataset.num_rows", "versions", "seed")
_SAMPLE = 256


@dataclass(frozen=True, kw_only=True)
class Latency(Rule):
    """A row is answered in time: the median over blocks of 99th percentiles, on one thread, encoding included.

    Attributes:
        p99: such as `2ms`. What is measured is true of the machine where it is measured. Of models of pictures and
            sounds, decoding the file is not counted.
        blocks: of 1,000 calls, at least one.
    """

    name: ClassVar[str] = "latency"
    p99: str | float
    blocks: int = 7

    def validate(self) -> None:
        """A duration must be one."""
        _ = self.seconds
        if self.blocks < 1:
            raise self.refused(f"got blocks={self.blocks}", wanted="at least 1")

    @property
    def seconds(self) -> float:
        """The bound."""
        try:
            return parse_duration(self.p99, "p99")
        except LeptonError as error:
            raise self.refused(error.came, wanted=error.wanted) from None

    def claims(self, task: str) -> Mapping[str, Claim]:
        """The bound."""
        return {"the latency": (0.0, self.seconds)}

    def judge(self, examined: Examined) -> Finding:
        """The latency, measured here."""
        record = examined.once(
            ("latency", self.blocks), lambda: examined.asked(lambda: _measured(examined, self.blocks))
        )
        examined.told("speed", {"latency": record.to_dict()})
        blocks = ", ".join(show_duration(each) for each in record.block_p99)
        evidence = f"p99 {show_duration(record.p99)}, median {show_duration(record.p50)}; p99 of each block: {blocks}"
        return Finding(
            record.p99 <= self.seconds, show_duration(record.p99), f"at most {show_duration(self.seconds)}", evidence
        )


def _measured(examined: Examined, blocks: int) -> Any:
    predictor = examined.predictor
    if isinstance(predictor.inputs, TensorInputs) and takes_files(predictor.inputs):
        batches = decoded_batches(examined.dataset, predictor.inputs, (), examined.work)
        arrays = next((batch.arrays for batch in batches if len(batch.arrays)), None)
        if arrays is None:
            raise Unknown("no file of the data can be read")
        return measure_latency(predictor, list(arrays), blocks=blocks, work=examined.work)
    if isinstance(predictor.inputs, TensorInputs):
        return measure_latency(predictor, predictor.inputs.example(), blocks=blocks, work=examined.work)
    names = [column.name for column in examined.inputs]
    lacking = set(names) - set(examined.inputs_of(examined.dataset))
    if lacking:
        raise Unknown(f"the data has no column {min(lacking)!r}")
    rows = examined.dataset.select(names).head(_SAMPLE)
    return measure_latency(predictor, rows, blocks=blocks, work=examined.work)


@dataclass(frozen=True, kw_only=True)
class Size(Rule):
    """The model file is small enough, without what was kept for training on and the reports.

    Attributes:
        most: such as `5MB`.
    """

    name: ClassVar[str] = "size"
    most: str | int

    def validate(self) -> None:
        """A size must be one."""
        _ = self.bytes

    @property
    def bytes(self) -> int:
        """The bound."""
        try:
            return parse_size(self.most, "most")
        except LeptonError as error:
            raise self.refused(error.came, wanted=error.wanted) from None

    def claims(self, task: str) -> Mapping[str, Claim]:
        """The bound."""
        return {"the size": (0.0, float(self.bytes))}

    def judge(self, examined: Examined) -> Finding:
        """Bytes of the file."""
        size = examined.asked(lambda: bundle_size(examined.predictor.bundle.path))
        examined.told("speed", {"size": size})
        evidence = f"{size:,} bytes without training and reports"
        return Finding(size <= self.bytes, show_size(size), f"at most {show_size(self.bytes)}", evidence)


@dataclass(frozen=True, kw_only=True)
class Runtime(Rule):
    """The graph runs where it is to be served: by a version of onnxruntime, and by operator sets in a range.

    Attributes:
        onnxruntime: the version of the place where it is served, such as `1.22`.
        most_opset: the newest operator set of ONNX that is known there.
        least_opset: the oldest that is.
        domains: further domains of operators that are known there; by default `ai.onnx.ml` alone.
    """

    name: ClassVar[str] = "runtime"
    onnxruntime: str | None = None
    most_opset: int | None = None
    least_opset: int | None = None
    domains: tuple[str, ...] = ("ai.onnx.ml",)

    def validate(self) -> None:
        """Versions must be such, and something must be asked."""
        if self.onnxruntime is None and self.most_opset is None and self.least_opset is None:
            raise self.refused("nothing is asked", wanted="onnxruntime, least_opset or most_opset")
        if self.onnxruntime is not None and not _VERSION.fullmatch(self.onnxruntime):
            raise self.refused(f"got onnxruntime={printable(self.onnxruntime)!r}", wanted="a version such as '1.22'")
        if self.least_opset is not None and self.most_opset is not None and self.least_opset > self.most_opset:
            raise self.refused(f"least_opset={self.least_opset} is more than most_opset={self.most_opset}")

    def claims(self, task: str) -> Mapping[str, Claim]:
        """The range of operator sets."""
        least = float("-inf") if self.least_opset is None else float(self.least_opset)
        return {"the operator set": (least, float("inf") if self.most_opset is None else float(self.most_opset))}

    def judge(self, examined: Examined) -> Finding:
        """What the manifest and the graph say."""
        manifest, summary = examined.predictor.manifest, examined.predictor.bundle.summary
        opset = summary.opsets.get("ai.onnx", summary.opsets.get("", 0))
        wants, problems = [], []
        if self.onnxruntime is not None:
            wants.append(f"onnxruntime {self.onnxruntime}")
            if _numbers(manifest.minimum_onnxruntime) > _numbers(self.onnxruntime):
                problems.append(f"it needs onnxruntime {manifest.minimum_onnxruntime}")
        if self.most_opset is not None or self.least_opset is not None:
            least, most = self.least_opset or 0, self.most_opset or 10**6
            wants.append(f"operator set {self.least_opset or ''}–{self.most_opset or ''}")
            if not least <= opset <= most:
                problems.append(f"it uses operator set {opset}")
        known = {"ai.onnx", "", *self.domains}
        if strange := [domain for domain in summary.opsets if domain not in known]:
            problems.append(f"it uses operators of {printable(strange[0])}")
        shown = f"onnxruntime {manifest.minimum_onnxruntime}, opset {opset}"
        used = ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in summary.opsets.items())
        return Finding(not problems, shown, ", ".join(wants), "; ".join(problems) or f"operator sets: {used}")


def _numbers(version: str) -> tuple[int, ...]:
    parts = [int(part) for part in version.split(".")]
    return (*parts, *[0] * (3 - len(parts)))


@dataclass(frozen=True, kw_only=True)
class Signed(Rule):
    """Somebody who is trusted signed the model.

    Attributes:
        keys: public keys as `lepton-ed25519 BASE64 NAME`; one of them must have signed.
        trusted: a file of such keys, in place of them.
    """

    name: ClassVar[str] = "signed"
    keys: tuple[str, ...] = ()
    trusted: str | None = None

    def validate(self) -> None:
        """Keys must be such; the file is read when the model is known."""
        if bool(self.keys) == bool(self.trusted):
            raise self.refused("got both keys and trusted" if self.keys else "no key is given", wanted="one of them")
        try:
            TrustList(TrustedKey(PublicKey.from_text(key)) for key in self.keys)
        except LeptonError as error:
            raise self.refused(error.came, wanted=error.wanted) from None

    def check(self, examined: Examined) -> None:
        """The file of keys must be there."""
        self._list()

    def _list(self) -> TrustList:
        if self.trusted is not None:
            return read_trusted(self.trusted)
        return TrustList(TrustedKey(PublicKey.from_text(key)) for key in self.keys)

    def judge(self, examined: Examined) -> Finding:
        """Whose signatures hold."""
        wanted = "a signature by a trusted key"
        try:
            report = verify_bundle(examined.predictor.bundle, self._list())
        except SecurityError as error:
            if error.code not in (ErrorCode.UNTRUSTED, ErrorCode.BAD_SIGNATURE):
                raise
            return Finding(False, None, wanted, error.came)
        signers = ", ".join(printable(name) for name in report.signers)
        return Finding(True, signers, wanted, f"signed by {signers}")


@dataclass(frozen=True, kw_only=True)
class Reproducible(Rule):
    """The file can be accounted for: every hash of its manifest holds now, and seed, versions and data are recorded.

    Whether training again gives the same model is not tried.
    """

    name: ClassVar[str] = "reproducible"

    def judge(self, examined: Examined) -> Finding:
        """The file is read again, whole."""
        wanted = "hashes hold; seed, versions and fingerprint recorded"
        bundle = examined.predictor.bundle
        try:
            found = read_bundle(bundle.path)
        except LeptonError as error:
            return Finding(False, None, wanted, error.came)
        if found.model_id != bundle.model_id:
            return Finding(False, found.model_id[:12], wanted, "the file holds another model than when it was opened")
        lacking = [name for name in _LINEAGE if _at(bundle.manifest.lineage, name) is None]
        members = len(bundle.manifest.members)
        evidence = f"{members} members have the hashes of the manifest, model {bundle.model_id[:12]}"
        if lacking:
            evidence += f"; the lineage lacks {', '.join(lacking)}"
        return Finding(not lacking, bundle.model_id[:12], wanted, evidence)


@dataclass(frozen=True, kw_only=True)
class LineageRule(Rule):
    """The manifest tells where the model comes from.

    Attributes:
        fields: what must be told, with dots for what lies deeper.
    """

    name: ClassVar[str] = "lineage"
    fields: tuple[str, ...] = (*_LINEAGE, "learner")

    def validate(self) -> None:
        """Something must be asked."""
        if not self.fields:
            raise self.refused("no fields are asked for", wanted="such as dataset.fingerprint")

    def judge(self, examined: Examined) -> Finding:
        """What is told."""
        lineage = examined.predictor.manifest.lineage
        if not lineage:
            raise Unknown("the model file has no lineage")
        lacking = [name for name in self.fields if _at(lineage, name) is None]
        told = len(self.fields) - len(lacking)
        evidence = f"it lacks {', '.join(lacking)}" if lacking else "all of it is told"
        return Finding(not lacking, f"{told} of {len(self.fields)}", ", ".join(self.fields), evidence)


def _at(record: Mapping[str, Any], name: str) -> Any:
    found: Any = record
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return None if found in ("", {}, []) else found


@dataclass(frozen=True, kw_only=True)
class Licence(Rule):
    """The data that the model was trained on has a licence of a list.

    It is looked for in the lineage (`dataset.licence`) and in the report `provenance` of the file.

    Attributes:
        one_of: licences that are allowed, such as `CC-BY-4.0`; case does not matter.
    """

    name: ClassVar[str] = "licence"
    one_of: tuple[str, ...]

    def validate(self) -> None:
        """A licence must be allowed."""
        if not self.one_of:
            raise self.refused("no licence is allowed", wanted="at least one, such as CC-BY-4.0")

    def judge(self, examined: Examined) -> Finding:
        """The licence that is recorded."""
        told = provenance(examined, "licence")
        if told is None:
            raise Unknown("neither the lineage nor the report 'provenance' says under which licence the data is")
        passed = told.casefold() in {each.casefold() for each in self.one_of}
        return Finding(passed, told, " or ".join(self.one_of), f"the data is under {printable(told)!r}")


def provenance(examined: Examined, name: str) -> str | None:
    """What the file tells of its data: in the lineage, or in the report `provenance`."""
    predictor = examined.predictor
    report = predictor.bundle.reports.get("provenance", {})
    for found in (_at(predictor.manifest.lineage, f"dataset.{name}"), report.get(name)):
        if isinstance(found, str) and found.strip():
            return found.strip()
    return None


@dataclass(frozen=True, kw_only=True)
class Doubts(Rule):
    """Training found nothing that makes its score doubtful: leaks, groups, order, too few rows.

    Attributes:
        accepted: doubts that may stand, by their word, such as `moved`.
    """

    name: ClassVar[str] = "doubts"
    accepted: tuple[str, ...] = ()

    def judge(self, examined: Examined) -> Finding:
        """The doubts of `reports/training.json`."""
        report = examined.report("training")
        found = report.get("doubts")
        if not isinstance(found, list):
            raise Unknown("the report of the training says nothing of doubts")
        if report.get("not_checked"):
            raise Unknown(f"training did not look for all of them: {report['not_checked']}")
        told = [each for each in found if isinstance(each, Mapping)]
        standing = [each for each in told if str(each.get("what")) not in self.accepted]
        words = "; ".join(f"{each.get('what')}: {each.get('evidence')}" for each in standing[:3])
        wanted = "none" + (f" but {', '.join(self.accepted)}" if self.accepted else "")
        return Finding(not standing, len(standing), wanted, words or "training found none")

"""Files that no importer takes: what they are, and how the model in them can come."""

from __future__ import annotations

from typing import NoReturn

from lepton.core import ErrorCode, SecurityError, UsageError
from lepton.training.importers.base import IMPORTERS, FileHead, unreadable

__all__ = ["refuse_unknown"]

_PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"(lp", b"(dp", b"]q", b"}q", b"ccopy", b"c__")
_EXPORTS = (
    "scikit-learn: lepton.import_model(estimator) in the program that has it; "
    'PyTorch: torch.export.save(torch.export.export(module, (example,)), "model.pt2"); Keras: model.save("model.keras")'
)


def refuse_unknown(head: FileHead, framework: str | None) -> NoReturn:
    """Say what a file is that is not taken.

    Raises:
        SecurityError: a pickle, which runs what it likes when it is opened.
        UsageError: a file of another framework, or a bundle.
        DataError: anything else.
    """
    path = head.path
    names = {name.rpartition("/")[2] for name in head.members}
    if "manifest.json" in names and "model.onnx" in names:
        raise UsageError(ErrorCode.USAGE, f"'{path.name}' is a bundle already", fix=f"lepton.load({path.name!r})")
    is_pickle = head.start.startswith(_PICKLES) or "data.pkl" in names
    if is_pickle or path.suffix in {".pkl", ".pickle", ".joblib"}:
        raise SecurityError(
            ErrorCode.UNTRUSTED,
            f"'{path.name}' is a pickle, which runs any code when it is opened",
            wanted="a file of a form that holds a model and nothing else",
            fix=_EXPORTS,
        )
    if head.start.startswith(b"\x89HDF"):
        raise unreadable(path, "is in HDF5, Keras's old form", fix='model.save("model.keras") in Keras 3')
    for name in IMPORTERS.names():
        if framework is not None and IMPORTERS.load(name).recognises(head):
            raise UsageError(
                ErrorCode.USAGE,
                f"'{path.name}' was said to be a model of {framework}, and is one of {name}",
                fix=f"framework={name!r}",
            )
    if head.start[:8].strip(b"\0")[1:] and b'{"__metadata__"' in head.start[:64]:
        raise unreadable(path, "holds weights alone (safetensors)", fix="build the module, load them, import that")
    what = "" if framework is None else f" of {framework}"
    raise unreadable(
        path,
        f"is no model{what} that Lepton knows, or it is damaged",
        wanted="a model of " + ", ".join(IMPORTERS.names()),
        fix=_EXPORTS,
    )

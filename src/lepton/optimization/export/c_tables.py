"""Trees and tables of codes as C: constant arrays, and a loop that looks things up in them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.optimization.export.base import cannot_express
from lepton.optimization.export.c_source import RUNTIME, Node, Source
from lepton.optimization.export.c_text import TYPES, literal

__all__ = ["label_encoder", "tree_ensemble"]

_TESTS = {0: "v <= t", 1: "v < t", 2: "v >= t", 3: "v > t", 4: "v == t", 5: "v != t"}
_MEMBER = 6
_SUM, _PLAIN = 1, 0


def tree_ensemble(source: Source, node: Node) -> None:
    """`TreeEnsemble` of ai.onnx.ml 5: leaves are added up in the order of the trees, as onnxruntime does."""
    given = node.attributes
    if given.get("aggregate_function", _SUM) != _SUM or given.get("post_transform", _PLAIN) != _PLAIN:
        raise cannot_express("a TreeEnsemble that does more than add up its leaves", RUNTIME)
    rows, sums = source.value(node.inputs[0]), source.result(node.outputs[0])
    modes = np.asarray(given["nodes_modes"], dtype=np.uint8)
    tables = {
        "feature": source.table(_integers(given["nodes_featureids"]), "int32"),
        "split": source.table(given["nodes_splits"], str(given["nodes_splits"].dtype)),
        "yes": source.table(_children(given["nodes_truenodeids"], given["nodes_trueleafs"]), "int32"),
        "no": source.table(_children(given["nodes_falsenodeids"], given["nodes_falseleafs"]), "int32"),
        "leaf": source.table(given["leaf_weights"], str(given["leaf_weights"].dtype)),
        "root": source.table(_integers(given["tree_roots"]), "int32"),
    }
    missing = np.asarray(given.get("nodes_missing_value_tracks_true", np.zeros(len(modes))), dtype=np.uint8)
    if missing.any():
        tables["missing"] = source.table(missing, "uint8")
    if sums.size > 1:
        tables["target"] = source.table(_integers(given["leaf_targetids"]), "int32")
    name = source.fresh(f"{source.prefix}_trees")
    test = _test(source, modes, given.get("membership_values"), tables)
    kind = TYPES[rows.dtype]
    unknown = f" || (v != v && {tables['missing']}[n])" if "missing" in tables else ""
    target = f"{tables['target']}[-n - 1]" if sums.size > 1 else "0"
    trees = len(given["tree_roots"])
    source.outside.append(
        f"static void {name}(const {kind} *x, {kind} *sums) {{\n"
        f"  int32_t tree, n;\n"
        f"  for (n = 0; n < {sums.size}; n++) sums[n] = 0;\n"
        f"  for (tree = 0; tree < {trees}; tree++) {{\n"
        f"    n = {tables['root']}[tree];\n"
        f"    while (n >= 0) {{ /* a leaf is -1 - its number */\n"
        f"      const {kind} v = x[{tables['feature']}[n]], t = {tables['split']}[n];\n"
        f"      n = ({test}{unknown}) ? {tables['yes']}[n] : {tables['no']}[n];\n"
        f"      (void)t;\n"
        f"    }}\n"
        f"    sums[{target}] += {tables['leaf']}[-n - 1];\n"
        f"  }}\n"
        f"}}"
    )
    source.emit(f"{name}({rows.code}, {sums.code});")


def _test(source: Source, modes: NDArray[np.uint8], members: Any, tables: dict[str, str]) -> str:
    """The condition of a node: one for all where they are alike."""
    kinds = sorted({*modes.tolist()})
    if unknown := [kind for kind in kinds if kind not in _TESTS and kind != _MEMBER]:
        raise cannot_express(f"a TreeEnsemble with nodes of mode {unknown[0]}", RUNTIME)
    if kinds == [0]:
        return _TESTS[0]
    tests = dict(_TESTS)
    if _MEMBER in kinds:
        tests[_MEMBER] = _member_test(source, modes, np.asarray(members), tables)
    if len(kinds) == 1:
        return tests[kinds[0]]
    mode = source.table(modes, "uint8")
    chosen = tests[kinds[-1]]
    for kind in reversed(kinds[:-1]):
        chosen = f"{mode}[n] == {kind} ? {tests[kind]} : {chosen}"
    return f"({chosen})"


def _member_test(source: Source, modes: NDArray[np.uint8], members: NDArray[Any], tables: dict[str, str]) -> str:
    ends = np.flatnonzero(np.isnan(members))  # each set is closed by a NaN
    sizes = np.zeros(len(modes) + 1, dtype=np.int64)
    sizes[1:][modes == _MEMBER] = np.diff(ends, prepend=-1) - 1
    kind = str(members.dtype)
    sets = source.table(members[~np.isnan(members)], kind)
    first = source.table(np.cumsum(sizes), "int32")
    name = source.fresh(f"{source.prefix}_member")
    source.outside.append(
        f"static int {name}(int32_t n, {TYPES[kind]} v) {{\n"
        f"  int32_t k;\n"
        f"  for (k = {first}[n]; k < {first}[n + 1]; k++)\n"
        f"    if ({sets}[k] == v) return 1;\n"
        f"  return 0;\n"
        f"}}"
    )
    return f"{name}(n, v)"


def label_encoder(source: Source, node: Node) -> None:
    """`LabelEncoder`: a sorted table of keys, searched by halves."""
    keys, values, default = _mapping(node)
    texts, codes = source.value(node.inputs[0]), source.result(node.outputs[0])
    if texts.dtype not in ("object", "int64") or keys.dtype.kind not in "Oi":
        raise cannot_express(f"a LabelEncoder of {texts.dtype}", RUNTIME)
    order = sorted(range(len(keys)), key=lambda place: _sortable(keys[place]))
    key_table = source.table(keys[order], texts.dtype)
    value_table = source.table(values[order], codes.dtype)
    name = source.fresh(f"{source.prefix}_code")
    is_text = texts.dtype == "object"
    found = f"{key_table}[middle]"
    order_of = f"strcmp(key, {found})" if is_text else f"(key > {found}) - (key < {found})"
    taken = "const char *key" if is_text else "int64_t key"
    result = "const char *" if codes.dtype == "object" else TYPES[codes.dtype] + " "
    source.outside.append(
        f"static {result}{name}({taken}) {{\n"
        f"  int32_t low = 0, high = {len(keys)};\n"
        f"  while (low < high) {{\n"
        f"    const int32_t middle = (low + high) / 2;\n"
        f"    const int order = {order_of};\n"
        f"    if (order == 0) return {value_table}[middle];\n"
        f"    if (order < 0) high = middle;\n"
        f"    else low = middle + 1;\n"
        f"  }}\n"
        f"  return {literal(default)};\n"
        f"}}"
    )
    source.emit(f"for (i = 0; i < {codes.size}; i++) {codes.code}[i] = {name}({texts.code}[i]);")


def _mapping(node: Node) -> tuple[NDArray[Any], NDArray[Any], Any]:
    given = node.attributes
    found = {}
    for role in ("keys", "values"):
        attribute = next(name for name in given if name.startswith(f"{role}_"))
        raw = given[attribute]
        is_text = attribute.endswith("strings") or (isinstance(raw, np.ndarray) and raw.dtype.kind in "OSU")
        if is_text:
            listed = raw.ravel().tolist() if isinstance(raw, np.ndarray) else raw
            found[role] = np.array(
                [text.decode() if isinstance(text, bytes) else text for text in listed], dtype=object
            )
        else:
            found[role] = np.asarray(raw, dtype=np.float32 if attribute.endswith("floats") else None)
    values = found["values"]
    defaults = [given[name] for name in given if name.startswith("default_")]
    default = np.asarray(defaults[0]).ravel()[0] if defaults else ("_Unused" if values.dtype == object else -1)
    if isinstance(default, bytes):
        default = default.decode()
    return found["keys"], values, default if values.dtype == object else values.dtype.type(default)


def _sortable(key: Any) -> Any:
    if isinstance(key, str) and "\0" in key:
        raise cannot_express("texts that hold a NUL character", RUNTIME)
    return key.encode() if isinstance(key, str) else key


def _integers(values: Any) -> NDArray[np.int32]:
    return np.array(values, dtype=np.int32)


def _children(ids: Any, are_leaves: Any) -> NDArray[np.int32]:
    numbers = _integers(ids)
    return np.where(_integers(are_leaves) != 0, ~numbers, numbers)

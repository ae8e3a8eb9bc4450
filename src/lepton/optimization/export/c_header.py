"""A model as one C99 header that needs the standard library alone."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import TableInputs
from lepton.core import BundleError, ErrorCode, UsageError, Work, printable
from lepton.optimization.export.base import Checked, Exporter, Options, Subject, cannot_express
from lepton.optimization.export.c_operators import emit_all
from lepton.optimization.export.c_source import RUNTIME, Source
from lepton.optimization.export.c_text import TYPES, Value, identifiers, literal, quoted
from lepton.store import scratch_folder, write_scratch

__all__ = ["CHeaderExporter"]

_COMPILERS = ("cc", "gcc", "clang")
_TEXT_CODECS = frozenset({"characters/1", "nfc-casefold/1", "stable-hash/1"})
_SECONDS = 300
_HELPERS = """\
#ifndef LEPTON_HELPERS
#define LEPTON_HELPERS
/* As casts of the processor that the model was compared on: what has no whole number becomes the least one. */
static inline int64_t lepton_whole(double x) {
  return x >= -9223372036854775808.0 && x < 9223372036854775808.0 ? (int64_t)x : INT64_MIN;
}
/* Two texts in one buffer; what does not fit is longer than all that it will be compared with. */
static inline const char *lepton_join(char *to, size_t size, const char *one, const char *other) {
  size_t n = 0;
  while (*one && n + 1 < size) to[n++] = *one++;
  while (*other && n + 1 < size) to[n++] = *other++;
  to[n] = 0;
  return to;
}
#endif"""


class CHeaderExporter(Exporter):
    """C: `<model>.h`, and `example.c`, which asks it one row."""

    name: ClassVar[str] = "c-header"
    tolerance: ClassVar[float] = 1e-6

    def available(self, options: Options) -> None:
        """See `Exporter.available`."""
        _compiler()

    def export(self, subject: Subject, folder: Path, options: Options, work: Work) -> None:
        """See `Exporter.export`."""
        header = _Header.of(subject)
        write_scratch(folder / f"{header.name}.h", [header.text().encode("ascii")])
        write_scratch(folder / "example.c", [header.example().encode("ascii")])

    def check(self, subject: Subject, folder: Path, options: Options, work: Work) -> Checked:
        """Compile the header with a program that answers the rows, and the example beside it."""
        header, compiler, folder = _Header.of(subject), _compiler(), folder.absolute()
        with scratch_folder(work.resources.scratch) as scratch:
            write_scratch(scratch / "check.c", [header.checker().encode("ascii")])
            write_scratch(scratch / "rows.bin", [_rows(subject)])
            _build(compiler, scratch / "check.c", scratch / "check", folder)
            _build(compiler, folder / "example.c", scratch / "example", folder)
            _ran([str(scratch / "example")], scratch)
            _ran([str(scratch / "check"), "rows.bin", "answers.bin"], scratch)
            answers, seconds = header.read((scratch / "answers.bin").read_bytes())
        version = _ran([compiler, "--version"], folder).splitlines()[0]
        return Checked(f"C99 by {printable(version)}", answers, seconds)


@dataclass(frozen=True)
class _Header:
    """A header on its way.

    Attributes:
        name: of the model, as C can say it: the prefix of all names.
        subject: the model.
        source: its statements.
        fields: name of each column in the struct of a row.
        outputs: output → its value.
    """

    name: str
    subject: Subject
    source: Source
    fields: tuple[str, ...]
    outputs: dict[str, Value]

    @classmethod
    def of(cls, subject: Subject) -> _Header:
        """The header of a model of a table.

        Raises:
            BundleError: it takes something else, or its graph holds what C has no form for; it is named.
        """
        inputs = subject.predictor.inputs
        if not isinstance(inputs, TableInputs):
            raise cannot_express("a model of pictures, sounds, texts, series or tensors", RUNTIME)
        for column in inputs.strings:
            codec = subject.manifest.codecs.get(column.name)
            if codec in _TEXT_CODECS or column.tidying:
                what = f"the codec {codec}" if codec else "the tidying of texts"
                raise cannot_express(f"{what} of the column '{printable(column.name)}'", RUNTIME)
        name = identifiers([subject.manifest.name])[0]
        source = Source(subject.graph, subject.row(0), name)
        emit_all(source)
        fields = identifiers([column.name for column in inputs.columns])
        return cls(name, subject, source, tuple(fields), {each: source.value(each) for each in source.outputs})

    @property
    def inputs(self) -> TableInputs:
        inputs = self.subject.predictor.inputs
        if not isinstance(inputs, TableInputs):
            raise TypeError("of tables alone")
        return inputs

    def text(self) -> str:
        """The header."""
        return "\n\n".join(
            [
                self._about(),
                f"#ifndef LEPTON_{self.name.upper()}_H\n#define LEPTON_{self.name.upper()}_H",
                "#include <math.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <string.h>",
                self._structs(),
                _HELPERS,
                *self.source.outside,
                self._function(),
                "#endif",
                "",
            ]
        )

    def _about(self) -> str:
        manifest = self.subject.manifest
        lines = [
            f"{_plain(manifest.name)}: {manifest.task}, model {self.subject.predictor.model_id}",
            "Written by lepton export --to c-header. C99, standard library alone; link with -lm. Safe among threads.",
            f"No memory is allocated, about {self.source.on_stack // 1024 + 1} KiB of stack are used.",
            "Compile without -ffast-math, which loses missing numbers.",
            "",
            "Numbers: a missing one is NAN. Booleans are 0 and 1, moments microseconds since 1970-01-01 UTC.",
            'Texts: UTF-8 in Unicode NFC; a missing one is "" or NULL.',
        ]
        return "/*\n" + "\n".join(f" * {line}".rstrip() for line in lines) + "\n */"

    def _structs(self) -> str:
        kinds = {column.name: "double " for column in self.inputs.numbers}
        rows = [
            f"  {kinds.get(column.name, 'const char *')}{field}; /* {_plain(column.name)}: {column.kind}"
            + (f", {_plain(column.unit)}" if column.unit else "")
            + " */"
            for column, field in zip(self.inputs.columns, self.fields, strict=True)
        ]
        answers = [
            f"  {TYPES[value.dtype]} {name}{'' if value.size == 1 and len(value.shape) == 1 else f'[{value.size}]'};"
            for name, value in self.outputs.items()
        ]
        parts = [
            f'#define {self.name.upper()}_MODEL_ID "{self.subject.predictor.model_id}"',
            f"typedef struct {{\n{chr(10).join(rows)}\n}} {self.name}_row;",
            f"typedef struct {{\n{chr(10).join(answers).replace('* ', '*')}\n}} {self.name}_answer;",
        ]
        labels = self.subject.predictor.labels
        if labels is not None:
            listed = ", ".join(quoted(str(label)) for label in labels)
            about = "/* The classes, in the order of probabilities. */"
            parts.insert(1, f"{about}\nstatic const char *const {self.name}_labels[{len(labels)}] = {{{listed}}};")
        return "\n\n".join(parts)

    def _function(self) -> str:
        columns = {column.name: field for column, field in zip(self.inputs.columns, self.fields, strict=True)}
        lines = []
        if self.inputs.numbers:
            listed = ", ".join(f"row->{columns[column.name]}" for column in self.inputs.numbers)
            lines.append(f"const double numbers[] = {{{listed}}};")
        if self.inputs.strings:
            listed = ", ".join(f'row->{(f := columns[c.name])} ? row->{f} : ""' for c in self.inputs.strings)
            lines.append(f"const char *strings[] = {{{listed}}};")
        lines += ["int32_t i, j;", *self.source.inside]
        for name, value in self.outputs.items():
            to = f"answer->{name}" if value.size == 1 and len(value.shape) == 1 else f"answer->{name}[i]"
            lines.append(f"for (i = 0; i < {value.size}; i++) {to} = {value.code}[i];")
        unused = [name for name, there in (("numbers", self.inputs.numbers), ("strings", self.inputs.strings)) if there]
        lines += [f"(void){name};" for name in ("i", "j", *unused)] + ["return 0;"]
        body = "\n".join(f"  {line}" for line in lines)
        about = "/* Answers one row. 0, or 1 where the model holds a place that is not there. */"
        head = f"static inline int {self.name}_predict(const {self.name}_row *row, {self.name}_answer *answer)"
        return f"{about}\n{head} {{\n{body}\n}}"

    def example(self) -> str:
        """A program that asks one row and prints the answer."""
        row = self.subject.row(min(4, len(next(iter(self.subject.tensors.values()))) - 1))
        cells = {c.name: row["numbers"][0, place] for place, c in enumerate(self.inputs.numbers)}
        cells |= {c.name: row["strings"][0, place] for place, c in enumerate(self.inputs.strings)}
        given = "\n".join(
            f"  row.{field} = {literal(cells[column.name])};"
            for column, field in zip(self.inputs.columns, self.fields, strict=True)
        )
        forms = {"object": ("%s", ""), "float64": ("%.17g", ""), "float32": ("%.9g", "(double)")}
        shown = []
        for name, value in self.outputs.items():
            form, cast = forms.get(value.dtype, ("%lld", "(long long)"))
            places = [""] if value.size == 1 and len(value.shape) == 1 else [f"[{n}]" for n in range(value.size)]
            shown += [f'  printf("{name}{place}: {form}\\n", {cast}answer.{name}{place});' for place in places]
        return (
            f'/* cc -std=c99 -O2 example.c -o example -lm */\n#include <stdio.h>\n\n#include "{self.name}.h"\n\n'
            f"int main(void) {{\n  {self.name}_row row;\n  {self.name}_answer answer;\n{given}\n"
            f"  if ({self.name}_predict(&row, &answer)) return 1;\n" + "\n".join(shown) + "\n  return 0;\n}\n"
        )

    def checker(self) -> str:
        """A program that answers the rows of a file, and tells the seconds of one row."""
        numbers = [f for c, f in zip(self.inputs.columns, self.fields, strict=True) if c in self.inputs.numbers]
        strings = [f for c, f in zip(self.inputs.columns, self.fields, strict=True) if c in self.inputs.strings]
        reads = [f"    if (!fread(&rows[n].{field}, 8, 1, in)) return 2;" for field in numbers]
        reads += [f"    if (!(rows[n].{field} = text(in))) return 2;" for field in strings]
        writes = []
        for name, value in self.outputs.items():
            if value.dtype == "object":
                several = not (value.size == 1 and len(value.shape) == 1)
                each = [f"answer.{name}[{n}]" for n in range(value.size)] if several else [f"answer.{name}"]
                writes += [f"    fwrite({text}, 1, strlen({text}) + 1, out);" for text in each]
            else:
                writes.append(f"    fwrite(&answer.{name}, sizeof answer.{name}, 1, out);")
        return (
            _CHECKER.replace("MODEL", self.name).replace("READS", "\n".join(reads)).replace("WRITES", "\n".join(writes))
        )

    def read(self, data: bytes) -> tuple[dict[str, NDArray[Any]], float]:
        """What the checker wrote: the answers, and the seconds of a row."""
        num_rows = len(next(iter(self.subject.tensors.values())))
        answers: dict[str, list[Any]] = {name: [] for name in self.outputs}
        seconds = float(np.frombuffer(data[:8])[0])
        at = 8
        for _ in range(num_rows):
            for name, value in self.outputs.items():
                if value.dtype == "object":
                    texts = data[at:].split(b"\0", value.size)[:-1]
                    at += sum(map(len, texts)) + value.size
                    answers[name].append(np.array([text.decode() for text in texts], object).reshape(value.shape[1:]))
                else:
                    size = value.size * np.dtype(value.dtype).itemsize
                    answers[name].append(np.frombuffer(data[at : at + size], value.dtype).reshape(value.shape[1:]))
                    at += size
        made = {name: np.array(listed, dtype=self.outputs[name].dtype) for name, listed in answers.items()}
        return made, seconds


_CHECKER = """\
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "MODEL.h"

static const char *text(FILE *in) {
  uint32_t size;
  char *read;
  if (!fread(&size, 4, 1, in) || !(read = malloc(size + 1))) return NULL;
  if (size && !fread(read, size, 1, in)) return NULL;
  read[size] = 0;
  return read;
}

int main(int count, char **words) {
  static MODEL_row rows[10000];
  MODEL_answer answer;
  uint32_t num_rows, n, calls = 0;
  double seconds;
  clock_t begin;
  FILE *in, *out;
  if (count != 3 || !(in = fopen(words[1], "rb")) || !(out = fopen(words[2], "wb"))) return 2;
  if (!fread(&num_rows, 4, 1, in) || num_rows > 10000) return 2;
  for (n = 0; n < num_rows; n++) {
READS
  }
  begin = clock();
  do {
    if (MODEL_predict(&rows[calls % num_rows], &answer)) return 3;
    calls++;
  } while (calls < num_rows || clock() - begin < CLOCKS_PER_SEC / 20);
  seconds = (double)(clock() - begin) / CLOCKS_PER_SEC / calls;
  fwrite(&seconds, 8, 1, out);
  for (n = 0; n < num_rows; n++) {
    if (MODEL_predict(&rows[n], &answer)) return 3;
WRITES
  }
  return fclose(out) ? 2 : 0;
}
"""


def _plain(text: str) -> str:
    """A text that can stand in a comment."""
    return (
        printable(text, 60)
        .encode("ascii", "replace")
        .decode()
        .replace("*/", "* /")
        .replace("/*", "/ *")
        .replace("\\", "/")
    )


def _rows(subject: Subject) -> bytes:
    tensors = subject.tensors
    num_rows = len(next(iter(tensors.values())))
    parts = [np.uint32(num_rows).tobytes()]
    for row in range(num_rows):
        if "numbers" in tensors:
            parts.append(np.ascontiguousarray(tensors["numbers"][row]).tobytes())
        for text in tensors.get("strings", np.empty((num_rows, 0)))[row]:
            data = text.encode()
            parts += [np.uint32(len(data)).tobytes(), data]
    return b"".join(parts)


def _compiler() -> str:
    for name in _COMPILERS:
        if found := shutil.which(name):
            return found
    raise UsageError(
        ErrorCode.USAGE,
        "there is no C compiler, without which a header cannot be checked",
        wanted=" or ".join(_COMPILERS),
        fix="install one, for example: apt install gcc",
    )


def _build(compiler: str, source: Path, program: Path, folder: Path) -> None:
    words: Sequence[str] = [compiler, "-std=c99", "-O2", f"-I{folder}", str(source), "-o", str(program), "-lm"]
    _ran(words, program.parent)


def _ran(words: Sequence[str], folder: Path) -> str:
    try:
        ran = subprocess.run(  # noqa: S603 - the compiler, and what it made of our own text
            words, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise BundleError(ErrorCode.CHECK_FAILED, f"{Path(words[0]).name} did not end in {_SECONDS} s") from None
    if ran.returncode:
        said = printable(" ".join(ran.stderr.split()[:60])) or f"it ended with {ran.returncode}"
        raise BundleError(ErrorCode.CHECK_FAILED, f"{Path(words[0]).name} fails: {said}")
    return ran.stdout

"""A model as one C99 header that needs the standard library alone."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import TableInputs, TensorInputs
from lepton.bundle.tensor_records import NUMPY_TYPES
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
_SINGLE = 1e-5  # of graphs in single precision, where onnxruntime adds up in another order
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
            write_scratch(scratch / "rows.bin", [header.rows()])
            _build(compiler, scratch / "check.c", scratch / "check", folder)
            _build(compiler, folder / "example.c", scratch / "example", folder)
            _ran([str(scratch / "example")], scratch)
            _ran([str(scratch / "check"), "rows.bin", "answers.bin"], scratch)
            answers, seconds = header.read((scratch / "answers.bin").read_bytes())
        version = _ran([compiler, "--version"], folder).splitlines()[0]
        tolerance = _SINGLE if header.source.is_single else self.tolerance
        return Checked(f"C99 by {printable(version)}", answers, seconds, tolerance=tolerance)


@dataclass(frozen=True, slots=True)
class _Field:
    """A member of the struct of a row.

    Attributes:
        name: of the member.
        kind: C's type of it.
        size: elements of a tensor; None for a cell of a table.
        about: what it holds, for people.
        tensor: of the graph that it belongs to.
        place: its column there.
    """

    name: str
    kind: str
    size: int | None
    about: str
    tensor: str
    place: int = 0

    @property
    def declaration(self) -> str:
        """The line of the struct."""
        size = "" if self.size is None else f"[{self.size}]"
        return f"  {self.kind} {self.name}{size}; /* {self.about} */".replace("* ", "*", self.kind.endswith("*"))

    def given(self, row: Mapping[str, NDArray[Any]]) -> str:
        """Statements that fill it from the tensors of a row."""
        values = row[self.tensor][0]
        if self.size is None:
            return f"  row.{self.name} = {literal(values[self.place])};"
        listed = ", ".join(map(literal, values.ravel()))
        copied = f"memcpy(row.{self.name}, given_{self.name}, sizeof row.{self.name});"
        return f"  static const {self.kind} given_{self.name}[] = {{{listed}}};\n  {copied}"


@dataclass(frozen=True)
class _Header:
    """A header on its way.

    Attributes:
        name: of the model, as C can say it: the prefix of all names.
        subject: the model.
        source: its statements.
        fields: members of the struct of a row.
        outputs: output → its value.
    """

    name: str
    subject: Subject
    source: Source
    fields: tuple[_Field, ...]
    outputs: dict[str, Value]

    @classmethod
    def of(cls, subject: Subject) -> _Header:
        """The header of a model of a table, or of tensors of fixed sizes.

        Raises:
            BundleError: it takes something else, or its graph holds what C has no form for; it is named.
        """
        name = identifiers([subject.manifest.name])[0]
        inputs = subject.predictor.inputs
        if isinstance(inputs, TableInputs):
            fields, codes = _cells(subject, inputs), {"numbers": "numbers", "strings": "strings"}
        elif isinstance(inputs, TensorInputs):
            fields = _tensors(inputs)
            codes = {field.tensor: f"row->{field.name}" for field in fields}
        else:
            raise cannot_express("a model of series", RUNTIME)
        source = Source(subject.graph, subject.row(0), name, codes)
        emit_all(source)
        return cls(name, subject, source, fields, {each: source.value(each) for each in source.outputs})

    @property
    def answers(self) -> dict[str, tuple[str, list[str]]]:
        """Output → its member in the struct of an answer, and every element of it."""
        found = {}
        for name, member in zip(self.outputs, identifiers(self.outputs), strict=True):
            value = self.outputs[name]
            alone = value.size == 1 and len(value.shape) == 1
            found[name] = (member, [member] if alone else [f"{member}[{place}]" for place in range(value.size)])
        return found

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
        rows = "\n".join(field.declaration for field in self.fields)
        answers = []
        for name, (member, elements) in self.answers.items():
            size = "" if elements == [member] else f"[{len(elements)}]"
            answers.append(f"  {TYPES[self.outputs[name].dtype]} {member}{size};".replace("* ", "*"))
        parts = [
            f'#define {self.name.upper()}_MODEL_ID "{self.subject.predictor.model_id}"',
            f"typedef struct {{\n{rows}\n}} {self.name}_row;",
            f"typedef struct {{\n{chr(10).join(answers)}\n}} {self.name}_answer;",
        ]
        labels = self.subject.predictor.labels
        if labels is not None:
            listed = ", ".join(quoted(str(label)) for label in labels)
            about = "/* The classes, in the order of probabilities. */"
            parts.insert(1, f"{about}\nstatic const char *const {self.name}_labels[{len(labels)}] = {{{listed}}};")
        return "\n\n".join(parts)

    def _function(self) -> str:
        cells = [field for field in self.fields if field.size is None]
        numbers = ", ".join(f"row->{field.name}" for field in cells if field.tensor == "numbers")
        strings = ", ".join(f'row->{f.name} ? row->{f.name} : ""' for f in cells if f.tensor == "strings")
        lines = [f"const double numbers[] = {{{numbers}}};"] if numbers else []
        lines += [f"const char *strings[] = {{{strings}}};"] if strings else []
        lines += ["int32_t i, j;", *self.source.inside]
        for name, (member, elements) in self.answers.items():
            to = f"answer->{member}" if elements == [member] else f"answer->{member}[i]"
            lines.append(f"for (i = 0; i < {len(elements)}; i++) {to} = {self.outputs[name].code}[i];")
        unused = ["i", "j", *(["numbers"] if numbers else []), *(["strings"] if strings else [])]
        lines += [f"(void){name};" for name in unused] + ["return 0;"]
        body = "\n".join(f"  {line}" for line in lines)
        about = "/* Answers one row. 0, or 1 where the model holds a place that is not there. */"
        head = f"static inline int {self.name}_predict(const {self.name}_row *row, {self.name}_answer *answer)"
        return f"{about}\n{head} {{\n{body}\n}}"

    def example(self) -> str:
        """A program that asks one row and prints the answer."""
        row = self.subject.row(min(4, self.num_rows - 1))
        given = "\n".join(field.given(row) for field in self.fields)
        forms = {"object": ("%s", ""), "float64": ("%.17g", ""), "float32": ("%.9g", "(double)")}
        shown = []
        for name, (_, elements) in self.answers.items():
            form, cast = forms.get(self.outputs[name].dtype, ("%lld", "(long long)"))
            shown += [f'  printf("{element}: {form}\\n", {cast}answer.{element});' for element in elements]
        return (
            f'/* cc -std=c99 -O2 example.c -o example -lm */\n#include <stdio.h>\n\n#include "{self.name}.h"\n\n'
            f"int main(void) {{\n  {self.name}_row row;\n  {self.name}_answer answer;\n{given}\n"
            f"  if ({self.name}_predict(&row, &answer)) return 1;\n" + "\n".join(shown) + "\n  return 0;\n}\n"
        )

    @property
    def num_rows(self) -> int:
        """Rows of the check."""
        return len(next(iter(self.subject.tensors.values())))

    def checker(self) -> str:
        """A program that answers the rows of a file, and tells the seconds of one row."""
        reads, writes = [], []
        for field in self.fields:
            place = f"rows[n].{field.name}"
            is_text = field.kind == TYPES["object"].strip()
            read = f"!({place} = text(in))" if is_text else f"!fread(&{place}, sizeof {place}, 1, in)"
            reads.append(f"    if ({read}) return 2;")
        for name, (member, elements) in self.answers.items():
            if self.outputs[name].dtype == "object":
                writes += [f"    fwrite(answer.{e}, 1, strlen(answer.{e}) + 1, out);" for e in elements]
            else:
                writes.append(f"    fwrite(&answer.{member}, sizeof answer.{member}, 1, out);")
        parts = {"MODEL": self.name, "ROWS": str(self.num_rows), "READS": "\n".join(reads), "WRITES": "\n".join(writes)}
        text = _CHECKER
        for word, part in parts.items():
            text = text.replace(f"@{word}@", part)
        return text

    def rows(self) -> bytes:
        """The rows as that program reads them."""
        parts = []
        for number in range(self.num_rows):
            for field in self.fields:
                values = self.subject.tensors[field.tensor][number]
                value = values[field.place] if field.size is None else values
                if isinstance(value, str):
                    data = value.encode()
                    parts += [np.uint32(len(data)).tobytes(), data]
                else:
                    parts.append(np.ascontiguousarray(value).tobytes())
        return b"".join(parts)

    def read(self, data: bytes) -> tuple[dict[str, NDArray[Any]], float]:
        """What the checker wrote: the answers, and the seconds of a row."""
        answers: dict[str, list[Any]] = {name: [] for name in self.outputs}
        seconds = float(np.frombuffer(data[:8])[0])
        at = 8
        for _ in range(self.num_rows):
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

#include "@MODEL@.h"

const char *text(FILE *in);

const char *text(FILE *in) {
  uint32_t size;
  char *read;
  if (!fread(&size, 4, 1, in) || !(read = malloc(size + 1))) return NULL;
  if (size && !fread(read, size, 1, in)) return NULL;
  read[size] = 0;
  return read;
}

int main(int count, char **words) {
  static @MODEL@_row rows[@ROWS@];
  @MODEL@_answer answer;
  uint32_t n, calls = 0;
  double seconds;
  clock_t begin;
  FILE *in, *out;
  if (count != 3 || !(in = fopen(words[1], "rb")) || !(out = fopen(words[2], "wb"))) return 2;
  for (n = 0; n < @ROWS@; n++) {
@READS@
  }
  begin = clock();
  do {
    if (@MODEL@_predict(&rows[calls % @ROWS@], &answer)) return 3;
    calls++;
  } while (calls < @ROWS@ || clock() - begin < CLOCKS_PER_SEC / 20);
  seconds = (double)(clock() - begin) / CLOCKS_PER_SEC / calls;
  fwrite(&seconds, 8, 1, out);
  for (n = 0; n < @ROWS@; n++) {
    if (@MODEL@_predict(&rows[n], &answer)) return 3;
@WRITES@
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


def _cells(subject: Subject, inputs: TableInputs) -> tuple[_Field, ...]:
    """The columns of a table, in its order."""
    for column in inputs.strings:
        codec = subject.manifest.codecs.get(column.name)
        if codec in _TEXT_CODECS or column.tidying:
            what = f"the codec {codec}" if codec else "the tidying of texts"
            raise cannot_express(f"{what} of the column '{printable(column.name)}'", RUNTIME)
    fields = []
    for column, name in zip(inputs.columns, identifiers(column.name for column in inputs.columns), strict=True):
        is_text = column in inputs.strings
        about = f"{_plain(column.name)}: {column.kind}" + (f", {_plain(column.unit)}" if column.unit else "")
        place = (inputs.strings if is_text else inputs.numbers).index(column)
        kind, tensor = ("const char *", "strings") if is_text else ("double", "numbers")
        fields.append(_Field(name, kind, None, about, tensor, place))
    return tuple(fields)


def _tensors(inputs: TensorInputs) -> tuple[_Field, ...]:
    """The tensors of a graph that takes such."""
    fields = []
    for record, name in zip(inputs.records, identifiers(record.name for record in inputs.records), strict=True):
        dtype = str(np.dtype(NUMPY_TYPES[record.dtype]))
        sizes = [size for size in record.shape[1:] if size is not None]
        if dtype not in TYPES or dtype == "object" or len(sizes) + 1 < len(record.shape):
            shape = ["N", *("?" if size is None else size for size in record.shape[1:])]
            raise cannot_express(f"the tensor {printable(record.name)} {record.dtype} {shape}", RUNTIME)
        about = f"{_plain(record.name)}: {sizes}, row by row"
        fields.append(_Field(name, TYPES[dtype], int(np.prod(sizes, dtype=np.int64)), about, record.name))
    return tuple(fields)


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

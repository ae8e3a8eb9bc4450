"""Encoding, delimiter, quoting, spaces and header."""

import csv
import io

import pytest
from hypothesis import given, strategies as st

from lepton.core import DataError, ErrorCode, UsageError
from lepton.data.formats.dialect import NO_DELIMITER, decide_dialect


def decide(text, **options):
    given = {"file": "t.csv", "delimiter": None, "encoding": None, "header": None, **options}
    head = text if isinstance(text, bytes) else text.encode()
    return decide_dialect(head, **given, whole=True)


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a,b\n1,2\n", ","),
        ("a;b\n1,5;2,5\n", ";"),
        ("a\tb\nx, y\tz\n", "\t"),
        ("a|b\n1|2\n", "|"),
        ('a,b\n"x;y",2\n"z;w",3\n', ","),
        ("one\n1\n2\n", ","),
        ("text\nhello, world\nno\nhm, well, so\n", NO_DELIMITER),
    ],
)
def test_delimiters(text, delimiter):
    dialect, records, _ = decide(text)
    assert dialect.delimiter == delimiter
    assert len({len(record) for record in records}) == 1


@given(
    st.sampled_from(",;\t|"),
    st.lists(st.lists(st.text("ab c\"',;|1.5", max_size=6), min_size=3, max_size=3), min_size=3, max_size=9),
)
def test_what_the_csv_module_quotes_is_split_as_it_was(delimiter, rows):
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([["first", "second", "third"], *rows])
    dialect, records, _ = decide(text.getvalue())
    assert dialect.delimiter == delimiter
    assert records[0] == ["first", "second", "third"]
    assert len(records[0]) == 3


@pytest.mark.parametrize(
    ("text", "encoding", "expected"),
    [
        ("plain", "ascii", "utf-8"),
        ("Zürich", "utf-8", "utf-8"),
        ("Zürich", "utf-8-sig", "utf-8"),
        ("Zürich", "utf-16", "utf-16"),
        ("Zürich", "utf-32", "utf-32"),
        ("Zürich, Köln, François, größer", "cp1252", "cp1252"),
        ("naïve “quotes” – dash", "cp1252", "cp1252"),
        ("我们今天讨论机器学习", "gb18030", "gb18030"),
        ("姓名,城市\n张三,北京\n", "gb18030", "gb18030"),
        ("a\x81b", "latin-1", "latin-1"),
    ],
)
def test_encodings(text, encoding, expected):
    dialect, _, decisions = decide(f"a;b\n{text};1\n".encode(encoding))
    assert dialect.encoding == expected
    assert decisions[0].what == "encoding"


def test_a_wrong_encoding_names_byte_and_argument():
    with pytest.raises(
        DataError, match=r"byte 3 of t.csv is 0xfc, which is not valid utf-8.*encoding='cp1252'"
    ) as caught:
        decide("a\nZü\n".encode("cp1252"), encoding="utf-8")
    assert caught.value.code is ErrorCode.BAD_ENCODING
    assert caught.value.details["offset"] == 3


@pytest.mark.parametrize(
    "option",
    [{"encoding": "klingon"}, {"encoding": "rot13"}, {"delimiter": ",,"}, {"delimiter": "é"}, {"delimiter": "\n"}],
)
def test_options_that_cannot_be_meant(option):
    with pytest.raises(UsageError):
        decide("a,b\n1,2\n", **option)


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("a,b\n1,2\n", True),
        ("1,2\n3,4\n", False),
        ("x,NA\ny,z\n", False),
        ("town,none,price\nUlm,x,3\nBonn,y,null\n", True),  # a name stands over numbers
        ("null\n1\n2\n", False),
        ("Ulm,none,3\nBonn,x,4\n", False),
        ("ham,hello\nspam,win\nham,bye\n", False),
        ("name,city\nAnn,Ulm\n", True),
        (",b\n0,2\n", True),
        ("2021-01-01,a\n2021-01-02,b\n", False),
    ],
)
def test_headers(text, header):
    dialect, _, decisions = decide(text)
    assert dialect.header is header
    assert decisions[-1].override == f"header={not header}"
    assert decide(text, header=not header)[0].header is not header


def test_quotes_that_are_plain_text():
    dialect, _, decisions = decide('id\ttext\n1\t"hello\n2\tsay "hi" now\n')
    assert dialect.quote is None
    assert "plain text" in next(d.decided for d in decisions if d.what == "quoting")
    assert decide('id\ttext\n1\t"hello\nthere"\n2\tx\n')[0].quote == '"'


def test_spaces_after_delimiters():
    dialect, records, _ = decide('a, b\n1, "x, y"\n2, z\n')
    assert dialect.spaces
    assert records[1] == ["1", "x, y"]
    assert not decide("a, b\n1,x\n")[0].spaces


def test_carriage_returns_and_nuls():
    assert decide("a,b\r1,2\r")[0].carriage_return
    assert not decide("a,b\r\n1,2\r\n")[0].carriage_return
    with pytest.raises(DataError, match="NUL"):
        decide("a,b\n1,2\n".encode("utf-16-le"))

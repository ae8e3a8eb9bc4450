"""Requests that two parsers could read in two ways, each with another one hidden behind it.

`REFUSED` holds what must be answered by one 4xx and a closed connection; `READ` what has one meaning and must be read
so, each with the body that it has. The second half goes by what the tests of h11 look after: every place where a
header, a length, a chunk or a version could be read leniently.
"""

from __future__ import annotations

__all__ = ["HIDDEN", "READ", "REFUSED"]

HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"
"""The request that a lenient reader would find behind or inside another."""

_HOST = b"Host: a\r\n"
_POST = b"POST /x HTTP/1.1\r\n" + _HOST
_CHUNKED = _POST + b"Transfer-Encoding: chunked\r\n\r\n"
_END = b"0\r\n\r\n"


def _length(value: bytes) -> bytes:
    return _POST + b"Content-Length: " + value + b"\r\n\r\nhello"


def _encoded(value: bytes, *, more: bytes = b"") -> bytes:
    return _POST + b"Transfer-Encoding: " + value + b"\r\n" + more + b"\r\n" + b"5\r\nhello\r\n" + _END


def _chunk(size: bytes, data: bytes = b"hello\r\n") -> bytes:
    return _CHUNKED + size + b"\r\n" + data + _END


def _get(line: bytes, headers: bytes = _HOST) -> bytes:
    return line + b"\r\n" + headers + b"\r\n"


_LENGTHS = {
    "signed": b"+5",
    "negative": b"-5",
    "hexadecimal": b"0x5",
    "with a fraction": b"5.0",
    "with an exponent": b"5e0",
    "twice in a list": b"5, 5",
    "two in a list": b"5, 6",
    "two with a space": b"5 6",
    "in full-width digits": "５".encode(),
    "in quotes": b'"5"',
    "with a parameter": b"5;a=b",
    "with an underscore": b"0_5",
    "with NUL": b"5\0",
    "with a vertical tab": b"5\x0b",
    "with a form feed": b"\x0c5",
    "with a comma": b"5,",
    "a word": b"five",
    "2^64 + 5": b"18446744073709551621",
    "2^65 + 5": b"36893488147419103237",
    "of 1,000 digits": b"9" * 1000,
    "folded": b"\r\n 5",
}
_ENCODINGS = {
    "chunked twice": b"chunked, chunked",
    "chunked, then identity": b"chunked, identity",
    "identity, then chunked": b"identity, chunked",
    "gzip, then chunked": b"gzip, chunked",
    "gzip": b"gzip",
    "identity": b"identity",
    "with a parameter": b"chunked;q=1",
    "in quotes": b'"chunked"',
    "with a letter more": b"chunkedx",
    "with a letter before": b"xchunked",
    "with a word before": b"x chunked",
    "with a word behind": b"chunked x",
    "with NUL": b"chunked\0",
    "with NUL before": b"\0chunked",
    "with a vertical tab": b"\x0bchunked",
    "with a form feed": b"chunked\x0c",
    "with a comma": b"chunked,",
    "with a comma before": b",chunked",
    "with a letter that is not ASCII": "chunked\u212a".encode(),
    "empty": b"",
    "folded": b"\r\n chunked",
    "folded behind": b"chunked\r\n\tx",
}
_SIZES = {
    "signed": b"+5",
    "negative": b"-5",
    "prefixed": b"0x5",
    "with a space before": b" 5",
    "with a space behind": b"5 ",
    "with a tab": b"5\t",
    "empty": b"",
    "a word": b"five",
    "with a letter behind": b"5g",
    "with NUL": b"5\0",
    "2^64 + 5": b"10000000000000005",
    "2^68": b"fffffffffffffffff",
    "with a comma": b"5,5",
    "with an underscore": b"0_5",
    "an extension with NUL": b"5;a=\0",
    "an extension with a bare line feed": b"5;a\nb",
    "an extension with a bare carriage return": b"5;a\rb",
}
_NAMES = {
    "space before the colon": b"Transfer-Encoding : chunked",
    "tab before the colon": b"Transfer-Encoding\t: chunked",
    "space in the name": b"Transfer Encoding: chunked",
    "NUL in the name": b"Transfer-Encoding\0: chunked",
    "a byte above ASCII in the name": b"Transfer-Encoding\xff: chunked",
    "a vertical tab in the name": b"\x0bTransfer-Encoding: chunked",
    "no colon": b"Transfer-Encoding chunked",
    "no name": b": chunked",
    "space before the name": b" Transfer-Encoding: chunked",
    "tab before the name": b"\tTransfer-Encoding: chunked",
    "a bracket in the name": b"Transfer(Encoding: chunked",
    "a quote in the name": b'Transfer"Encoding: chunked',
}
_LINES = {
    "a tab for a space": b"GET\t/x HTTP/1.1",
    "a space in the target": b"GET /x y HTTP/1.1",
    "no target": b"GET  HTTP/1.1",
    "no version": b"GET /x",
    "HTTP/1.10": b"GET /x HTTP/1.10",
    "HTTP/01.1": b"GET /x HTTP/01.1",
    "HTTP/1": b"GET /x HTTP/1",
    "HTTP/1.": b"GET /x HTTP/1.",
    "HTTP/1.1x": b"GET /x HTTP/1.1x",
    "http/1.1": b"GET /x http/1.1",
    "HTTP/1,1": b"GET /x HTTP/1,1",
    "HTTP /1.1": b"GET /x HTTP /1.1",
    "HTTP/0.9": b"GET /x HTTP/0.9",
    "HTTP/3.0": b"GET /x HTTP/3.0",
    "another protocol": b"GET /x HTTQ/1.1",
    "NUL in the method": b"GE\0T /x HTTP/1.1",
    "an unknown method": b"GETT /x HTTP/1.1",
    "a lower-case method": b"get /x HTTP/1.1",
    "NUL in the target": b"GET /x\0y HTTP/1.1",
    "a control character in the target": b"GET /x\x7f HTTP/1.1",
    "a byte above ASCII in the target": "GET /ü HTTP/1.1".encode(),
    "a bare carriage return in the target": b"GET /x\rHost: b HTTP/1.1",
    "a bare line feed in the target": b"GET /x\nHost: b HTTP/1.1",
    "a target without a slash": b"GET x HTTP/1.1",
    "a fragment": b"GET /x#y HTTP/1.1",
    "another host": b"GET http://b/x HTTP/1.1",
    "another port": b"GET http://a:81/x HTTP/1.1",
    "a user": b"GET http://u@a/x HTTP/1.1",
    "another scheme": b"GET https://a/x HTTP/1.1",
    "a file": b"GET file:///etc/passwd HTTP/1.1",
    "an authority": b"GET a:80 HTTP/1.1",
    "an asterisk": b"GET * HTTP/1.1",
    "a tunnel": b"CONNECT a:80 HTTP/1.1",
}
_BOTH = b"Content-Length: 5\r\n"

REFUSED: dict[str, bytes] = {
    **{f"a length {name}": _length(value) for name, value in _LENGTHS.items()},
    **{f"an encoding {name}": _encoded(value) for name, value in _ENCODINGS.items()},
    **{f"an encoding {name}, and a length": _encoded(value, more=_BOTH) for name, value in _ENCODINGS.items()},
    **{f"a chunk {name}": _chunk(value) for name, value in _SIZES.items()},
    **{f"an encoding with {name}": _POST + line + b"\r\n\r\n5\r\nhello\r\n" + _END for name, line in _NAMES.items()},
    **{f"a request line with {name}": _get(line) for name, line in _LINES.items()},
    "a length and an encoding": _POST + _BOTH + b"Transfer-Encoding: chunked\r\n\r\n" + _END,
    "an encoding and a length": _encoded(b"chunked", more=_BOTH),
    "an encoding and a length of 0": _encoded(b"chunked", more=b"Content-Length: 0\r\n"),
    "two lengths": _POST + b"Content-Length: 5\r\nContent-Length: 4\r\n\r\nhello",
    "two equal lengths": _POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "two lengths in two cases": _POST + b"Content-Length: 5\r\nCONTENT-LENGTH: 4\r\n\r\nhello",
    "two encodings": _encoded(b"chunked", more=b"Transfer-Encoding: chunked\r\n"),
    "two different encodings": _encoded(b"identity", more=b"Transfer-Encoding: chunked\r\n"),
    "an encoding in HTTP/1.0": _encoded(b"chunked").replace(b"HTTP/1.1", b"HTTP/1.0"),
    "an encoding and a length in HTTP/1.0": _encoded(b"chunked", more=_BOTH).replace(b"HTTP/1.1", b"HTTP/1.0"),
    "an encoding of a GET, and a length": _encoded(b"chunked", more=_BOTH).replace(b"POST", b"GET"),
    "chunk data that is longer": _CHUNKED + b"3\r\nhello\r\n" + _END,
    "chunk data that is shorter": _CHUNKED + b"6\r\nhello\r\n" + _END,
    "chunk data without an end of line": _CHUNKED + b"5\r\nhello" + _END,
    "chunk data with a bare line feed": _CHUNKED + b"5\r\nhello\n" + _END,
    "chunk data with two carriage returns": _CHUNKED + b"5\r\nhello\r\r\n" + _END,
    "a chunk size with a bare line feed": _CHUNKED + b"5\nhello\r\n" + _END,
    "a chunk size with a bare carriage return": _CHUNKED + b"5\rhello\r\n" + _END,
    "a last chunk with a bare line feed": _CHUNKED + b"5\r\nhello\r\n0\n\r\n",
    "an end of chunks with a bare line feed": _CHUNKED + b"5\r\nhello\r\n0\r\n\n",
    "a trailer with a bare line feed": _CHUNKED + b"5\r\nhello\r\n0\r\nX: y\n\r\n",
    "a trailer that is folded": _CHUNKED + b"5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n",
    "a trailer without a colon": _CHUNKED + b"5\r\nhello\r\n0\r\nX\r\n\r\n",
    "a trailer with a space before the colon": _CHUNKED + b"5\r\nhello\r\n0\r\nX : y\r\n\r\n",
    "an encoding with spaces around": _encoded(b"\t chunked \t"),
    "a trailer with a length": _CHUNKED + b"5\r\nhello\r\n0\r\nContent-Length: 100\r\n\r\n",
    "a trailer with an encoding": _CHUNKED + b"5\r\nhello\r\n0\r\nTransfer-Encoding: gzip\r\n\r\n",
    "a request inside an extension": _chunk(b"5;GET /hidden HTTP/1.1"),
    "two hosts": _get(b"GET /x HTTP/1.1", b"Host: a\r\nHost: a\r\n"),
    "no host": _get(b"GET /x HTTP/1.1", b"X: y\r\n"),
    "bare line feeds": b"GET /x HTTP/1.1\nHost: a\n\n",
    "a bare line feed behind the request line": b"GET /x HTTP/1.1\n" + _HOST + b"\r\n",
    "a bare line feed behind a header": b"GET /x HTTP/1.1\r\nHost: a\n\r\n",
    "a bare line feed before the body": _POST + b"Content-Length: 5\r\n\nhello",
    "a bare carriage return in a header": b"GET /x HTTP/1.1\r\nHost: a\rX: y\r\n\r\n",
    "bare carriage returns": b"GET /x HTTP/1.1\rHost: a\r\r",
    "two carriage returns": b"GET /x HTTP/1.1\r\r\nHost: a\r\r\n\r\r\n",
    "line feed, carriage return": b"GET /x HTTP/1.1\n\rHost: a\n\r\n\r",
    "NUL in a header": b"GET /x HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
    "a control character in a header": b"GET /x HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n",
    "a delete character in a header": b"GET /x HTTP/1.1\r\nHost: a\r\nX: a\x7fb\r\n\r\n",
    "a folded header": b"GET /x HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
    "a fold before the first header": b"GET /x HTTP/1.1\r\n Host: a\r\n\r\n",
    "a fold of white space alone": b"GET /x HTTP/1.1\r\nHost: a\r\n \r\n\r\n",
    "a NUL before the request": b"\0GET /x HTTP/1.1\r\nHost: a\r\n\r\n",
    "a space before the request": b" GET /x HTTP/1.1\r\nHost: a\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 40,
    "an answer": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "an unknown expectation and both framings": _encoded(b"chunked", more=_BOTH + b"Expect: tea\r\n"),
}

READ: dict[str, tuple[bytes, bytes]] = {
    "a length with zeros before": (_length(b"005"), b"hello"),
    "a length with spaces around": (_length(b" \t5 \t"), b"hello"),
    "an encoding in capitals": (_encoded(b"CHUNKED"), b"hello"),
    "a chunk size with zeros before": (_chunk(b"0005"), b"hello"),
    "a chunk size in both cases": (_chunk(b"A", b"0123456789\r\n"), b"0123456789"),
    "a chunk with an extension": (_chunk(b'5;a="b;c"'), b"hello"),
    "a last chunk of several zeros": (_CHUNKED + b"5\r\nhello\r\n000\r\n\r\n", b"hello"),
    "a request inside a body": (
        _POST + b"Content-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN,
        HIDDEN,
    ),
    "a request inside a chunk": (_chunk(b"%x" % len(HIDDEN), HIDDEN + b"\r\n"), HIDDEN),
    "a header with an underscore": (_POST + b"Content_Length: 9\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "a length that a connection header names": (
        _POST + b"Connection: Content-Length\r\nContent-Length: 5\r\n\r\nhello",
        b"hello",
    ),
    "an empty line before the request": (b"\r\n" + _length(b"5"), b"hello"),
    "a body of a GET": (_length(b"5").replace(b"POST", b"GET"), b"hello"),
    "the same host in capitals": (_length(b"5").replace(b"/x", b"http://A/x"), b"hello"),
    "an empty header": (_POST + b"X:\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "a header of high bytes": (_POST + b"X: \xff\xfe\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
}

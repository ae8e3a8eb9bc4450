"""The static Huffman code of header texts (RFC 7541, section 5.2 and appendix B), read four bits at a time."""

from __future__ import annotations

from functools import cache

__all__ = ["HuffmanError", "decode_huffman"]

# Bits of the code of each octet, and of the end of a text last. The code is canonical: among those of one length, codes
# ascend with the octets, so the lengths are all that has to be known. Runs of equal lengths: "13" or "28*7".
_LENGTHS = (
    "13 23 28*7 24 30 28*2 30 28*8 30 28*9 6 10*2 12 13 6 8 11 10*2 8 11 8 6*3 5*3 6*7 7 8 15 6 12 10 13 6"
    " 7*22 8 7 8 13 19 13 14 6 15 5 6 5 6 5 6*3 5 7*2 6*3 5 6 7 6 5*2 6 7*5 15 11 14 13 28 20 22 20*2 22*3 23"
    " 22 23*5 24 23 24*2 22 23 24 23*4 21 22 23 22 23*2 24 22 21 20 22*2 23*2 21 23 22*2 24 21 22 23*2 21*2 22"
    " 21 23 22 23*2 20 22*3 23 22*2 23 26*2 20 19 22 23 22 25 26*3 27*2 26 24 25 19 21 26 27*2 26 27 24 21*2"
    " 26*2 28 27*3 20 24 20 21 22 21*2 23 22*2 25*2 24*2 26 23 26 27 26*2 27*5 28 27*5 26 30"
)
_END = 256
_MAX_PADDING = 7  # bits; all ones


class HuffmanError(ValueError):
    """Bits that are no text in the code."""


def decode_huffman(data: bytes) -> bytes:
    """The text that `data` is the code of.

    Raises:
        HuffmanError: the end of a text inside of it, or padding that is none.
    """
    table, ends = _machine()
    out = bytearray()
    state = 0
    for octet in data:
        state, symbol = table[state << 4 | octet >> 4]
        if symbol >= 0:
            out.append(symbol)
        state, low = table[state << 4 | octet & 15]
        if low >= 0:
            out.append(low)
        if state < 0:
            break
    if state not in ends:
        raise HuffmanError("the text is no Huffman code")
    return bytes(out)


@cache
def _machine() -> tuple[list[tuple[int, int]], frozenset[int]]:
    """What four bits do in each state (the state after them, and the octet that they complete or -1); states to end in.

    States are the inner nodes of the tree of the code, 0 the root; -1 is that of what is no code.
    """
    nodes = _tree()
    table: list[tuple[int, int]] = []
    for start in range(len(nodes)):
        for bits in range(16):
            node, found = start, -1
            for shift in (3, 2, 1, 0):
                node = nodes[node][bits >> shift & 1]
                if node < 0:  # a leaf; no code is shorter than five bits, so there is one at most
                    found, node = ~node, 0
                if found == _END:
                    break
            table.append((-1, -1) if found == _END else (node, found))
    # State -1 finds the last 16 entries for its second half; they must lead nowhere.
    table += [(-1, -1)] * 16
    ends, node = {0}, 0
    for _ in range(_MAX_PADDING):
        node = nodes[node][1]
        ends.add(node)
    return table, frozenset(ends)


def _tree() -> list[list[int]]:
    """Inner nodes, each with what follows a 0 and a 1: the number of a node, or `~octet`."""
    codes: list[tuple[int, int]] = []
    for run in _LENGTHS.split():
        bits, _, times = run.partition("*")
        codes += [(int(bits), len(codes) + i) for i in range(int(times or 1))]
    nodes: list[list[int]] = [[0, 0]]
    code = last = 0
    for length, symbol in sorted(codes):
        code <<= length - last
        last, node = length, 0
        for shift in range(length - 1, 0, -1):
            bit = code >> shift & 1
            if not nodes[node][bit]:
                nodes[node][bit] = len(nodes)
                nodes.append([0, 0])
            node = nodes[node][bit]
        nodes[node][code & 1] = ~symbol
        code += 1
    return nodes

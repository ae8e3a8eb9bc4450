from __future__ import annotations

from lepton.serving.protocols.streamed import Streamed
from lepton.serving.streaming import Outlet


def test_what_the_peer_does_not_read_counts_as_taken_later():
    took: list[int] = []
    written: list[bytes] = []
    reads = [True]
    streamed = Streamed(took.append, probe=b"?")

    def write(data: bytes) -> bool:
        written.append(data)
        return reads[0]

    outlet = Outlet(streamed, write, lambda: written.append(b"."), chunked=True)
    streamed.start(outlet)
    streamed.put(b"one")
    reads[0] = False
    streamed.put(b"three")
    streamed.put(b"four")
    assert took == [3]
    outlet.resume()
    outlet.resume()
    assert took == [3, 9]
    assert outlet.probe() == b"1\r\n?\r\n"
    streamed.end()
    assert b"".join(written) == b"3\r\none\r\n5\r\nthree\r\n4\r\nfour\r\n0\r\n\r\n."

from __future__ import annotations

from lepton.serving.protocols.streamed import Streamed


class Kept:
    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.ended = False

    def part(self, data: bytes) -> None:
        self.parts.append(data)

    def end(self) -> None:
        self.ended = True


def test_parts_wait_for_who_sends_them():
    streamed, kept, ended = Streamed(lambda _: None), Kept(), []
    streamed.at_end(lambda: ended.append(1))
    streamed.put(b"one")
    streamed.start(kept)
    streamed.put(b"two")
    assert (kept.parts, kept.ended, ended) == ([b"one", b"two"], False, [])
    streamed.end("internal")
    assert (kept.ended, ended, streamed.size, streamed.code) == (True, [1], 6, "internal")


def test_one_that_has_ended_already_is_sent_whole():
    streamed, kept = Streamed(lambda _: None), Kept()
    streamed.put(b"one")
    streamed.end()
    streamed.start(kept)
    assert (kept.parts, kept.ended) == ([b"one"], True)


def test_nothing_is_sent_when_nobody_reads():
    told: list[str] = []
    streamed, kept = Streamed(lambda _: None, lambda: told.append("cancelled")), Kept()
    streamed.at_end(lambda: told.append("over"))
    streamed.start(kept)
    streamed.cancel()
    streamed.cancel()
    streamed.put(b"one")
    streamed.end()
    assert (told, kept.parts, kept.ended, streamed.size) == (["cancelled", "over"], [], False, 0)

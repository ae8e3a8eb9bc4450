"""Connections that one process takes up and another answers."""

from __future__ import annotations

import asyncio
import socket
from typing import cast

from lepton.serving.processes.door import HandedOver, hand_over, take_waiting


class Greeter(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        writer = cast("asyncio.Transport", transport)
        writer.write(str(transport.get_extra_info("peername")[1]).encode())
        writer.close()


def test_connections_are_answered_by_who_gets_them_and_those_that_wait_too() -> None:
    async def run() -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        door = HandedOver(theirs)
        with ours, socket.create_server(("127.0.0.1", 0)) as address:
            address.setblocking(False)
            for when in ("while it is open", "before it closes"):
                peers = [socket.create_connection(address.getsockname()) for _ in range(3)]
                if when == "while it is open":
                    await door.open(Greeter)
                for connection in take_waiting(address):
                    with connection:
                        assert hand_over(ours, connection)
                if when == "before it closes":
                    await door.close()
                for peer in peers:
                    with peer:
                        peer.setblocking(False)
                        said = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(peer, 100), 30)
                        assert said.decode() == str(peer.getsockname()[1])
            with socket.create_connection(address.getsockname()), address.accept()[0] as connection:
                assert not hand_over(ours, connection)  # nobody is there any more

    asyncio.run(run())

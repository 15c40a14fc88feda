"""Streams on which nothing is said: opened, counted, and what each of them costs the server."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator

import httpx
from kills import talking
from victims import Victim, asking, resident_mib


async def asked(victim: Victim, text: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which a streamed turn was asked. Little of it is read ahead, here and by the
    operating system, so that what waits for its reader waits in the server."""
    body = json.dumps({"model": "paced", "input": text, "stream": True, "store": False}).encode()
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", victim.port))
    reader, writer = await asyncio.open_connection(sock=client, limit=1024)
    head = f"POST /v1/responses HTTP/1.1\r\nhost: {victim.address}\r\n"
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    return reader, writer


@contextlib.asynccontextmanager
async def idle_streams(victim: Victim, count: int) -> AsyncIterator[float]:
    """KiB of the server's resident memory that each of so many open streams takes. They have left,
    and their tasks have ended, when this has."""
    async with talking(victim) as http:
        for _ in range(20):
            await http.post("/responses", json={"model": "paced", "input": asking(2)})
        at_rest, before = await tasks(victim, http), resident_mib(victim)
        waiting = [await asked(victim, asking(1, wait_s=600)) for _ in range(count)]
        async with asyncio.timeout(60):
            while await tasks(victim, http) < at_rest + count:
                await asyncio.sleep(0.1)
        yield (resident_mib(victim) - before) * 1024 / count
        for _, writer in waiting:
            writer.close()
        async with asyncio.timeout(60):
            while await tasks(victim, http) > at_rest + 10:
                await asyncio.sleep(0.1)


async def tasks(victim: Victim, http: httpx.AsyncClient) -> int:
    return int((await http.get(f"http://{victim.address}/tasks")).text)

# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stands for the endpoint picker: opens its ports and is well. The picking is Envoy's here (least requests).

Whatever --metrics-endpoint-auth says, metrics ask for the sandbox's token, which $SANDBOX_TOKEN_FILE holds: on GKE
the network keeps strangers out, on a shared machine nothing else does. The other ports answer nothing to anybody.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hmac
import os
import signal
import sys
from pathlib import Path

_METRICS = b"""# HELP inference_pool_ready_pods The number of ready pods in the inference server pool.
# TYPE inference_pool_ready_pods gauge
inference_pool_ready_pods{name="%s"} 1
"""


_REFUSAL = ("401 Unauthorized", b"the sandbox's token is required\n")


def _permitted(request: bytes) -> bool:
    """Whether the head of an HTTP request carries the token as bearer."""
    file = os.environ.get("SANDBOX_TOKEN_FILE")
    wanted = b"Bearer " + Path(file).read_bytes() if file else b""
    given = next((line for line in request.split(b"\r\n") if line.lower().startswith(b"authorization:")), b"")
    return bool(wanted) and hmac.compare_digest(given.partition(b":")[2].strip(), wanted)


def _dashed(word: str) -> str:
    """Go's flags take one dash or two."""
    return "-" + word if word.startswith("-") and not word.startswith("--") else word


async def serve(given: argparse.Namespace) -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    async def metrics(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            request = await reader.readuntil(b"\r\n\r\n")
            status, body = ("200 OK", _METRICS % given.pool_name.encode()) if _permitted(request) else _REFUSAL
            head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
            writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
            await writer.drain()
        writer.close()

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    for port, handler in (
        (given.grpc_port, accept),
        (given.grpc_health_port, accept),
        (given.metrics_port, metrics),
    ):
        await asyncio.start_server(handler, "0.0.0.0", port)
    print(f"endpoint picker of {given.pool_name or 'no pool'} listens", flush=True)
    await stop.wait()


def options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="epp", allow_abbrev=False)
    parser.add_argument("--pool-name", default="")
    parser.add_argument("--grpc-port", type=int, default=9002)
    parser.add_argument("--grpc-health-port", type=int, default=9003)
    parser.add_argument("--metrics-port", type=int, default=9090)
    return parser.parse_known_args([_dashed(word) for word in argv])[0]


if __name__ == "__main__":
    asyncio.run(serve(options(sys.argv[1:])))

# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stands for the endpoint picker: opens its ports and is well. The picking is Envoy's here (least requests)."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

_METRICS = b"""# HELP inference_pool_ready_pods The number of ready pods in the inference server pool.
# TYPE inference_pool_ready_pods gauge
inference_pool_ready_pods{name="%s"} 1
"""


def _dashed(word: str) -> str:
    """Go's flags take one dash or two."""
    return "-" + word if word.startswith("-") and not word.startswith("--") else word


async def serve(given: argparse.Namespace) -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def metrics(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = _METRICS % given.pool_name.encode()
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        writer.write(head.encode() + body)
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

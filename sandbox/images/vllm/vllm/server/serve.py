# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Load the model, then listen: the life of a model server."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import socket
import sys
import time

import uvicorn

from .. import __version__
from . import ailing, middleware, weights
from .app import Application, AsgiApp, RequireKey
from .engine import Engine
from .metrics import Metrics
from .protocol import Served

_log = logging.getLogger("vllm")

# Running requests are finished for at most this long after SIGTERM, in seconds.
_GRACE = 15

_QUIET = ("/health", "/metrics", "/ping")


def run(options: argparse.Namespace) -> None:
    """Serve until SIGTERM. Exits with 1 when the model cannot be served, with the reason in the log."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(asctime)s %(message)s", stream=sys.stdout)
    logging.getLogger("uvicorn.access").addFilter(_worth_logging)
    _log.info("vLLM API server version %s", __version__)
    try:
        listener = _bind(options)
        served = _load(options)
        app = _application(options, served)
    except (weights.ModelError, ValueError, ImportError, AttributeError, OSError) as error:
        _log.error("%s: %s", type(error).__name__, error)
        _log.error("Engine core initialization failed.")
        sys.exit(1)
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level=options.uvicorn_log_level,
        access_log=not options.disable_uvicorn_access_log,
        lifespan="off",
        timeout_keep_alive=int(os.environ.get("VLLM_HTTP_TIMEOUT_KEEP_ALIVE", "5")),
        timeout_graceful_shutdown=_GRACE,
        root_path=options.root_path,
    )
    # uvicorn repeats the signal that ended it; a model server that was asked to stop has not failed.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _log.info("Starting vLLM API server on http://%s:%d", *listener.getsockname()[:2])
    uvicorn.Server(config).run(sockets=[listener])


def _bind(options: argparse.Namespace) -> socket.socket:
    """Bound before the model is loaded, so that a port in use is told at once; nobody is answered before it is."""
    listener = socket.socket(socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((options.host or "", options.port))
    return listener


def _load(options: argparse.Namespace) -> Served:
    chips = int(os.environ.get("SANDBOX_ACCELERATORS", "0"))
    world = options.tensor_parallel_size * options.pipeline_parallel_size
    if chips and world > chips:
        raise ValueError(f"World size ({world}) is larger than the number of available accelerators ({chips}).")
    found = weights.find(options.model, options.revision, options.download_dir)
    context = options.max_model_len or found.context
    if context > found.context:
        raise ValueError(
            f"User-specified max_model_len ({context}) is greater than the derived max_model_len"
            f" (max_position_embeddings={found.context})."
        )
    _log.info("Resolved architecture: %s", found.architecture)
    _log.info("Using max model len %d", context)
    begin = time.monotonic()
    pause = float(os.environ.get("SANDBOX_MODEL_LOAD_SECONDS", "0")) / len(found.files)
    for number, path in enumerate(found.files, 1):
        with open(path, "rb") as shard:
            shard.read(8)
        time.sleep(pause)
        share = 100 * number // len(found.files)
        _log.info("Loading safetensors checkpoint shards: %3d%% | %d/%d", share, number, len(found.files))
    _log.info("Loading weights took %.2f seconds", time.monotonic() - begin)
    root = _inside(options.model)
    return Served(tuple(options.served_model_name or [root]), root, context)


def _inside(path: str) -> str:
    """A path as the container's author wrote it; the kubelet names what it put where in SANDBOX_MOUNTS."""
    for mounted, directory in json.loads(os.environ.get("SANDBOX_MOUNTS", "{}")).items():
        if path == directory or path.startswith(directory + "/"):
            return str(mounted) + path[len(directory) :]
    return path


def _application(options: argparse.Namespace, served: Served) -> AsgiApp:
    app: AsgiApp = Application(Engine(Metrics(served.names[0]), options.max_num_seqs), served)
    keys = options.api_key or [key for key in [os.environ.get("VLLM_API_KEY")] if key]
    if keys:
        app = RequireKey(app, keys)
    return ailing.Ailing(middleware.wrap(app, options.middleware), os.environ.get("SANDBOX_FAULTS", ""))


def _worth_logging(record: logging.LogRecord) -> bool:
    args = record.args
    return not (isinstance(args, tuple) and len(args) > 2 and str(args[2]).startswith(_QUIET))

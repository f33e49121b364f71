# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of vLLM that matter here; the others are accepted and have no effect."""

from __future__ import annotations

import argparse
import re
import sys


def _length(text: str) -> int:
    """A number of tokens as vLLM takes it: 4096, 4k (thousands) or 4K (of 1024)."""
    match = re.fullmatch(r"(\d+)([kKmM]?)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"not a length: {text!r}")
    return int(match[1]) * {"": 1, "k": 1000, "K": 1024, "m": 10**6, "M": 2**20}[match[2]]


def _fraction(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"must be above 0 and at most 1, not {text}")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vllm serve", allow_abbrev=False)
    add = parser.add_argument
    add("--model", default="Qwen/Qwen3-0.6B")
    add("--served-model-name", nargs="+")
    add("--host")
    add("--port", type=int, default=8000)
    add("--api-key", action="extend", nargs="+", default=[])
    add("--middleware", action="append", default=[])
    add("--max-model-len", type=_length)
    add("--max-num-seqs", type=int, default=256)
    add("--max-num-batched-tokens", type=_length)
    add("--tensor-parallel-size", "-tp", type=int, default=1)
    add("--pipeline-parallel-size", "-pp", type=int, default=1)
    add("--data-parallel-size", "-dp", type=int, default=1)
    add("--gpu-memory-utilization", type=_fraction, default=0.9)
    add("--dtype", default="auto")
    add("--kv-cache-dtype", default="auto")
    add("--quantization", "-q")
    add("--seed", type=int, default=0)
    add("--revision")
    add("--tokenizer")
    add("--download-dir")
    add("--load-format", default="auto")
    add("--chat-template")
    add("--trust-remote-code", action="store_true")
    add("--enforce-eager", action="store_true")
    add("--root-path", default="")
    add("--uvicorn-log-level", default="info")
    add("--disable-uvicorn-access-log", action="store_true")
    for switch in ("enable-prefix-caching", "enable-chunked-prefill", "enable-log-requests"):
        add(f"--{switch}", action=argparse.BooleanOptionalAction)
    return parser


def parse(argv: list[str], *, positional_model: bool = False) -> argparse.Namespace:
    """The options; underscores in names count as dashes, as in vLLM. Exits with a usage error for bad values."""
    parser = _parser()
    if positional_model:
        parser.add_argument("model_tag", nargs="?")
    words = [_dashed(word) for word in argv]
    options, unknown = parser.parse_known_args(words)
    if positional_model and options.model_tag:
        options.model = options.model_tag
    if unknown:
        print(f"INFO options without effect here: {' '.join(unknown)}", file=sys.stderr, flush=True)
    return options


def _dashed(word: str) -> str:
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value

# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a model's repository holds: made up from its name, small, and always the same."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import typing as t
from collections.abc import Callable

Json = dict[str, t.Any]

# (architecture, model_type, longest context in tokens) by the family that a name begins with.
_FAMILIES: tuple[tuple[str, tuple[str, str, int]], ...] = (
    ("gemma-4", ("Gemma4ForConditionalGeneration", "gemma4", 262144)),
    ("gemma-3", ("Gemma3ForConditionalGeneration", "gemma3", 131072)),
    ("gemma", ("Gemma2ForCausalLM", "gemma2", 8192)),
    ("qwen3", ("Qwen3ForCausalLM", "qwen3", 40960)),
    ("qwen", ("Qwen2ForCausalLM", "qwen2", 32768)),
    ("mistral", ("MistralForCausalLM", "mistral", 32768)),
)
_OTHER = ("LlamaForCausalLM", "llama", 131072)

# Gigabytes of 16-bit weights in one shard, as the hub cuts them.
_SHARD_GIGABYTES = 5
_TENSORS_PER_SHARD = 2
_TENSOR_BYTES = 4096


def commit(repo_id: str, revision: str) -> str:
    """The commit that a branch or tag is at; a commit is itself."""
    if re.fullmatch(r"[0-9a-f]{40}", revision):
        return revision
    return hashlib.sha1(f"{repo_id}@{revision}".encode()).hexdigest()


def files(repo_id: str, revision: str) -> dict[str, Callable[[], bytes]]:
    """Every file of the repository by its name, made when called."""
    revision = commit(repo_id, revision)
    architecture, kind, context = _family(repo_id)
    shards = shard_names(repo_id)
    config = {
        "architectures": [architecture],
        "model_type": kind,
        "torch_dtype": "bfloat16",
        "max_position_embeddings": context,
        "vocab_size": 262144,
    }
    tokenizer = {"version": "1.0", "model": {"type": "BPE", "vocab": {"<bos>": 0, "<eos>": 1}, "merges": []}}
    weight_map = {name: shard for number, shard in enumerate(shards) for name in _tensors(number)}
    index = {
        "metadata": {"total_size": len(weight_map) * _TENSOR_BYTES},
        "weight_map": weight_map,
    }
    documents: dict[str, Json] = {
        "config.json": config,
        "generation_config.json": {"bos_token_id": 0, "eos_token_id": 1},
        "tokenizer.json": tokenizer,
        "tokenizer_config.json": {"model_max_length": context, "bos_token": "<bos>", "eos_token": "<eos>"},
        "special_tokens_map.json": {"bos_token": "<bos>", "eos_token": "<eos>"},
        "model.safetensors.index.json": index,
    }
    made: dict[str, Callable[[], bytes]] = {"README.md": f"# {repo_id}\n".encode}
    made |= {name: functools.partial(_document, document) for name, document in documents.items()}
    made |= {shard: functools.partial(_shard, f"{repo_id}@{revision}", n) for n, shard in enumerate(shards)}
    return made


def shard_names(repo_id: str) -> list[str]:
    """By the size in the name: 27b of 16 bits are 54 GB, 11 shards."""
    size = re.search(r"(\d+(?:\.\d+)?)b(?![a-z0-9])", repo_id.lower())
    gigabytes = 2 * float(size[1]) if size else 2.0
    count = max(1, -(-int(gigabytes) // _SHARD_GIGABYTES))
    return [f"model-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1)]


def _family(repo_id: str) -> tuple[str, str, int]:
    name = repo_id.split("/")[1].lower()
    return next((family for prefix, family in _FAMILIES if name.startswith(prefix)), _OTHER)


def _document(document: Json) -> bytes:
    return json.dumps(document, indent=2).encode() + b"\n"


def _tensors(shard: int) -> list[str]:
    layers = range(shard * _TENSORS_PER_SHARD, (shard + 1) * _TENSORS_PER_SHARD)
    return [f"model.layers.{layer}.mlp.down_proj.weight" for layer in layers]


def _shard(seed: str, number: int) -> bytes:
    """A valid safetensors file: the header's length (8 bytes, little endian), the header, the tensors' bytes."""
    header: Json = {"__metadata__": {"format": "pt"}}
    data = b""
    for name in _tensors(number):
        block = hashlib.sha256(f"{seed}:{name}".encode()).digest()
        tensor = block * (_TENSOR_BYTES // len(block))
        offsets = [len(data), len(data) + len(tensor)]
        header[name] = {"dtype": "BF16", "shape": [32, _TENSOR_BYTES // 64], "data_offsets": offsets}
        data += tensor
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data

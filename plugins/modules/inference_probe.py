#!/usr/bin/python
# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: inference_probe
short_description: Put an open-model load on an inference endpoint and record every request
version_added: 1.0.0
description:
  - Sends streamed chat completions to one or more OpenAI-compatible endpoints at a constant rate. Requests
    start on schedule whatever happens to earlier ones, so an outage cannot hide by slowing the load down.
  - Every request becomes a line of JSON in O(records), with its start, latency, time to the first token,
    status, error and the region that served it (header C(x-serving-region)).
  - Every scheduled request has exactly one record, whatever an endpoint sends. A request succeeds when its stream
    brings at least one token and ends with C([DONE]). Everything else is lost, also an error or an unreadable event
    inside of a stream that began with status 200.
  - A request that fails is data, not a failure of the task.
author: aiserving.gke contributors (@aiserving)
requirements:
  - aiohttp >= 3.12
extends_documentation_fragment:
  - aiserving.gke._attributes
attributes:
  check_mode:
    support: full
    details: In check mode nothing is sent.
  diff_mode:
    support: none
  idempotent:
    support: none
options:
  targets:
    description: Where the clients of each region send their requests.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The name of the clients' position, by custom their region.
        type: str
        required: true
      url:
        description: The endpoint's base URL, for example V(http://10.0.1.2:80).
        type: str
        required: true
  model:
    description: The model to ask for.
    type: str
    required: true
  rate:
    description: Requests per second to each target.
    type: float
    default: 10
  duration:
    description: Seconds that the load lasts.
    type: float
    required: true
  stop_file:
    description: The load ends as soon as this file exists.
    type: path
  owner_pid:
    description: The load ends, too, when this process has gone, so that it cannot outlive who watches it.
    type: int
  records:
    description: The file that gets the records; it is made anew. The load ends when it is removed or replaced.
    type: path
    required: true
  prompt:
    description: What every request asks.
    type: str
    default: Name three things that a region of a cloud can lose.
  max_tokens:
    description: The longest answer, in tokens.
    type: int
    default: 16
  request_timeout:
    description: Seconds after which a request without a complete answer is lost.
    type: float
    default: 30
"""

EXAMPLES = r"""
- name: Ask one endpoint for ten seconds
  aiserving.gke.inference_probe:
    targets:
      - name: us-east5
        url: http://10.0.1.2:80
    model: gemma-3-27b-it
    rate: 5
    duration: 10
    records: /tmp/records.jsonl

- name: Keep a load on both regions while the next tasks break something
  aiserving.gke.inference_probe:
    targets:
      - {name: us-east5, url: "http://10.0.1.2:80"}
      - {name: europe-west4, url: "http://10.0.2.2:80"}
    model: gemma-3-27b-it
    rate: 20
    duration: 1800
    stop_file: /tmp/drill/stop
    records: /tmp/drill/records.jsonl
  async: 1900
  poll: 0

- name: Say what would be sent
  aiserving.gke.inference_probe:
    targets:
      - {name: us-east5, url: "http://10.0.1.2:80"}
    model: gemma-3-27b-it
    duration: 60
    records: /tmp/records.jsonl
  check_mode: true
"""

RETURN = r"""
records:
  description: The file that holds the records.
  type: str
  returned: always
requests:
  description: How many requests were sent.
  type: int
  returned: always
  sample: 1200
lost:
  description: How many of them got no complete answer with status 200.
  type: int
  returned: always
  sample: 3
"""

import asyncio
import typing as t
from pathlib import Path

from ansible_collections.aiserving.gke.plugins.module_utils._call import Call
from ansible_collections.aiserving.gke.plugins.module_utils._drill import load, lock, plan
from ansible_collections.aiserving.gke.plugins.module_utils._errors import (
    CollectionError,
    InvalidOption,
    MissingLibrary,
)
from ansible_collections.aiserving.gke.plugins.module_utils._module import Module


def probe(call: Call) -> dict[str, t.Any]:
    params = call.params
    plan.insist(params, "rate", "duration", "max_tokens", "request_timeout")
    if not params["targets"]:
        raise InvalidOption("targets", [], "give at least one endpoint")
    if not load.HAS_AIOHTTP:
        raise MissingLibrary("aiohttp")
    wanted = load.Load(
        targets=[load.Target(item["name"], item["url"].rstrip("/")) for item in params["targets"]],
        **{name: params[name] for name in ("model", "rate", "duration", "prompt", "max_tokens", "request_timeout")},
    )
    records = Path(params["records"])
    if call.check_mode:
        return {"changed": True, "records": str(records), "requests": 0, "lost": 0}
    stop_file = Path(params["stop_file"]) if params["stop_file"] else None
    owner = lock.holder(params["owner_pid"]) if params["owner_pid"] else None

    def unwanted() -> bool:
        return bool((stop_file and stop_file.exists()) or (owner and not owner.is_running()))

    try:
        records.parent.mkdir(parents=True, exist_ok=True)
        records.write_text("", encoding="utf-8")
        done = asyncio.run(load.run(wanted, records, unwanted))
    except OSError as error:
        raise CollectionError(f"records: cannot write {records}: {error}") from error
    lost = sum(not record.ok for record in done)
    return {"changed": True, "records": str(records), "requests": len(done), "lost": lost}


MODULE = Module(
    probe,
    {
        "targets": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {"name": {"type": "str", "required": True}, "url": {"type": "str", "required": True}},
        },
        "model": {"type": "str", "required": True},
        "rate": {"type": "float", "default": 10},
        "duration": {"type": "float", "required": True},
        "stop_file": {"type": "path"},
        "owner_pid": {"type": "int"},
        "records": {"type": "path", "required": True},
        "prompt": {"type": "str", "default": "Name three things that a region of a cloud can lose."},
        "max_tokens": {"type": "int", "default": 16, "no_log": False},
        "request_timeout": {"type": "float", "default": 30},
    },
)


def main() -> None:
    MODULE.main()


if __name__ == "__main__":
    main()

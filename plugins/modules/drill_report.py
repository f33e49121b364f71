#!/usr/bin/python
# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: drill_report
short_description: Judge a failover drill from its records
version_added: 1.0.0
description:
  - Computes from the records of M(aiserving.gke.inference_probe) and the moments of fault and restore what
    was lost, how long recovery took, who served when and how fast, and compares it with objectives.
  - Changes nothing; what it returns is meant for templates and files.
author: aiserving.gke contributors (@aiserving)
extends_documentation_fragment:
  - aiserving.gke._attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  records:
    description: The file that the load wrote.
    type: path
    required: true
  failed_region:
    description: The region that was taken out of service.
    type: str
    required: true
  fault_at:
    description: When the fault was made, in seconds since the epoch.
    type: float
  restored_at:
    description: When the restore began, in seconds since the epoch.
    type: float
  objectives:
    description: Limits that the drill must keep; what is not given is not judged.
    type: dict
    default: {}
    suboptions:
      recovery_seconds:
        description: The longest time from the fault until every client is served again, in seconds.
        type: float
      lost_percent:
        description:
          - How much the failed region's clients may lose between fault and restore, in percent of what they send in
            one minute. It does not shrink when the drill waits longer; V(100) is a minute of total outage.
        type: float
      latency_p95_seconds:
        description: The longest 95th percentile of latency after recovery, in seconds.
        type: float
  failures:
    description: Steps of the drill that went wrong. With any of them it has not passed, whatever the records say.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Judge the drill
  aiserving.gke.drill_report:
    records: reports/records.jsonl
    failed_region: us-east5
    fault_at: "{{ fault.applied_at }}"
    restored_at: "{{ restore.applied_at }}"
    objectives:
      recovery_seconds: 60
      lost_percent: 5
  register: report

- name: Only measure
  aiserving.gke.drill_report:
    records: reports/records.jsonl
    failed_region: us-east5
    fault_at: 1790000000.5

- name: Stop when the drill has failed
  ansible.builtin.assert:
    that: report.summary.passed
"""

RETURN = r"""
summary:
  description:
    - Totals, phases, recovery per target, objectives, failures and the verdict (key V(passed)).
    - Key V(lost_percent) is what the failed region's clients lost between fault and restore, in percent of what they
      send in one minute; key V(lost_percent_of_run) is the part of all requests that was lost.
  type: dict
  returned: always
  sample: {requests: 2400, lost: 31, lost_percent: 3.4, lost_percent_of_run: 1.3, recovery_seconds: 4.2, passed: true}
timeline:
  description: Per second the answers of each region, the lost requests and the latency.
  type: list
  elements: dict
  returned: always
events:
  description: The moments of the drill in seconds after its first request.
  type: dict
  returned: always
  sample: {fault: 12.1, recovered: 16.3, restored: 31.0}
chart:
  description: The timeline as an SVG document.
  type: str
  returned: always
began:
  description: When the first request started, in seconds since the epoch.
  type: float
  returned: always
regions:
  description: The regions that served, with their colour in the chart.
  type: dict
  returned: always
  sample: {us-east5: "#0072b2"}
"""

import typing as t

from ansible_collections.aiserving.gke.plugins.module_utils._call import Call
from ansible_collections.aiserving.gke.plugins.module_utils._drill import chart, plan, statistics
from ansible_collections.aiserving.gke.plugins.module_utils._drill.records import read_file
from ansible_collections.aiserving.gke.plugins.module_utils._errors import CollectionError
from ansible_collections.aiserving.gke.plugins.module_utils._module import Module


def report(call: Call) -> dict[str, t.Any]:
    params = call.params
    limits = {name: params["objectives"].get(name) for name in LIMITS}
    plan.insist(limits, *LIMITS)
    try:
        records = read_file(params["records"])
    except OSError as error:
        raise CollectionError(f"records: cannot read {params['records']}: {error}") from error
    if not records:
        told = "\n  ".join([f"{params['records']} holds no request, so there is nothing to judge", *params["failures"]])
        raise CollectionError(f"records: {told}")
    events = statistics.Events(fault=params["fault_at"], restored=params["restored_at"])
    objectives = statistics.Objectives(**limits)
    summary = statistics.summarize(records, events, params["failed_region"], objectives, params["failures"])
    began, ended = min(r.start for r in records), max(r.start for r in records)
    marks = statistics.moments(events, summary["recovery_seconds"], began)
    buckets = statistics.timeline(records, began, ended)
    regions = sorted({record.region for record in records if record.region})
    return {
        "changed": False,
        "summary": summary,
        "timeline": buckets,
        "events": marks,
        "chart": chart.timeline_svg(buckets, regions, marks, 1.0),
        "began": began,
        "regions": chart.colours(regions),
    }


LIMITS = ("recovery_seconds", "lost_percent", "latency_p95_seconds")

MODULE = Module(
    report,
    {
        "records": {"type": "path", "required": True},
        "failed_region": {"type": "str", "required": True},
        "fault_at": {"type": "float"},
        "restored_at": {"type": "float"},
        "objectives": {"type": "dict", "default": {}, "options": {name: {"type": "float"} for name in LIMITS}},
        "failures": {"type": "list", "elements": "str", "default": []},
    },
)


def main() -> None:
    MODULE.main()


if __name__ == "__main__":
    main()

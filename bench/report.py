# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Numbers as people read them: median and spread, a table, the machine they were measured on."""

from __future__ import annotations

import os
import platform
import statistics
import typing as t
from importlib.metadata import version
from pathlib import Path

Json = dict[str, t.Any]

README = Path(__file__).resolve().parent.parent / "README.md"


def spread(values: list[float]) -> Json:
    return {
        "median": round(statistics.median(values), 5),
        "least": round(min(values), 5),
        "most": round(max(values), 5),
        "runs": len(values),
    }


def machine() -> Json:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30),
        "python": platform.python_version(),
        "ansible_core": version("ansible-core"),
    }


def _said(found: Json, form: str = "{:.1f}") -> str:
    text = form.format(found["median"])
    if found["runs"] > 1:
        text += f" ({form.format(found['least'])} to {form.format(found['most'])})"
    return text


def markdown(document: Json) -> str:
    """One table, a row for each promise; the median of the runs, and in brackets the least and the most."""
    host = document["machine"]
    lines = [
        f"Measured on {host['cores']} cores and {host['memory_gib']} GiB, Python {host['python']}, "
        f"ansible-core {host['ansible_core']}; median (least to most).",
        "",
        "| what | measured |",
        "| --- | --- |",
    ]
    for name, row in document.get("tasks", {}).items():
        milliseconds = {way: 1000 * row[way]["median"] for way in ("twin", "module", "peer") if way in row}
        told = _said(row["module_by_twin"]) + " times cheaper in the controller's process than as a module"
        told += f" ({milliseconds['twin']:.0f} against {milliseconds['module']:.0f} ms)"
        lines.append(f"| a converged `{name}` task | {told} |")
        if "peer" in row:
            told = _said(row["peer_by_twin"])
            told += f" times cheaper than `kubernetes.core.k8s` ({milliseconds['peer']:.0f} ms)"
            lines.append(f"| the same on 10 objects | {told} |")
    if found := document.get("rerun"):
        told = f"{_said(found['seconds'])} s for {found['tasks']} task runs and {found['requests']} API requests"
        lines.append(f"| `site.yml` again on two regions | {told} |")
    if found := document.get("build"):
        longest = found["critical_path_seconds"]
        for regions, row in found["regions"].items():
            told = (
                f"{_said(row['by_critical_path'], '{:.2f}')} times the critical path "
                f"({_said(row['seconds'])} s against {longest:.0f} s)"
            )
            lines.append(f"| first build of {regions} regions at {found['scale']:g} of Google's latencies | {told} |")
    if found := document.get("load"):
        beyond = " or more" if found["requests_per_second"] == found["highest_tried"] else ""
        told = f"{found['requests_per_second']} requests/s{beyond} with 99 % started within 5 ms of schedule"
        lines.append(f"| the drill's load generator | {told} |")
    return "\n".join(lines) + "\n"

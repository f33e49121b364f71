# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A sandbox with an estate of any number of regions, and Ansible runs against it that are timed."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import typing as t
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.estate import ROOT, Estate, Run

# Regions with TPU v6e, as many as there are.
ZONES = (
    "us-east5-b",
    "europe-west4-a",
    "us-central1-b",
    "us-east1-d",
    "asia-northeast1-b",
    "southamerica-west1-a",
    "asia-southeast1-b",
    "asia-south1-b",
)


def play(estate: Estate, playbook: str | Path, **environment: t.Any) -> Run:
    """ansible-playbook, which must succeed. Raises RuntimeError with its output."""
    run = estate.play(str(playbook), **environment)
    if run.code:
        raise RuntimeError(f"{playbook}\n{run.output}")
    return run


def requests(estate: Estate) -> int:
    """Requests that the collection has sent so far, to Google's APIs and to Kubernetes."""
    return sum(agents.get("aiserving.gke", 0) for agents in estate.status()["requests"].values())


@contextlib.contextmanager
def running(regions: int, scale: float) -> Iterator[Estate]:
    """``regions`` of the reference inventory on a sandbox of its own; ``scale``: of Google's latencies."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        made = Estate(Path(folder), Path(folder) / "inventory", program="sandbox")
        _inventory(made.inventory, ZONES[:regions])
        started = made.sandbox("start", "--latency-scale", str(scale))
        if started.code:
            raise RuntimeError(started.output)
        try:
            yield made
        finally:
            made.sandbox("stop")


def _inventory(folder: Path, zones: tuple[str, ...]) -> None:
    """The sandbox's inventory with other regions: a file each, as a user adds them."""
    shutil.copytree(ROOT / "inventories" / "sandbox" / "group_vars", folder / "group_vars")
    shutil.copy(ROOT / "inventories" / "sandbox" / "sandbox.yml", folder)
    for number, zone in enumerate(zones, start=1):
        region = zone.rpartition("-")[0]
        host = {
            "zone": zone,
            "network_node_cidr": f"{{{{ sandbox.prefix }}}}.{number}.0/24",
            "network_proxy_only_cidr": f"{{{{ sandbox.prefix }}}}.{number + 32}.0/24",
        }
        groups: dict[str, t.Any] = {"regions": {"hosts": {region: host}}}
        if number == 1:
            groups["config_region"] = {"hosts": {region: None}}
        (folder / f"{region}.yml").write_text(json.dumps(groups))  # JSON is YAML

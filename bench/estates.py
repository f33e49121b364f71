# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A sandbox with an estate of any number of regions, and Ansible runs against it that are timed."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

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


@dataclasses.dataclass(frozen=True)
class Run:
    """One ansible-playbook: wall time in seconds, what it printed."""

    seconds: float
    output: str

    def tasks(self) -> int:
        """Task runs on hosts, skipped ones left out."""
        return sum(int(count) for count in re.findall(r"^\S+\s+: ok=(\d+)", self.output, re.MULTILINE))

    def changed(self) -> int:
        return sum(int(count) for count in re.findall(r"changed=(\d+)", self.output))


@dataclasses.dataclass(frozen=True)
class Estate:
    """A running sandbox and the inventory for it."""

    directory: Path

    @property
    def inventory(self) -> Path:
        return self.directory / "inventory"

    def environment(self, **more: str) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "AISERVING_SANDBOX_DIR": str(self.directory / "sandbox"),
            **more,
        }

    def play(self, playbook: str | Path, *arguments: str, inventory: Path | None = None, **environment: str) -> Run:
        """Raises RuntimeError with the output when the run fails."""
        command = [str(BIN / "ansible-playbook"), "-i", str(inventory or self.inventory), str(playbook), *arguments]
        began = time.monotonic()
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - began
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}\n{done.stdout}")
        return Run(seconds, done.stdout)

    def sandbox(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "sandbox", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment(), stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout

    def status(self) -> dict[str, t.Any]:
        status: dict[str, t.Any] = json.loads(self.sandbox("status", "--json"))
        return status

    def requests(self) -> int:
        """Requests that the collection has sent so far, to Google's APIs and to Kubernetes."""
        return sum(agents.get("aiserving.gke", 0) for agents in self.status()["requests"].values())


@contextlib.contextmanager
def estate(regions: int, scale: float) -> Iterator[Estate]:
    """``regions`` of the reference inventory on a sandbox of its own; ``scale``: of Google's latencies."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        made = Estate(Path(folder))
        _inventory(made.inventory, ZONES[:regions])
        made.sandbox("start", "--latency-scale", str(scale))
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

# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A sandbox of a test's own, and the commands that a user types against it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import subprocess
import sys
import time
import typing as t
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


@dataclasses.dataclass(frozen=True)
class Run:
    """How a command ended."""

    code: int
    output: str
    seconds: float

    def recap(self) -> dict[str, dict[str, int]]:
        """Ansible's last lines: counts per host."""
        lines = re.findall(r"^(\S+)\s+: (ok=.*)$", self.output, re.MULTILINE)
        return {host: {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", counts)} for host, counts in lines}

    def changed(self) -> int:
        return sum(counts["changed"] for counts in self.recap().values())


@dataclasses.dataclass(frozen=True)
class Estate:
    """One sandbox directory and the inventory that is played against it; stopping it fails where the judge does."""

    directory: Path
    inventory: Path = ROOT / "inventories" / "sandbox"
    program: str = "tests.judged"  # the sandbox under the eyes of the judge; "sandbox" is the plain one

    @property
    def reports(self) -> Path:
        return self.directory / "reports"

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "AISERVING_SANDBOX_DIR": str(self.directory / "sandbox"),
        }

    def play(self, playbook: str, *arguments: str, cwd: Path = ROOT, **environment: str) -> Run:
        """ansible-playbook, as a user types it."""
        extra = json.dumps({"failover_report_directory": str(self.reports)})
        command = ["ansible-playbook", "-i", str(self.inventory), playbook, "-e", extra, *arguments]
        return run(command, cwd=cwd, env={**self.environment(), **environment})

    def build(self) -> Run:
        """site.yml, which ends well."""
        done = self.play("site.yml")
        assert done.code == 0, done.output
        return done

    def sandbox(self, *arguments: str) -> Run:
        return run([sys.executable, "-m", self.program, *arguments], cwd=ROOT, env=self.environment())

    def kubectl(self, cluster: str, *arguments: str) -> Run:
        """The real kubectl on one cluster ("LOCATION/NAME"), in the model's namespace."""
        kubeconfig = self.status()["clusters"][cluster]["kubeconfig"]
        command = [str(BIN / "kubectl"), "--kubeconfig", kubeconfig, "--namespace", "inference", *arguments]
        return run(command, cwd=ROOT, env=self.environment())

    def status(self) -> dict[str, t.Any]:
        status: dict[str, t.Any] = json.loads(self.sandbox("status", "--json").output)
        return status

    def addresses(self) -> dict[str, str]:
        """Region -> the URL of its gateway, for all that are served."""
        return {listener["region"]: listener["url"] for listener in self.status()["listeners"]}

    def google(self, service: str, path: str, method: str = "GET", body: object = None) -> dict[str, t.Any]:
        """One request to a Google API, relative to the service's base. Raises urllib.error.HTTPError."""
        status = json.loads((self.directory / "sandbox" / "status.json").read_text())
        request = urllib.request.Request(
            f"{status['endpoints'][service]}{path}",
            None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {status['token']}", "Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            document: dict[str, t.Any] = json.loads(answer.read() or b"{}")
        return document


@contextlib.contextmanager
def started(directory: Path, inventory: Path = Estate.inventory) -> Iterator[Estate]:
    """An estate whose sandbox runs, empty at first, as long as the context lasts."""
    estate = Estate(directory, inventory)
    assert estate.sandbox("start").code == 0
    try:
        yield estate
    finally:
        assert estate.sandbox("stop").code == 0


def run(command: list[str], *, cwd: Path, env: dict[str, str]) -> Run:
    began = time.monotonic()
    done = subprocess.run(
        command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900, check=False
    )
    return Run(done.returncode, done.stdout, time.monotonic() - began)

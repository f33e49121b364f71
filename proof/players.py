# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plays: ansible-playbook on an inventory of the run's regions, with everything it says in a log."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import re
import signal
import sys
import typing as t
from collections.abc import Sequence
from pathlib import Path

from .google import variables_of_credentials
from .journal import NAME, Journal, write_private
from .options import ROOT, Options, environment
from .redact import PREFIX

Json = dict[str, t.Any]

PLAYBOOKS = ROOT / "proof" / "playbooks"
INVENTORY = ROOT / "proof" / "inventory"
# The step that is a playbook of its own, of all regions.
WHOLE = "service"
# Seconds from asking a play to end until it is ended.
PATIENCE = 20.0
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)
_LIBC = ctypes.CDLL(None)


class Players:
    """Plays of one run. One at a time."""

    def __init__(self, options: Options, journal: Journal) -> None:
        self.name = f"{NAME}-{journal.run}"
        self._options = options
        self._folder = journal.path.parent

    def cluster(self) -> tuple[str, str]:
        """Name and location of the cluster that the steps make."""
        zone = self._options.zones[0]
        return f"{self.name}-{zone.rpartition('-')[0]}", zone

    async def play(self, step: str, log: str, endpoints: dict[str, str], variables: Json, *arguments: str) -> int:
        """The exit code of a step's play. When cancelled it ends the play first, with all of its processes."""
        hosts = self._folder / "hosts.json"
        zones = self._options.zones if step == WHOLE else self._options.zones[:1]
        write_private(hosts, json.dumps(self._inventory(zones, endpoints, variables), indent=1))
        playbook = f"{WHOLE}.yml" if step == WHOLE else "step.yml"
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(INVENTORY), "-i", str(hosts)]
        command += [str(PLAYBOOKS / playbook), *arguments]
        with open(os.open(self.log(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as output:
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=ROOT,
                env=self._environment(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is ours to answer
                preexec_fn=_die_with_parent,
            )
            try:
                return await process.wait()
            except asyncio.CancelledError:
                await _end(process)
                raise

    def log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def changed(self, log: str) -> int:
        """What the last recap of a log counts as changed."""
        text = self.log(log).read_text(encoding="utf-8", errors="replace").rpartition("PLAY RECAP")[2]
        return sum(map(int, re.findall(r"\bchanged=(\d+)", text)))

    def _environment(self) -> dict[str, str]:
        return {
            **environment(self._options),
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
        }

    def _inventory(self, zones: Sequence[str], endpoints: dict[str, str], variables: Json) -> Json:
        prefix = self._options.elsewhere.prefix if self._options.elsewhere else ""
        regions = {
            zone.rpartition("-")[0]: {
                "zone": zone,
                "network_node_cidr": f"{prefix or PREFIX}.{2 * number}.0/24",
                "network_proxy_only_cidr": f"{prefix or PREFIX}.{32 + 2 * number}.0/24",
            }
            for number, zone in enumerate(zones, start=1)
        }
        common = {
            "proof_project": self._options.project,
            "proof_name": self.name,
            "proof_endpoints": endpoints,
            "proof_elsewhere": self._options.elsewhere is not None,
            "proof_reports": str(self._folder / "reports"),
            **variables_of_credentials(self._options),
            **variables,
        }
        return {
            "all": {"vars": common},
            "regions": {"hosts": regions},
            "config_region": {"hosts": {next(iter(regions)): {}}},
        }


async def _end(process: asyncio.subprocess.Process) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), PATIENCE)
            return


def _die_with_parent() -> None:
    """Should we be killed, the play ends too; whatever survives that speaks to a recorder that is gone."""
    _LIBC.prctl(_DEATH_SIGNAL, signal.SIGTERM)

# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The codelab's commands, one after the other, endpoint overrides the only difference."""

from __future__ import annotations

import re

import pytest

from tests.truth.codelab import FOLDER, Command, Shell, commands
from tests.truth.gcloud import Gcloud, Json
from tests.truth.table import Finding, Note

pytestmark = pytest.mark.judges("gcloud", "kubectl")

COMMANDS = list(commands((FOLDER / "commands.txt").read_text(encoding="utf-8")))
TRIED = [command for command in COMMANDS if not command.untried]
WHAT = "commands of the codelab, endpoint overrides the only difference"


@pytest.fixture(scope="module")
def shell(fresh_gcloud: Gcloud, sandbox: Json, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    prefix = sandbox["prefix"]
    variables = {
        "PROJECT": sandbox["project"],
        "VPC": "codelab",
        "BUCKET": f"{sandbox['project']}-codelab-weights",
        "REGION_A": "us-east5",
        "ZONE_A": "us-east5-b",
        "CLUSTER_A": "gke-us",
        "NODES_A": f"{prefix}.2.0/24",
        "PROXIES_A": f"{prefix}.34.0/24",
        "REGION_B": "europe-west4",
        "ZONE_B": "europe-west4-a",
        "CLUSTER_B": "gke-eu",
        "NODES_B": f"{prefix}.4.0/24",
        "PROXIES_B": f"{prefix}.36.0/24",
        "PORT": "8080",  # 80 needs root on loopback
    }
    return Shell(tmp_path_factory.mktemp("codelab"), fresh_gcloud.environment, variables)


@pytest.mark.parametrize("command", TRIED, ids=[f"{number}-{one.name}" for number, one in enumerate(TRIED, 1)])
def test_the_command_does_what_it_does_on_google(command: Command, shell: Shell, note: Note) -> None:
    done = shell.run(command.text)
    told = done.stderr if command.refused else done.stdout + done.stderr
    # gcloud's lists end well when what they ask for is refused.
    ended_well = done.returncode == 0 and "Some requests did not succeed" not in done.stderr
    as_expected = ended_well != command.refused and re.search(command.shows, told, re.MULTILINE)
    why = command.changed or ("" if as_expected else f"fails in step {command.step}")
    note(Finding(command.tool, WHAT, command.name, "other" if why else "as Google", why))
    assert as_expected, f"{command.text}\n-> {done.returncode}\n{done.stdout}\n{done.stderr}"


def test_what_is_not_tried_is_said(note: Note) -> None:
    untried = [command for command in COMMANDS if command.untried]
    for command in untried:
        note(Finding(command.tool, WHAT, command.name, "not tried", command.untried))
    assert len(untried) < len(TRIED) / 10

# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An estate whose model servers are changed, and how the real kubectl sees them."""

from __future__ import annotations

import datetime
import json
import re
import shutil
import typing as t
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.estate import ROOT, Estate, Run, started

# In the order in which they are replaced, which is the inventory's.
CLUSTERS = {"europe-west4": "europe-west4-a/gke-europe-west4", "us-east5": "us-east5-b/gke-us-east5"}
FIRST, SECOND = CLUSTERS
MODEL = "gemma-3-27b-it"


def two_regions(directory: Path) -> Iterator[Estate]:
    """Built, with an inventory of its own that tests change."""
    shutil.copytree(ROOT / "inventories" / "sandbox", directory / "inventory")
    with started(directory, directory / "inventory") as estate:
        estate.build()
        yield estate


def state(estate: Estate, **variables: t.Any) -> None:
    """Have the inventory say this, on top of what it says."""
    path = estate.inventory / "group_vars" / "all" / "stated.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(known | variables))


def kubectl(estate: Estate, region: str, *arguments: str) -> str:
    done = estate.kubectl(CLUSTERS[region], *arguments)
    assert done.code == 0, done.output
    return done.output.strip()


def image(estate: Estate, region: str) -> str:
    return kubectl(
        estate, region, "get", f"deployment/{MODEL}", "-o", "jsonpath={.spec.template.spec.containers[0].image}"
    )


def server(estate: Estate, region: str) -> dict[str, t.Any]:
    """The region's one model server, by the real kubectl."""
    pods = json.loads(
        kubectl(estate, region, "get", "pods", "-l", "app.kubernetes.io/component=model-server", "-o", "json")
    )
    [pod] = pods["items"]
    return dict(pod)


def moment(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def ready_since(pod: dict[str, t.Any]) -> datetime.datetime:
    [condition] = [c for c in pod["status"]["conditions"] if c["type"] == "Ready"]
    assert condition["status"] == "True"
    return moment(condition["lastTransitionTime"])


def told_order(run: Run) -> list[str]:
    return re.findall(r"([\w-]+): [.]spec[.]template", run.output)

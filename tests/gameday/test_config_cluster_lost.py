# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The config cluster is deleted, its membership stays: nobody but its own region may lose its clients by that."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from google.cloud import container_v1
from google.cloud.container_v1.services.cluster_manager.transports.rest import ClusterManagerRestTransport
from google.oauth2.credentials import Credentials

from tests.e2e.estate import Estate, started
from tests.e2e.load import Load
from tests.waiting import until

PARENT = "projects/sandbox-project/locations/us-east5-b"
CLUSTER = f"{PARENT}/clusters/gke-us-east5"
CONFIG, OTHER = "us-east5", "europe-west4"


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    with started(tmp_path_factory.mktemp("lost")) as estate:
        estate.build()
        yield estate


@pytest.fixture(scope="module")
def clients(estate: Estate) -> Iterator[Load]:
    with Load(estate.addresses()) as asking:
        yield asking


def google(estate: Estate) -> container_v1.ClusterManagerClient:
    status = estate.status()
    transport = ClusterManagerRestTransport(
        host=status["endpoints"]["container"].removeprefix("http://").rstrip("/"),
        credentials=Credentials(status["token"]),
        url_scheme="http",
    )
    return container_v1.ClusterManagerClient(transport=transport)


@pytest.fixture(scope="module")
def lost(estate: Estate, clients: Load) -> float:
    """The moment at which the cluster was deleted."""
    until(lambda: clients.at_home(0), "every region serves its own clients")
    api, moment = google(estate), time.monotonic()
    operation = api.delete_cluster(name=CLUSTER)
    name = f"{PARENT}/operations/{operation.name}"
    until(lambda: api.get_operation(name=name).status == container_v1.Operation.Status.DONE, "the cluster is deleted")
    until(lambda: clients.last(CONFIG) == OTHER, "the other region takes over")
    return moment


def test_the_site_does_not_make_it_anew_by_itself(estate: Estate, clients: Load, lost: float) -> None:
    for arguments in (("--check",), ()):
        run = estate.play("site.yml", *arguments)
        assert run.code != 0 and run.changed() == 0, run.output
        assert "-e fleet_replace_membership=true" in " ".join(run.output.split())
    names = [
        found.name for found in google(estate).list_clusters(parent="projects/sandbox-project/locations/-").clusters
    ]
    assert names == ["gke-europe-west4"]
    assert not clients.lost(OTHER, lost).requests
    assert clients.last(CONFIG) == OTHER


def test_the_other_regions_are_looked_after_without_it(estate: Estate, clients: Load, lost: float) -> None:
    for arguments in (("--check",), ()):
        run = estate.play("site.yml", "--limit", OTHER, *arguments)
        assert run.code == 0, run.output
        assert run.changed() == 0, run.output
        assert "left behind" not in run.output
    assert not clients.lost(OTHER, lost).requests


def test_made_anew_it_joins_with_its_gateway(estate: Estate, clients: Load, lost: float) -> None:
    began = time.monotonic()
    run = estate.play("site.yml", "-e", "fleet_replace_membership=true")
    assert run.code == 0, run.output
    until(lambda: clients.last(CONFIG) == CONFIG, "the region serves its own clients")
    gateway = json.loads(estate.kubectl("us-east5-b/gke-us-east5", "get", "gateway,httproute", "-o", "json").output)
    made = [item["metadata"]["creationTimestamp"] for item in gateway["items"]]
    assert len(made) == 2 and max(made) <= joined(estate)
    for region in (CONFIG, OTHER):
        assert not clients.lost(region, began).requests, "the gateway must not go while it moves"
    again = estate.play("site.yml")
    assert (again.code, again.changed()) == (0, 0), again.output


def joined(estate: Estate) -> str:
    """When the config cluster became a member, to the second."""
    membership = estate.google("gkehub", "v1/projects/sandbox-project/locations/global/memberships/gke-us-east5")
    return f"{membership['createTime'][:19]}Z"

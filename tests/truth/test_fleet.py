# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""gcloud registers clusters, and turns the fleet's features on and off."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.truth.gcloud import Gcloud

ZONE = "europe-west4-a"


@pytest.fixture(scope="module")
def cluster(gcloud: Gcloud) -> Iterator[str]:
    """The name of a cluster that is in no fleet."""
    place = ("member", f"--location={ZONE}")
    gcloud("container", "clusters", "create", *place, "--num-nodes=1", f"--workload-pool={gcloud.project}.svc.id.goog")
    yield "member"
    gcloud("container", "clusters", "delete", *place)


def test_a_cluster_is_registered_once_and_serves_as_config_membership(gcloud: Gcloud, cluster: str) -> None:
    memberships = ("container", "fleet", "memberships")
    register = (*memberships, "register", cluster, f"--gke-cluster={ZONE}/{cluster}", "--enable-workload-identity")
    gcloud(*register)
    gcloud(*register)  # finds it registered with this very cluster
    live = gcloud(*memberships, "describe", cluster)
    assert live["state"]["code"] == "READY"
    assert live["endpoint"]["gkeCluster"]["resourceLink"].endswith(f"/locations/{ZONE}/clusters/{cluster}")
    assert live["authority"]["workloadIdentityPool"] == f"{gcloud.project}.svc.id.goog"
    assert "infrastructureType" not in live
    assert [member["name"] for member in gcloud(*memberships, "list")] == [live["name"]]

    fleet = gcloud("container", "fleet", "describe")
    assert (fleet["name"], fleet["state"]["code"]) == (
        f"projects/{gcloud.project}/locations/global/fleets/default",
        "READY",
    )
    assert [one["uid"] for one in gcloud("container", "fleet", "list")] == [fleet["uid"]]
    gcloud("container", "fleet", "update", "--display-name=serving")
    assert gcloud("container", "fleet", "describe")["displayName"] == "serving"

    gcloud("container", "fleet", "multi-cluster-services", "enable")
    gcloud("container", "fleet", "ingress", "enable", f"--config-membership={live['name']}")
    feature = gcloud("container", "fleet", "ingress", "describe")
    assert feature["spec"]["multiclusteringress"]["configMembership"] == live["name"]
    assert feature["state"]["state"]["code"] == "OK"

    assert "config membership" in gcloud.refused(*memberships, "delete", cluster)
    gcloud("container", "fleet", "ingress", "disable")
    gcloud("container", "fleet", "multi-cluster-services", "disable")
    gcloud(*memberships, "unregister", cluster, f"--gke-cluster={ZONE}/{cluster}")
    assert gcloud(*memberships, "list") == []
    gcloud("container", "fleet", "delete")
    assert "not found" in gcloud.refused("container", "fleet", "describe")
    gcloud("container", "fleet", "create", "--display-name=again")

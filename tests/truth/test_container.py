# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""gcloud makes, changes and removes clusters and node pools."""

from __future__ import annotations

from tests.truth.gcloud import Gcloud

ZONE = "us-east5-a"
WHERE = ("--cluster=pools", f"--location={ZONE}")


def test_a_cluster_and_a_pool_from_creation_to_removal(gcloud: Gcloud) -> None:
    gcloud(
        *("container", "clusters", "create", "pools", f"--location={ZONE}", "--num-nodes=1"),
        *("--release-channel=rapid", "--enable-dataplane-v2", "--gateway-api=standard"),
        "--addons=HttpLoadBalancing,GcsFuseCsiDriver",
        f"--workload-pool={gcloud.project}.svc.id.goog",
    )
    pools = ("container", "node-pools")
    made = gcloud(
        *(*pools, "create", "tpu", *WHERE, "--machine-type=ct6e-standard-4t", "--num-nodes=1"),
        "--node-labels=cloud.google.com/gke-networking-dra-driver=true",
    )
    assert made[0]["status"] == "RUNNING"
    live = gcloud(*pools, "describe", "tpu", *WHERE)
    assert live["selfLink"].endswith(f"/projects/{gcloud.project}/zones/{ZONE}/clusters/pools/nodePools/tpu")
    gcloud("container", "clusters", "resize", "pools", f"--location={ZONE}", "--node-pool=tpu", "--num-nodes=2")
    gcloud("container", "clusters", "update", "pools", f"--location={ZONE}", "--update-labels=team=serving")
    assert (
        gcloud("container", "clusters", "describe", "pools", f"--location={ZONE}")["resourceLabels"]["team"]
        == "serving"
    )
    gcloud(*pools, "delete", "tpu", *WHERE)
    assert 'Not found: node pool "tpu" not found.' in gcloud.refused(*pools, "describe", "tpu", *WHERE)
    gcloud("container", "clusters", "delete", "pools", f"--location={ZONE}")
    assert "Not found" in gcloud.refused("container", "clusters", "describe", "pools", f"--location={ZONE}")

# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""google-cloud-container: the life of a cluster and of its pools through every method of the client."""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Callable

import pytest
from google.api_core import exceptions
from google.cloud import container_v1
from google.cloud.container_v1.services.cluster_manager.transports.rest import ClusterManagerRestTransport

from tests.truth.driving import Json, Reached, Step, drive, methods, until, untried
from tests.truth.table import Note

pytestmark = [pytest.mark.judges("container"), pytest.mark.filterwarnings("ignore:.*deprecated")]

JUDGE = "google-cloud-container"
CLIENT = container_v1.ClusterManagerClient
LOCATION = "us-east5-b"
DONE = container_v1.Operation.Status.DONE
RUNNING = container_v1.NodePool.Status.RUNNING


@dataclasses.dataclass(frozen=True)
class Gke:
    """The client, and the names of what it makes."""

    api: container_v1.ClusterManagerClient
    parent: str

    @property
    def project(self) -> str:
        return self.parent.partition("/locations/")[0]

    @property
    def cluster(self) -> str:
        return f"{self.parent}/clusters/python"

    @property
    def pool(self) -> str:
        return f"{self.cluster}/nodePools/tpu"

    def done(self, operation: t.Any) -> t.Any:
        """The operation's end, which is no error."""
        ended = until(
            lambda: self.api.get_operation(name=f"{self.parent}/operations/{operation.name}"),
            lambda found: found.status == DONE,
        )
        assert not ended.error.message, ended.error.message
        return ended

    def live(self) -> t.Any:
        return self.api.get_cluster(name=self.cluster)

    def live_pool(self) -> t.Any:
        return self.api.get_node_pool(name=self.pool)


@pytest.fixture(scope="module")
def gke(enabled: Json) -> Gke:
    reached = Reached.of(enabled)
    transport = ClusterManagerRestTransport(
        host=f"{reached.host}/container", credentials=reached.credentials, url_scheme="http"
    )
    return Gke(CLIENT(transport=transport), f"projects/{reached.project}/locations/{LOCATION}")


CLUSTER = container_v1.Cluster(
    name="python",
    initial_node_count=1,
    release_channel={"channel": "RAPID"},
    network_config={"datapath_provider": "ADVANCED_DATAPATH"},
)
POOL = container_v1.NodePool(
    name="tpu",
    initial_node_count=1,
    config={"machine_type": "ct6e-standard-4t", "labels": {"cloud.google.com/gke-networking-dra-driver": "true"}},
    network_config={"accelerator_network_profile": "auto"},
)


def changes(method: str, **request: t.Any) -> Callable[[Gke], t.Any]:
    """Call a method that changes the cluster, wait for its operation, and give the cluster as it is then."""

    def act(gke: Gke) -> t.Any:
        gke.done(getattr(gke.api, method)(request={"name": gke.cluster, **request}))
        return gke.live()

    return act


def changes_pool(method: str, **request: t.Any) -> Callable[[Gke], t.Any]:
    def act(gke: Gke) -> t.Any:
        gke.done(getattr(gke.api, method)(request={"name": gke.pool, **request}))
        return gke.live_pool()

    return act


def complete(gke: Gke) -> bool:
    """Only a blue-green upgrade that waits can be completed, and none does."""
    with pytest.raises(exceptions.BadRequest, match="not in a blue-green upgrade"):
        gke.api.complete_node_pool_upgrade(request={"name": gke.pool})
    return True


def cancel(gke: Gke) -> bool:
    """GKE cancels upgrades of nodes only: a creation that is over is no such thing."""
    [operation, *_others] = gke.api.list_operations(parent=gke.parent).operations
    with pytest.raises(exceptions.BadRequest):
        gke.api.cancel_operation(name=f"{gke.parent}/operations/{operation.name}")
    return True


def gone(gke: Gke) -> bool:
    gke.done(gke.api.delete_node_pool(name=gke.pool))
    with pytest.raises(exceptions.NotFound, match='Not found: node pool "tpu" not found'):
        gke.live_pool()
    return True


STEPS = (
    Step("list_clusters", lambda gke: gke.api.list_clusters(parent=gke.parent), lambda found: not found.clusters),
    Step(
        "get_server_config",
        lambda gke: gke.api.get_server_config(name=gke.parent),
        lambda found: {channel.channel.name for channel in found.channels} >= {"RAPID", "REGULAR", "STABLE"},
    ),
    Step(
        "create_cluster",
        lambda gke: gke.done(gke.api.create_cluster(parent=gke.parent, cluster=CLUSTER)),
        lambda ended: ended.operation_type == container_v1.Operation.Type.CREATE_CLUSTER,
    ),
    Step("get_operation", lambda gke: gke.done(gke.api.list_operations(parent=gke.parent).operations[-1])),
    Step("list_operations", lambda gke: gke.api.list_operations(parent=gke.parent), lambda found: found.operations),
    Step("cancel_operation", cancel),
    Step("get_cluster", Gke.live, lambda live: live.status == container_v1.Cluster.Status.RUNNING),
    Step(
        "create_node_pool",
        lambda gke: gke.done(gke.api.create_node_pool(parent=gke.cluster, node_pool=POOL)),
        lambda ended: "/clusters/python/nodePools/tpu" in ended.target_link,
    ),
    Step("get_node_pool", Gke.live_pool, lambda live: live.status == RUNNING and "/nodePools/tpu" in live.self_link),
    Step(
        "list_node_pools",
        lambda gke: gke.api.list_node_pools(parent=gke.cluster),
        lambda found: [pool.name for pool in found.node_pools] == ["default-pool", "tpu"],
    ),
    Step("set_node_pool_size", changes_pool("set_node_pool_size", node_count=2)),
    Step(
        "set_node_pool_autoscaling",
        changes_pool("set_node_pool_autoscaling", autoscaling={"enabled": True, "max_node_count": 3}),
        lambda live: live.autoscaling.max_node_count == 3,
    ),
    Step(
        "set_node_pool_management",
        changes_pool("set_node_pool_management", management={"auto_repair": True, "auto_upgrade": True}),
        lambda live: live.management.auto_repair,
    ),
    Step(
        "update_node_pool",
        changes_pool("update_node_pool", labels={"labels": {"team": "serving"}}),
        lambda live: live.config.labels["team"] == "serving",
    ),
    Step("rollback_node_pool_upgrade", changes_pool("rollback_node_pool_upgrade")),
    Step("complete_node_pool_upgrade", complete),
    Step("fetch_node_pool_upgrade_info", lambda gke: gke.api.fetch_node_pool_upgrade_info(name=gke.pool)),
    Step(
        "update_cluster",
        changes("update_cluster", update={"desired_gateway_api_config": {"channel": "CHANNEL_STANDARD"}}),
        lambda live: live.network_config.gateway_api_config.channel.name == "CHANNEL_STANDARD",
    ),
    Step("update_master", changes("update_master", master_version="latest")),
    Step("fetch_cluster_upgrade_info", lambda gke: gke.api.fetch_cluster_upgrade_info(name=gke.cluster)),
    Step(
        "complete_control_plane_upgrade",
        lambda gke: gke.api.complete_control_plane_upgrade(request={"name": gke.cluster}),
    ),
    Step(
        "set_addons_config",
        changes("set_addons_config", addons_config={"gcs_fuse_csi_driver_config": {"enabled": True}}),
        lambda live: live.addons_config.gcs_fuse_csi_driver_config.enabled,
    ),
    Step(
        "set_labels",
        lambda gke: changes(
            "set_labels", resource_labels={"team": "serving"}, label_fingerprint=gke.live().label_fingerprint
        )(gke),
        lambda live: live.resource_labels["team"] == "serving",
    ),
    Step("set_legacy_abac", changes("set_legacy_abac", enabled=False)),
    Step("set_locations", changes("set_locations", locations=[LOCATION])),
    Step(
        "set_logging_service",
        changes("set_logging_service", logging_service="logging.googleapis.com/kubernetes"),
        lambda live: live.logging_service == "logging.googleapis.com/kubernetes",
    ),
    Step(
        "set_monitoring_service",
        changes("set_monitoring_service", monitoring_service="monitoring.googleapis.com/kubernetes"),
        lambda live: live.monitoring_service == "monitoring.googleapis.com/kubernetes",
    ),
    Step(
        "set_maintenance_policy",
        lambda gke: changes(
            "set_maintenance_policy",
            maintenance_policy={
                "window": {"daily_maintenance_window": {"start_time": "03:00"}},
                "resource_version": gke.live().maintenance_policy.resource_version,
            },
        )(gke),
        lambda live: live.maintenance_policy.window.daily_maintenance_window.start_time == "03:00",
    ),
    Step("set_master_auth", changes("set_master_auth", action="SET_USERNAME", update={"username": ""})),
    Step("set_network_policy", changes("set_network_policy", network_policy={"enabled": False})),
    Step("start_ip_rotation", changes("start_ip_rotation")),
    Step("complete_ip_rotation", changes("complete_ip_rotation")),
    Step("get_json_web_keys", lambda gke: gke.api.get_json_web_keys(request={"parent": gke.cluster})),
    Step(
        "check_autopilot_compatibility",
        lambda gke: gke.api.check_autopilot_compatibility(request={"name": gke.cluster}),
    ),
    Step("list_usable_subnetworks", lambda gke: list(gke.api.list_usable_subnetworks(request={"parent": gke.project}))),
    Step("delete_node_pool", gone),
    Step("delete_cluster", lambda gke: gke.done(gke.api.delete_cluster(name=gke.cluster))),
)


@pytest.mark.parametrize("step", STEPS, ids=[step.method for step in STEPS])
def test_a_method(step: Step, gke: Gke, note: Note) -> None:
    drive(JUDGE, CLIENT, step, gke, note)


def test_all_methods_are_counted(note: Note) -> None:
    untried(JUDGE, CLIENT, methods(CLIENT), {step.method for step in STEPS}, {}, note)

# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Google's own client against the cloud: google-cloud-container over REST."""

from __future__ import annotations

import typing as t

import pytest
from google.api_core import exceptions
from google.cloud import container_v1
from google.oauth2.credentials import Credentials

from tests.clouds import PROJECT, TOKEN, Running, until

LOCATION = "us-east5-a"
PARENT = f"projects/{PROJECT}/locations/{LOCATION}"
CLUSTER = f"{PARENT}/clusters/c1"
Operation = container_v1.Operation


def client(cloud: Running) -> container_v1.ClusterManagerClient:
    from google.cloud.container_v1.services.cluster_manager.transports.rest import ClusterManagerRestTransport

    transport = ClusterManagerRestTransport(
        host=f"127.0.0.1:{cloud.port}/container", credentials=Credentials(TOKEN), url_scheme="http"
    )
    return container_v1.ClusterManagerClient(transport=transport)


def wait(api: container_v1.ClusterManagerClient, operation: Operation) -> Operation:
    name = f"{PARENT}/operations/{operation.name}"
    return t.cast(
        Operation,
        until(lambda: api.get_operation(name=name), lambda found: found.status == Operation.Status.DONE),
    )


def create(api: container_v1.ClusterManagerClient) -> Operation:
    cluster = container_v1.Cluster(
        name="c1",
        network="default",
        subnetwork="default",
        initial_node_count=1,
        release_channel={"channel": "RAPID"},
        network_config={"datapath_provider": "ADVANCED_DATAPATH"},
        node_config={"machine_type": "e2-standard-16"},
    )
    return api.create_cluster(parent=PARENT, cluster=cluster)


def test_cluster_and_pool_live_and_change_through_the_python_client(cloud: Running) -> None:
    api = client(cloud)
    with pytest.raises(exceptions.NotFound, match=r"Not found: projects/.*/zones/us-east5-a/clusters/c1"):
        api.get_cluster(name=CLUSTER)

    operation = create(api)
    assert operation.operation_type == Operation.Type.CREATE_CLUSTER
    assert not wait(api, operation).error.message
    cluster = api.get_cluster(name=CLUSTER)
    assert cluster.status == container_v1.Cluster.Status.RUNNING
    assert cluster.endpoint.startswith("127.99.0.")
    assert cluster.network_config.datapath_provider == container_v1.DatapathProvider.ADVANCED_DATAPATH
    with pytest.raises(exceptions.Conflict):
        create(api)

    pool = container_v1.NodePool(
        name="tpu",
        initial_node_count=1,
        config={"machine_type": "ct6e-standard-4t", "labels": {"a": "b"}},
        network_config={"accelerator_network_profile": "auto"},
    )
    wait(api, api.create_node_pool(parent=CLUSTER, node_pool=pool))
    live = api.get_node_pool(name=f"{CLUSTER}/nodePools/tpu")
    assert live.status == container_v1.NodePool.Status.RUNNING
    assert live.config.labels == {"a": "b", "gke.networks.io/accelerator-network-profile": "auto"}
    assert len(live.network_config.additional_node_network_configs) == 1

    wait(api, api.set_node_pool_size({"name": f"{CLUSTER}/nodePools/tpu", "node_count": 2}))
    assert api.get_cluster(name=CLUSTER).current_node_count == 3

    update = container_v1.ClusterUpdate(desired_gateway_api_config={"channel": "CHANNEL_STANDARD"})
    wait(api, api.update_cluster({"name": CLUSTER, "update": update}))
    channel = api.get_cluster(name=CLUSTER).network_config.gateway_api_config.channel
    assert channel == container_v1.GatewayAPIConfig.Channel.CHANNEL_STANDARD

    wait(api, api.delete_node_pool(name=f"{CLUSTER}/nodePools/tpu"))
    assert [pool.name for pool in api.list_node_pools(parent=CLUSTER).node_pools] == ["default-pool"]
    wait(api, api.delete_cluster(name=CLUSTER))
    assert not api.list_clusters(parent=f"projects/{PROJECT}/locations/-").clusters
    assert not cloud.runtime.started


def test_a_second_operation_on_a_cluster_is_refused(slow: Running) -> None:
    api = client(slow)
    operation = create(api)
    with pytest.raises(exceptions.BadRequest) as refused:
        api.delete_cluster(name=CLUSTER)
    assert refused.value.response.json()["error"]["status"] == "FAILED_PRECONDITION"
    assert refused.value.message.endswith(f"Cluster is running incompatible operation {operation.name}.")
    running = until(
        lambda: api.get_operation(name=f"{PARENT}/operations/{operation.name}"),
        lambda found: found.status == Operation.Status.RUNNING and found.progress.metrics,
    )
    assert {metric.name for metric in running.progress.metrics} >= {"CLUSTER_CONFIGURING", "CLUSTER_DEPLOYING_TOTAL"}
    wait(api, operation)


def test_a_cluster_that_fails_to_start_is_an_operation_with_an_error(cloud: Running) -> None:
    api = client(cloud)
    cloud.break_down("operation-error", resource="*/clusters/*", times=1)
    operation = wait(api, create(api))
    assert "Internal error" in operation.error.message
    cluster = api.get_cluster(name=CLUSTER)
    assert cluster.status == container_v1.Cluster.Status.ERROR
    assert "Internal error" in cluster.status_message


def test_unknown_fields_are_refused_by_name(cloud: Running) -> None:
    status, answer = cloud.call(
        "POST", f"container/v1/{PARENT}/clusters", {"cluster": {"name": "c", "nodeConfig": {"machine": "x"}}}
    )
    assert status == 400
    text = "Invalid JSON payload received. Unknown name \"machine\" at 'cluster.node_config': Cannot find field."
    assert answer["error"]["message"] == text
    assert answer["error"]["details"][0]["fieldViolations"] == [{"field": "cluster.node_config", "description": text}]

# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Google's clients for Python: the life of a cluster in a fleet, of a network and of a bucket."""

from __future__ import annotations

import importlib
import time
import typing as t
from collections.abc import Callable, Iterator

import pytest
from google.api_core import exceptions
from google.cloud import container_v1
from google.cloud.container_v1.services.cluster_manager.transports.rest import ClusterManagerRestTransport
from google.cloud.gkehub_v1.services.gke_hub.transports.rest import GkeHubRestTransport
from google.cloud.storage import Client as StorageClient
from google.oauth2.credentials import Credentials

Json = dict[str, t.Any]

# Imported by name, so that mypy can do without what only `make truth` installs.
compute_v1: t.Any = importlib.import_module("google.cloud.compute_v1")
gkehub_v1: t.Any = importlib.import_module("google.cloud.gkehub_v1")

DEADLINE = 60.0
LOCATION = "us-east5-b"


@pytest.fixture(scope="module")
def host(sandbox: Json) -> str:
    """ "127.0.0.1:PORT", below which each service has a path of its own."""
    return str(sandbox["endpoints"]["compute"]).removeprefix("http://").removesuffix("/compute/v1/")


@pytest.fixture(scope="module")
def credentials(sandbox: Json) -> Credentials:
    return Credentials(sandbox["token"])


@pytest.fixture(scope="module")
def clusters(host: str, credentials: Credentials) -> container_v1.ClusterManagerClient:
    transport = ClusterManagerRestTransport(host=f"{host}/container", credentials=credentials, url_scheme="http")
    return container_v1.ClusterManagerClient(transport=transport)


@pytest.fixture(scope="module")
def fleet(host: str, credentials: Credentials) -> t.Any:
    transport = GkeHubRestTransport(host=f"{host}/gkehub", credentials=credentials, url_scheme="http")
    return gkehub_v1.GkeHubClient(transport=transport)


@pytest.fixture(scope="module")
def cluster(clusters: container_v1.ClusterManagerClient, enabled: Json) -> Iterator[str]:
    """The full name of a cluster in the clients' zone."""
    parent = f"projects/{enabled['project']}/locations/{LOCATION}"
    wanted = container_v1.Cluster(
        name="python",
        initial_node_count=1,
        release_channel={"channel": "RAPID"},
        network_config={"datapath_provider": "ADVANCED_DATAPATH"},
    )
    done(clusters, parent, clusters.create_cluster(parent=parent, cluster=wanted))
    yield f"{parent}/clusters/python"
    done(clusters, parent, clusters.delete_cluster(name=f"{parent}/clusters/python"))


def until(look: Callable[[], t.Any], true: Callable[[t.Any], bool]) -> t.Any:
    end = time.monotonic() + DEADLINE
    while not true(seen := look()):
        assert time.monotonic() < end, seen
        time.sleep(0.05)
    return seen


def done(api: container_v1.ClusterManagerClient, parent: str, operation: container_v1.Operation) -> None:
    ended = until(
        lambda: api.get_operation(name=f"{parent}/operations/{operation.name}"),
        lambda found: found.status == container_v1.Operation.Status.DONE,
    )
    assert not ended.error.message


def test_a_pool_with_managed_dranet(clusters: container_v1.ClusterManagerClient, cluster: str) -> None:
    parent = cluster.rpartition("/clusters/")[0]
    pool = container_v1.NodePool(
        name="tpu",
        initial_node_count=1,
        config={"machine_type": "ct6e-standard-4t", "labels": {"cloud.google.com/gke-networking-dra-driver": "true"}},
        network_config={"accelerator_network_profile": "auto"},
    )
    operation = clusters.create_node_pool(parent=cluster, node_pool=pool)
    assert operation.status == container_v1.Operation.Status.PENDING
    done(clusters, parent, operation)
    live = clusters.get_node_pool(name=f"{cluster}/nodePools/tpu")
    assert live.status == container_v1.NodePool.Status.RUNNING
    assert f"/zones/{LOCATION}/clusters/python/nodePools/tpu" in live.self_link
    done(
        clusters,
        parent,
        clusters.delete_node_pool(name=live.self_link.partition("/v1/")[2].replace("zones", "locations")),
    )
    with pytest.raises(exceptions.NotFound, match='Not found: node pool "tpu" not found'):
        clusters.get_node_pool(name=f"{cluster}/nodePools/tpu")


def test_a_fleet_with_its_features(fleet: t.Any, cluster: str, enabled: Json) -> None:
    parent = f"projects/{enabled['project']}/locations/global"
    member = gkehub_v1.Membership(
        endpoint={"gke_cluster": {"resource_link": f"//container.googleapis.com/{cluster}"}},
        authority={"issuer": f"https://container.googleapis.com/v1/{cluster}"},
    )
    made = fleet.create_membership(parent=parent, membership_id="python", resource=member).result(timeout=DEADLINE)
    assert made.state.code == gkehub_v1.MembershipState.Code.READY
    changed = fleet.update_membership(
        name=made.name, update_mask={"paths": ["labels"]}, resource=gkehub_v1.Membership(labels={"team": "serving"})
    ).result(timeout=DEADLINE)
    assert changed.labels == {"team": "serving"}
    assert [one.name for one in fleet.list_memberships(parent=parent)] == [made.name]

    spec = {"multiclusteringress": {"config_membership": made.name}}
    for feature, body in (("multiclusterservicediscovery", {}), ("multiclusteringress", {"spec": spec})):
        created = fleet.create_feature(parent=parent, feature_id=feature, resource=gkehub_v1.Feature(body)).result(
            timeout=DEADLINE
        )
        assert created.resource_state.state == gkehub_v1.FeatureResourceState.State.ACTIVE
        until(lambda name=created.name: fleet.get_feature(name=name).membership_states, bool)  # type: ignore[misc]
    for feature in ("multiclusteringress", "multiclusterservicediscovery"):
        fleet.delete_feature(name=f"{parent}/features/{feature}").result(timeout=DEADLINE)
    fleet.delete_membership(name=made.name).result(timeout=DEADLINE)
    with pytest.raises(exceptions.NotFound):
        fleet.get_membership(name=made.name)


def test_a_network_changes_under_its_fingerprints(host: str, credentials: Credentials, enabled: Json) -> None:
    project = str(enabled["project"])

    def client(kind: type[t.Any]) -> t.Any:
        return kind(credentials=credentials, client_options={"api_endpoint": f"http://{host}"})

    # The futures of these clients poll at Google's address; the operations' own clients poll where they are told.
    everywhere, regional = client(compute_v1.GlobalOperationsClient), client(compute_v1.RegionOperationsClient)

    def run(operation: t.Any) -> None:
        where = {"project": project, "operation": operation.name}
        if operation.region:
            ended = regional.wait(**where, region=operation.region.rpartition("/")[2])
        else:
            ended = everywhere.wait(**where)
        assert ended.status == compute_v1.Operation.Status.DONE and not ended.error.errors

    networks, subnetworks = client(compute_v1.NetworksClient), client(compute_v1.SubnetworksClient)
    run(
        networks.insert_unary(
            project=project, network_resource={"name": "py", "auto_create_subnetworks": False, "mtu": 8896}
        )
    )
    here = {"project": project, "region": "us-east1"}
    wanted = {"name": "py-nodes", "network": f"projects/{project}/global/networks/py", "ip_cidr_range": "10.9.0.0/24"}
    run(subnetworks.insert_unary(**here, subnetwork_resource=wanted))
    for number in range(6):
        live = subnetworks.get(**here, subnetwork="py-nodes")
        ranges = [{"range_name": f"r{n}", "ip_cidr_range": f"10.8.{n}.0/24"} for n in range(number + 1)]
        change = {"fingerprint": live.fingerprint, "secondary_ip_ranges": ranges}
        run(subnetworks.patch_unary(**here, subnetwork="py-nodes", subnetwork_resource=change))
    assert len(subnetworks.get(**here, subnetwork="py-nodes").secondary_ip_ranges) == 6
    run(subnetworks.delete_unary(**here, subnetwork="py-nodes"))
    run(networks.delete_unary(project=project, network="py"))
    with pytest.raises(exceptions.NotFound):
        networks.get(project=project, network="py")


def test_a_bucket_its_policy_and_its_objects(host: str, credentials: Credentials, enabled: Json) -> None:
    client = StorageClient(
        project=enabled["project"], credentials=credentials, client_options={"api_endpoint": f"http://{host}"}
    )
    bucket = client.bucket("python-weights")
    bucket.iam_configuration.uniform_bucket_level_access_enabled = True
    bucket.create(location="US")
    bucket.labels = {"team": "serving"}
    bucket.update()  # sends the whole bucket back, with what only the server sets
    assert client.get_bucket("python-weights").labels == {"team": "serving"}
    for role in ("objectViewer", "objectCreator", "objectUser", "objectAdmin", "legacyObjectReader", "admin"):
        policy = bucket.get_iam_policy(requested_policy_version=3)
        policy.bindings.append({"role": f"roles/storage.{role}", "members": {"allUsers"}})
        bucket.set_iam_policy(policy)
    bucket.blob("gemma/config.json").upload_from_string("{}")
    assert [blob.name for blob in client.list_blobs("python-weights", prefix="gemma/")] == ["gemma/config.json"]
    assert bucket.blob("gemma/config.json").download_as_bytes() == b"{}"
    bucket.delete(force=True)
    assert client.lookup_bucket("python-weights") is None

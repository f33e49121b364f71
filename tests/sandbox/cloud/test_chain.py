# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The chain from an empty project to a fleet, and what refuses to work without its step."""

from __future__ import annotations

import asyncio
import typing as t

import pytest

from tests.clouds import NUMBER, PROJECT, TOKEN, Running, until

COMPUTE = f"compute/v1/projects/{PROJECT}"
CLUSTERS = f"container/v1/projects/{PROJECT}/locations/us-east5-a/clusters"
HUB = f"gkehub/v1/projects/{PROJECT}/locations"
ACCOUNTS = f"iam/v1/projects/{PROJECT}/serviceAccounts"
SERVICES = f"serviceusage/v1/projects/{PROJECT}/services"
POOL_MEMBER = f"serviceAccount:{PROJECT}.svc.id.goog[default/model]"
LISTS = {
    "compute.googleapis.com": f"{COMPUTE}/global/networks",
    "container.googleapis.com": CLUSTERS,
    "gkehub.googleapis.com": f"{HUB}/global/memberships",
    "iam.googleapis.com": ACCOUNTS,
}


def cluster_body(**more: t.Any) -> dict[str, t.Any]:
    return {
        "cluster": {
            "name": "c1",
            "network": "net",
            "subnetwork": "nodes",
            "initialNodeCount": 1,
            "releaseChannel": {"channel": "RAPID"},
            "networkConfig": {"datapathProvider": "ADVANCED_DATAPATH"},
            **more,
        }
    }


def make_network(cloud: Running) -> None:
    body = {"name": "net", "autoCreateSubnetworks": False, "mtu": 8896}
    cloud.done(cloud.ok("POST", f"{COMPUTE}/global/networks", body))
    body = {"name": "nodes", "network": "global/networks/net", "ipCidrRange": "127.99.1.0/24"}
    cloud.done(cloud.ok("POST", f"{COMPUTE}/regions/us-east5/subnetworks", body))


def grant(cloud: Running, email: str, member: str) -> tuple[int, t.Any]:
    policy = {"bindings": [{"role": "roles/iam.workloadIdentityUser", "members": [member]}]}
    return cloud.call("POST", f"{ACCOUNTS}/{email}:setIamPolicy", {"policy": policy})


@pytest.mark.parametrize("path", [*LISTS.values(), f"storage/v1/b?project={PROJECT}", SERVICES])
@pytest.mark.parametrize("token", [None, "wrong", "ünknown"])
def test_nothing_answers_without_the_token(fresh: Running, path: str, token: str | None) -> None:
    status, answer = fresh.call("GET", path, token=token and token.encode().decode("latin-1"))
    assert status == 401
    assert answer["error"]["code"] == 401
    assert "invalid authentication credentials" in answer["error"]["message"]


def test_a_service_must_be_enabled_first(fresh: Running) -> None:
    for service, path in LISTS.items():
        status, answer = fresh.call("GET", path)
        assert status == 403, path
        error = answer["error"]
        assert f"has not been used in project {NUMBER} before or it is disabled" in error["message"]
        assert error["status"] == "PERMISSION_DENIED"
        assert error["details"][0]["reason"] == "SERVICE_DISABLED"
        assert error["details"][0]["metadata"]["service"] == service
    assert not fresh.within(enabled(fresh, "compute.googleapis.com"))

    operation = fresh.ok("POST", f"{SERVICES}/container.googleapis.com:enable", {})
    assert fresh.done(operation)["response"]["service"]["state"] == "ENABLED"
    assert fresh.call("GET", LISTS["container.googleapis.com"])[0] == 200
    assert fresh.call("GET", LISTS["compute.googleapis.com"])[0] == 200, "container brings compute with it"
    assert fresh.call("GET", LISTS["gkehub.googleapis.com"])[0] == 403
    again = fresh.ok("POST", f"{SERVICES}/container.googleapis.com:enable", {})
    assert again["done"] is True

    listed = fresh.ok("GET", f"{SERVICES}?filter=state:ENABLED&fields=services/name,nextPageToken&pageSize=2")
    assert len(listed["services"]) == 2
    assert set(listed["services"][0]) == {"name"}
    assert listed["nextPageToken"]


async def enabled(cloud: Running, name: str) -> bool:
    return cloud.cloud.view.service_enabled(name)


def test_the_identity_pool_comes_with_the_first_cluster_that_uses_it(cloud: Running) -> None:
    email = cloud.ok("POST", ACCOUNTS, {"accountId": "gcs-fuse-sa", "serviceAccount": {}})["email"]
    status, answer = grant(cloud, email, POOL_MEMBER)
    assert status == 400
    assert answer["error"]["message"] == (
        f"Identity Pool does not exist ({PROJECT}.svc.id.goog). Please check that you specified a valid resource name "
        "as returned in the `name` attribute in the configuration API."
    )
    make_network(cloud)
    refused = cluster_body(workloadIdentityConfig={"workloadPool": "other.svc.id.goog"})
    assert cloud.call("POST", CLUSTERS, refused)[0] == 400
    body = cluster_body(workloadIdentityConfig={"workloadPool": f"{PROJECT}.svc.id.goog"})
    cloud.done(cloud.ok("POST", CLUSTERS, body))
    until(lambda: grant(cloud, email, POOL_MEMBER)[0], lambda status: status == 200)
    policy = cloud.ok("POST", f"{ACCOUNTS}/{email}:getIamPolicy")
    assert policy["bindings"] == [{"role": "roles/iam.workloadIdentityUser", "members": [POOL_MEMBER]}]
    pool = cloud.ok("GET", f"{CLUSTERS}/c1/nodePools/default-pool")
    assert pool["config"]["workloadMetadataConfig"] == {"mode": "GKE_METADATA"}


def test_a_fleet_from_clusters_to_ready_members(cloud: Running) -> None:
    make_network(cloud)
    cloud.done(cloud.ok("POST", CLUSTERS, cluster_body(fleet={"project": PROJECT})))
    link = cloud.ok("GET", f"{CLUSTERS}/c1")["fleet"]["membership"]
    member = link.removeprefix("//gkehub.googleapis.com/")
    assert member == f"projects/{PROJECT}/locations/us-east5/memberships/c1"
    live = cloud.ok("GET", f"gkehub/v1/{member}")
    assert live["state"] == {"code": "READY"}
    assert live["authority"]["workloadIdentityPool"] == f"{PROJECT}.svc.id.goog"

    body = {"endpoint": {"gkeCluster": live["endpoint"]["gkeCluster"]}}
    status, answer = cloud.call("POST", f"{HUB}/global/memberships?membershipId=twice", body)
    assert (status, answer["error"]["status"]) == (400, "FAILED_PRECONDITION")

    spec = {"spec": {"multiclusteringress": {"configMembership": member}}}
    operation = cloud.ok("POST", f"{HUB}/global/features?featureId=multiclusteringress", spec)
    assert "error" not in cloud.done(operation, f"gkehub/v1/{operation['name']}")
    feature = until(
        lambda: cloud.ok("GET", f"{HUB}/global/features/multiclusteringress"),
        lambda feature: feature.get("membershipStates"),
    )
    assert feature["resourceState"] == {"state": "ACTIVE"}
    states = feature["membershipStates"]
    assert list(states) == [f"projects/{NUMBER}/locations/us-east5/memberships/c1"], "keyed by the project's number"
    assert states[f"projects/{NUMBER}/locations/us-east5/memberships/c1"]["state"]["code"] == "OK"

    cloud.done(cloud.ok("DELETE", f"{CLUSTERS}/c1"))
    assert cloud.call("GET", f"gkehub/v1/{member}")[0] == 404, "GKE's own membership goes with its cluster"
    until(
        lambda: cloud.ok("GET", f"{HUB}/global/features/multiclusteringress"),
        lambda feature: not feature.get("membershipStates"),
    )


def test_a_membership_is_made_from_what_gcloud_composes_of_its_endpoint_override(cloud: Running) -> None:
    make_network(cloud)
    cloud.done(cloud.ok("POST", CLUSTERS, cluster_body()))
    cluster = f"{CLUSTERS}/c1".removeprefix("container/v1/")
    here = f"127.0.0.1:{cloud.port}/container"

    def register(host: str, issuer: str, version: str = "v1", **more: str) -> tuple[int, t.Any]:
        link = {"gkeCluster": {"resourceLink": f"//{host}/{cluster}"}}
        body = {"endpoint": link, "authority": {"issuer": f"{issuer}/v1/{cluster}"}, **more}
        path = HUB.replace("/v1/", f"/{version}/")
        return cloud.call("POST", f"{path}/global/memberships?membershipId=c1", body)

    for host, issuer in (
        ("10.0.0.1/container", f"http://{here}"),
        (here, "http://10.0.0.1/container"),
        ("x", "https://x"),
    ):
        assert register(host, issuer)[0] == 400
    assert register(here, f"http://{here}", infrastructureType="MULTI_CLOUD")[0] == 400, "a field of v1beta"
    status, operation = register(here, f"http://{here}")
    assert status == 200, operation
    made = cloud.done(operation, f"gkehub/v1/{operation['name']}")["response"]
    live = cloud.ok("GET", f"{HUB}/global/memberships/c1")
    assert live["endpoint"]["gkeCluster"]["resourceLink"] == f"//{here}/{cluster}"
    assert live["state"] == {"code": "READY"}
    beta = cloud.ok("GET", f"{HUB}/global/memberships/c1".replace("/v1/", "/v1beta/"))
    assert beta.keys() - live.keys() == {"infrastructureType"} == beta.keys() - made.keys()


def test_a_config_membership_that_goes_is_an_error_of_the_feature(cloud: Running) -> None:
    make_network(cloud)
    cloud.done(cloud.ok("POST", CLUSTERS, cluster_body(fleet={"project": PROJECT})))
    name = f"projects/{PROJECT}/locations/us-east5/memberships/c1"
    spec = {"spec": {"multiclusteringress": {"configMembership": name}}}
    feature = f"{HUB}/global/features/multiclusteringress"
    for method, path, body in (
        ("POST", f"{HUB}/global/features?featureId=multiclusteringress", spec),
        ("DELETE", f"gkehub/v1/{name}?force=true", None),
    ):
        operation = cloud.ok(method, path, body)
        cloud.done(operation, f"gkehub/v1/{operation['name']}")
    state = until(lambda: cloud.ok("GET", feature)["state"]["state"], lambda state: state["code"] != "OK")
    assert state["code"] == "ERROR"
    assert name in state["description"]


def test_a_service_agent_exists_only_once_it_was_generated(cloud: Running) -> None:
    path = f"cloudresourcemanager/v1/projects/{PROJECT}"
    agent = f"service-{NUMBER}@gcp-sa-multiclusteringress.iam.gserviceaccount.com"
    policy = cloud.ok("POST", f"{path}:getIamPolicy")
    policy["bindings"].append({"role": "roles/container.admin", "members": [f"serviceAccount:{agent}"]})
    status, answer = cloud.call("POST", f"{path}:setIamPolicy", {"policy": policy})
    assert (status, answer["error"]["message"]) == (400, f"Service account {agent} does not exist.")

    identity = f"serviceusage/v1beta1/projects/{PROJECT}/services/multiclusteringress.googleapis.com"
    made = cloud.ok("POST", f"{identity}:generateServiceIdentity")
    assert made["done"] is True
    assert made["response"]["email"] == agent
    cloud.ok("POST", f"{path}:setIamPolicy", {"policy": policy})
    status, answer = cloud.call("POST", f"{path}:setIamPolicy", {"policy": policy})
    assert (status, answer["error"]["status"]) == (409, "ABORTED"), "the etag moved"


async def view_of(cloud: Running) -> dict[str, t.Any]:
    view = cloud.cloud.view
    before = await view.wait_change(0)
    return {"version": before, "subnetworks": view.subnetworks("net"), "bindings": view.bindings("project")}


def test_the_controllers_view_shows_what_the_apis_answer(cloud: Running) -> None:
    make_network(cloud)
    view = cloud.within(view_of(cloud))
    assert [subnetwork["name"] for subnetwork in view["subnetworks"]] == ["nodes"]
    roles = {binding["role"] for binding in view["bindings"]}
    assert "roles/container.serviceAgent" in roles

    async def next_version() -> int:
        return await cloud.cloud.view.wait_change(view["version"])

    waiting = asyncio.run_coroutine_threadsafe(next_version(), cloud.loop)
    cloud.ok("POST", f"storage/v1/b?project={PROJECT}", {"name": "some-bucket"})
    assert waiting.result(10) > view["version"]


def test_requests_for_other_projects_and_paths_are_refused(cloud: Running) -> None:
    status, answer = cloud.call("GET", "container/v1/projects/other/locations/-/clusters")
    assert (status, answer["error"]["message"]) == (403, "The caller does not have permission")
    assert cloud.call("GET", f"{COMPUTE}/global//nonsense")[0] == 404
    assert cloud.call("GET", f"container/v1/projects/{NUMBER}/locations/-/clusters")[0] == 200
    status, answer = cloud.call("POST", f"{COMPUTE}/global/networks", data=b"{", token=TOKEN)
    assert (status, answer["error"]["message"][:29]) == (400, "Invalid JSON payload received")

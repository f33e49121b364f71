# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Failures on request, seen by clients that are not ours."""

from __future__ import annotations

import asyncio
import typing as t

import pytest
import requests
from google.api_core import exceptions
from google.cloud import container_v1

from sandbox.faults import KINDS, BadFault, Faults, Place
from tests.clouds import NUMBER, PROJECT, TOKEN, Running, until
from tests.sandbox.cloud.test_clients import CLUSTER, LOCATION, PARENT, client, create, wait

Json = dict[str, t.Any]
POOL = f"{PROJECT}.svc.id.goog"
REGION = LOCATION.rpartition("-")[0]
NETWORKS = f"compute/v1/projects/{PROJECT}/global/networks"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


def test_an_error_comes_so_many_times_and_in_the_api_s_own_form(cloud: Running) -> None:
    cloud.break_down("error", service="compute", method="GET", times=2, settings={"code": 429, "retry_after": 3})
    for _again in range(2):
        answer = requests.get(f"{cloud.base}/{NETWORKS}", headers=HEADERS, timeout=30)
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "3")
        assert answer.json()["error"]["errors"][0]["reason"] == "rateLimitExceeded"
    assert requests.get(f"{cloud.base}/{NETWORKS}", headers=HEADERS, timeout=30).status_code == 200


def test_google_s_client_sees_its_own_exceptions(cloud: Running) -> None:
    api = client(cloud)
    for code, kind in ((503, exceptions.ServiceUnavailable), (429, exceptions.TooManyRequests)):
        cloud.break_down("error", service="container", times=1, settings={"code": code})
        with pytest.raises(kind):
            api.list_clusters(parent=PARENT, retry=None)
    assert not api.list_clusters(parent=PARENT).clusters


@pytest.mark.parametrize(("when", "there"), [("before", 404), ("after", 200)])
def test_a_reset_before_the_write_or_after_it(cloud: Running, when: str, there: int) -> None:
    cloud.break_down("reset", service="compute", method="POST", resource="*/networks", times=1, settings={"when": when})
    with pytest.raises(requests.ConnectionError):
        requests.post(f"{cloud.base}/{NETWORKS}", json={"name": "n1"}, headers=HEADERS, timeout=30)
    answer = until(
        lambda: requests.get(f"{cloud.base}/{NETWORKS}/n1", headers=HEADERS, timeout=30).status_code,
        lambda status: status == there,
    )
    assert answer == there


def test_only_where_it_was_asked_for(cloud: Running) -> None:
    cloud.break_down("error", location="us-east5")
    api = client(cloud)
    with pytest.raises(exceptions.ServiceUnavailable):
        api.list_clusters(parent=PARENT, retry=None)
    elsewhere = f"projects/{PROJECT}/locations/europe-west4-a"
    assert not api.list_clusters(parent=elsewhere).clusters
    cloud.repair()
    assert not api.list_clusters(parent=PARENT).clusters


@pytest.mark.parametrize(
    ("reason", "code", "says"),
    [("quota", 8, "Insufficient quota"), ("permission", 7, "compute.instances.create"), ("internal", 13, "Internal")],
)
def test_an_operation_ends_in_an_error_and_the_object_says_so(
    cloud: Running, reason: str, code: int, says: str
) -> None:
    api = client(cloud)
    cloud.break_down("operation-error", service="container", settings={"reason": reason}, times=1)
    ended = wait(api, create(api))
    assert (ended.error.code, ended.status) == (code, container_v1.Operation.Status.DONE)
    assert says in ended.error.message
    broken = api.get_cluster(name=CLUSTER)
    assert broken.status == container_v1.Cluster.Status.ERROR and says in broken.status_message


def pool_of(name: str, machine: str) -> container_v1.NodePool:
    return container_v1.NodePool(name=name, initial_node_count=1, config={"machine_type": machine})


def test_a_zone_without_machines_fails_the_pool_and_only_that(cloud: Running) -> None:
    api = client(cloud)
    wait(api, create(api))
    cloud.break_down("stockout", location=LOCATION, settings={"machine": "ct6e-standard-4t"})
    tpu = pool_of("tpu", "ct6e-standard-4t")
    cpu = pool_of("cpu", "e2-standard-4")
    assert not wait(api, api.create_node_pool(parent=CLUSTER, node_pool=cpu)).error.message
    trying = api.create_node_pool(parent=CLUSTER, node_pool=tpu)
    with pytest.raises(exceptions.BadRequest, match="incompatible operation"):
        api.delete_node_pool(name=f"{CLUSTER}/nodePools/tpu")
    ended = wait(api, trying)
    assert "[GCE_STOCKOUT]" in ended.error.message and LOCATION in ended.error.message
    pool = api.get_node_pool(name=f"{CLUSTER}/nodePools/tpu")
    assert pool.status == container_v1.NodePool.Status.ERROR
    assert pool.conditions[0].code == container_v1.StatusCondition.Code.GCE_STOCKOUT


def test_machines_that_come_in_time_make_the_pool(slow: Running) -> None:
    api = client(slow)
    wait(api, create(api))
    fault = slow.break_down("stockout", location=LOCATION)
    trying = api.create_node_pool(parent=CLUSTER, node_pool=pool_of("cpu", "e2-standard-4"))
    running = api.get_operation(name=f"{PARENT}/operations/{trying.name}")
    assert running.status != container_v1.Operation.Status.DONE and fault
    slow.repair()
    assert not wait(api, trying).error.message


def test_an_operation_is_stuck_until_the_fault_is_cleared(cloud: Running) -> None:
    cloud.break_down("operation-stuck", service="compute", resource="global/networks/stuck", times=1)
    stuck = cloud.ok("POST", NETWORKS, {"name": "stuck"})
    cloud.done(cloud.ok("POST", NETWORKS, {"name": "free"}))
    where = cloud._path(stuck)
    assert cloud.ok("GET", where)["status"] != "DONE"
    cloud.repair()
    assert "error" not in cloud.done(stuck)


def status(cloud: Running, path: str) -> int:
    return requests.get(f"{cloud.base}/{path}", headers=HEADERS, timeout=30).status_code


def test_an_api_that_takes_its_time_while_the_others_serve(cloud: Running) -> None:
    cloud.break_down("slow", service="compute", settings={"seconds": 60})
    with pytest.raises(requests.Timeout):
        requests.get(f"{cloud.base}/{NETWORKS}", headers=HEADERS, timeout=0.2)
    assert not client(cloud).list_clusters(parent=PARENT).clusters


def test_a_region_that_is_gone_answers_nothing_and_is_back_with_all_it_had(cloud: Running) -> None:
    api, everywhere = client(cloud), f"projects/{PROJECT}/locations/-"
    wait(api, create(api))
    cloud.break_down("operation-slow", settings={"factor": 30}, times=1)
    stuck = api.create_node_pool(parent=CLUSTER, node_pool=pool_of("late", "e2-standard-4"))
    addresses = f"compute/v1/projects/{PROJECT}/regions/{{}}/addresses"
    cloud.break_down("region-down", location=REGION)
    for ask in (
        lambda: api.get_cluster(name=CLUSTER, retry=None),
        lambda: api.list_clusters(parent=PARENT, retry=None),
    ):
        with pytest.raises(exceptions.ServiceUnavailable, match="The service is currently unavailable"):
            ask()
    listed = api.list_clusters(parent=everywhere)
    assert not listed.clusters and LOCATION in listed.missing_zones
    assert status(cloud, addresses.format(REGION)) == 503
    assert status(cloud, addresses.format("europe-west4")) == status(cloud, NETWORKS) == 200
    cloud.repair()
    assert not wait(api, stuck).error.message
    listed = api.list_clusters(parent=everywhere)
    assert [pool.name for pool in listed.clusters[0].node_pools] == ["default-pool", "late"]
    assert not listed.missing_zones


def bind(cloud: Running, member: str) -> tuple[int, str]:
    """Give the member a role on the project: status and message."""
    policy = {"bindings": [{"role": "roles/viewer", "members": [member]}]}
    url = f"{cloud.base}/cloudresourcemanager/v1/projects/{PROJECT}:setIamPolicy"
    answer = requests.post(url, json={"policy": policy}, headers=HEADERS, timeout=30)
    return answer.status_code, answer.json().get("error", {}).get("message", "")


def late(cloud: Running, member: str, says: str) -> None:
    """The member is not there for IAM, and is after a while."""
    code, message = bind(cloud, member)
    assert code == 400 and says in message
    assert until(lambda: bind(cloud, member), lambda answer: answer[0] == 200)


def test_identities_that_google_has_promised_come_late(fresh: Running) -> None:
    fresh.break_down("identity-late", settings={"seconds": 0.4})
    fresh.enable()
    late(fresh, f"serviceAccount:service-{NUMBER}@container-engine-robot.iam.gserviceaccount.com", "does not exist")
    accounts = f"{fresh.base}/iam/v1/projects/{PROJECT}/serviceAccounts"
    made = requests.post(accounts, json={"accountId": "weights"}, headers=HEADERS, timeout=30).json()
    late(fresh, f"serviceAccount:{made['email']}", "does not exist")
    api = client(fresh)
    cluster = {"name": "pooled", "initial_node_count": 1, "workload_identity_config": {"workload_pool": POOL}}
    wait(api, api.create_cluster(parent=PARENT, cluster=container_v1.Cluster(cluster)))
    late(fresh, f"serviceAccount:{POOL}[default/reader]", "Identity Pool does not exist")


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def test_it_lasts_as_long_as_was_said() -> None:
    clock = Clock()
    faults = Faults(clock)
    faults.add({"kind": "error", "seconds": 10})
    clock.time = 9.9
    assert faults.strike(Place(), "error") and faults.rendered()[0]["seconds_left"] == 0.1
    clock.time = 10
    assert faults.strike(Place(), "error") is None and faults.rendered() == []


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_same_seed_hits_the_same_calls(share: float) -> None:
    def hit(seed: int) -> list[bool]:
        faults = Faults()
        faults.add({"kind": "error", "share": share, "seed": seed})
        return [faults.strike(Place(), "error") is not None for _call in range(400)]

    assert hit(1) == hit(1) and hit(1) != hit(2)
    assert abs(sum(hit(1)) / 400 - share) < 0.1


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"kind": "fire"}, "kind: 'fire' is none; one of error, reset"),
        ({}, "kind: '' is none"),
        ({"kind": "error", "times": 0}, "times: 0 is no number of at least 1"),
        ({"kind": "error", "seconds": "3"}, "seconds: '3' is no number"),
        ({"kind": "error", "share": 1.5}, "share: 1.5 is not between 0 and 1"),
        ({"kind": "error", "settings": {"code": "x"}}, "code: 'x' is no int"),
        ({"kind": "error", "settings": {"colour": 1}}, "colour: error has no such setting; it has: code, retry_after"),
        ({"kind": "reset", "settings": {"when": "never"}}, "when: 'never' is not one of before, after"),
        ({"kind": "operation-stuck", "settings": {"a": 1}}, "it has: none"),
        ({"kind": "error", "region": "us-east5"}, "unknown: region"),
        ({"kind": "error", "settings": {"code": 200}}, "code: 200 is not between 400 and 599"),
        (
            {"kind": "pod-oom", "service": "compute"},
            "service: pod-oom does not look at it; it takes: resource, location",
        ),
        ({"kind": "region-down"}, "location: region-down must be told where"),
        ({"kind": "region-down", "location": "us-east5", "times": 2}, "times: region-down is one state of things"),
        ({"kind": "envoy-down", "share": 0.5}, "share: envoy-down is one state of things"),
        ({"kind": "error", "service": "gke"}, "service: 'gke' is none of compute, container"),
        ({"kind": "error", "method": "get"}, "method: 'get' is none of GET"),
        ({"kind": "error", "location": "Ohio"}, "location: 'Ohio' is no region and no zone"),
    ],
)
def test_a_fault_that_is_none_is_refused(wanted: Json, says: str) -> None:
    with pytest.raises(BadFault, match=r".") as refused:
        Faults().add(wanted)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("asked", "here", "hit"),
    [
        ({"location": "us-east5"}, "us-east5-b", True),
        ({"location": "us-east5"}, "us-east5", True),
        ({"location": "us-east5-b"}, "us-east5-a", False),
        ({"location": "us-east5-b"}, "us-east5", False),
        ({"location": "us-east1"}, "us-east10-b", False),
        ({"location": "us-east5"}, "", False),
        ({}, "", True),
    ],
)
def test_a_region_takes_in_its_zones(asked: Json, here: str, hit: bool) -> None:
    faults = Faults()
    faults.add({"kind": "error", **asked})
    assert (faults.strike(Place(location=here), "error") is not None) is hit


def test_what_is_broken_stays_so_however_often_it_is_looked_at() -> None:
    faults = Faults()
    faults.add({"kind": "node-dead", "times": 2, "share": 0.5, "seed": 3})
    nodes = [Place("kubernetes", resource=f"node-{number}") for number in range(20)]

    def dead() -> list[Place]:
        return [node for node in nodes if faults.afflicts("node-dead", node)]

    first = dead()
    assert len(first) == 2 and dead() == first and faults.rendered()[0]["hits"] == 2
    hit = faults.afflicts("node-dead", first[0])
    assert hit is not None
    faults.mend(hit, first[0])
    assert dead() == first[1:], "its place is taken by one that lives"


def test_who_follows_hears_of_every_change_and_of_the_end() -> None:
    async def main() -> list[int]:
        faults, seen = Faults(), []
        async for _unused in faults.changes():
            seen.append(len(faults.rendered()))
            if len(seen) == 1:
                faults.add({"kind": "node-dead"})
            elif len(seen) == 2:
                faults.clear()
            elif len(seen) == 3:
                faults.add({"kind": "node-dead", "seconds": 0.05})
            elif len(seen) == 5:
                return seen
        return []

    assert asyncio.run(asyncio.wait_for(main(), 5)) == [0, 1, 0, 1, 0]


def test_every_kind_can_be_asked_for_with_its_defaults() -> None:
    for name, kind in KINDS.items():
        where = {field: "us-east5" for field in kind.needs}
        assert Faults().add({"kind": name, **where}).settings == kind.settings

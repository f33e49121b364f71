# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wrong inventories, at most ten of a kind: each is refused with its option's name, and with nothing else.

That nothing is written before is tests/e2e/test_judged.py's.
"""

from __future__ import annotations

import collections
import typing as t
from pathlib import Path

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._inventory.judge import judge, verdict

from tests.inventories import EAST, GONE, WEST, Change, estate

Json = dict[str, t.Any]

MACHINE = "ct6e-standard-4t"


def pool(**options: t.Any) -> Json:
    """The example's pool, otherwise; config is merged, GONE takes away."""
    config = {"machine_type": MACHINE, **options.pop("config", {})}
    made = {"name": "tpu-v6e", "dranet": True, "initial_node_count": 1, "config": config, **options}
    return {key: value for key, value in made.items() if value != GONE}


def pools(**options: t.Any) -> Json:
    return {"cluster_node_pools": [pool(**options)]}


def only(host: str, /, **variables: t.Any) -> Change:
    return Change(regions={host: variables})


def every(**variables: t.Any) -> Change:
    return Change(everywhere=variables)


def said(**variables: t.Any) -> Change:
    """On the command line."""
    return Change(extra=variables)


def drill(**variables: t.Any) -> Change:
    return Change(extra=variables, playbook="failover_drill.yml")


BOTH = f"{EAST}, {WEST}"
FIRST = "cluster_node_pools[0]"
FLEX = {"enabled": True, "max_node_count": 1}

# (kind, what is changed, the option that must be named, the region: "" for all or none)
WRONG: list[tuple[str, Change, str, str]] = [
    ("type", every(model_replicas="two"), "model_replicas", ""),
    ("type", said(model_replicas="2.5"), "model_replicas", ""),
    ("type", only(WEST, model_replicas=True), "model_replicas", WEST),
    ("type", said(model_download="perhaps"), "model_download", ""),
    ("type", only(EAST, cluster_node_pools=pool()), "cluster_node_pools", EAST),
    ("type", every(network_services="container.googleapis.com"), "network_services", ""),
    ("type", every(gateway_port="http"), "gateway_port", ""),
    ("type", every(failover_rate="fast"), "failover_rate", ""),
    ("type", every(model_node_selector=["a", "b"]), "model_node_selector", ""),
    ("type", only(WEST, **pools(initial_node_count="one")), f"{FIRST}.initial_node_count", WEST),
    ("no value", only(EAST, network_node_cidr=GONE), "network_node_cidr", EAST),
    ("no value", every(model_bucket=GONE), "model_bucket", ""),
    ("no value", only(WEST, cluster_node_pools=None), "cluster_node_pools", WEST),
    ("no value", only(WEST, network_proxy_only_cidr="{{ nowhere }}"), "network_proxy_only_cidr", WEST),
    ("no value", every(model_hugging_face_token="{{ lookup('file', '/no/such') }}"), "model_hugging_face_token", ""),
    ("no value", every(gcp_project=GONE), "gcp_project", ""),
    ("no value", every(model_name=""), "model_name", ""),
    ("no value", only(WEST, **pools(name=GONE)), f"{FIRST}.name", WEST),
    ("name", every(gcp_project="My_Project"), "gcp_project", ""),
    ("name", every(gcp_project="123456789012"), "gcp_project", ""),
    ("name", every(network_name="Serving"), "network_name", ""),
    ("name", every(network_name="n" * 40), "network_name", ""),
    ("name", only(EAST, cluster_name="c" * 41), "cluster_name", EAST),
    ("name", every(model_namespace="inference_"), "model_namespace", ""),
    ("name", every(model_name="gemma 3"), "model_name", ""),
    ("name", every(model_name="g" * 60), "gateway_model", ""),
    ("name", every(model_service_account="w"), "model_service_account", ""),
    ("name", every(model_image="vllm/vllm-tpu: latest"), "model_image", ""),
    ("bucket", every(model_bucket="Gemma"), "model_bucket", ""),
    ("bucket", every(model_bucket="goog-weights"), "model_bucket", ""),
    ("bucket", every(model_bucket="10.0.0.1"), "model_bucket", ""),
    ("bucket", every(model_bucket="gemma..weights"), "model_bucket", ""),
    ("bucket", every(model_bucket="gs://weights"), "model_bucket", ""),
    ("bucket", every(model_bucket_location="MARS"), "model_bucket_location", ""),
    ("label", every(cluster_labels={"Team": "serving"}), "cluster_labels.Team", ""),
    ("label", every(cluster_labels={"live": True}), "cluster_labels.live", ""),
    ("label", every(cluster_labels={"team": "Serving"}), "cluster_labels.team", ""),
    ("label", only(EAST, **pools(config={"labels": {"a/b/c": "x"}})), f"{FIRST}.config.labels.a/b/c", EAST),
    ("label", only(EAST, **pools(config={"labels": {"tier": "a b"}})), f"{FIRST}.config.labels.tier", EAST),
    ("label", only(EAST, **pools(config={"resource_labels": {"a": "B"}})), f"{FIRST}.config.resource_labels.a", EAST),
    ("group", Change(config_region=[]), "group config_region", ""),
    ("group", Change(config_region=[EAST, WEST]), "group config_region", ""),
    ("group", Change(config_region=["us-west1"]), "group config_region", ""),
    ("forks", Change(forks=1), "forks", ""),
    ("place", only(EAST, zone="us-east5-z"), "zone", EAST),
    ("place", only(EAST, zone="europe-west4-a"), "zone", EAST),
    ("place", only(EAST, zone="b"), "zone", EAST),
    ("place", only(EAST, region="us-esat5", zone="us-esat5-b"), "region", EAST),
    ("place", only(WEST, cluster_location="us-east5"), "cluster_location", WEST),
    ("place", only(EAST, **pools(locations=["us-east4-a"])), f"{FIRST}.locations[0]", EAST),
    ("machine", only(WEST, zone="europe-west4-b"), f"{FIRST}.config.machine_type", WEST),
    ("machine", only(WEST, **pools(config={"machine_type": "ct6e-standard-4"})), f"{FIRST}.config.machine_type", WEST),
    ("machine", every(cluster_system_machine_type="e2_standard_16"), "cluster_system_machine_type", ""),
    ("machine", only(WEST, **pools(config={"machine_type": "a3-highgpu-9g"})), f"{FIRST}.config.machine_type", WEST),
    ("machine", only(WEST, cluster_location=WEST), f"{FIRST}.locations", WEST),
    ("range", only(EAST, network_proxy_only_cidr="10.0.1.0/26"), "network_proxy_only_cidr", EAST),
    ("range", only(EAST, network_node_cidr="10.0.2.0/25"), "network_node_cidr", BOTH),
    ("range", only(WEST, network_node_cidr="10.1.1.0/24"), "network_node_cidr", BOTH),
    ("range", only(EAST, network_node_cidr="10.0.1.7/24"), "network_node_cidr", EAST),
    ("range", only(EAST, network_node_cidr="10.0.1.0"), "network_node_cidr", EAST),
    ("range", only(EAST, network_node_cidr="169.254.0.0/20"), "network_node_cidr", EAST),
    ("range", only(EAST, network_node_cidr="127.0.1.0/24"), "network_node_cidr", EAST),
    ("range", only(EAST, network_proxy_only_cidr="10.1.1.0/27"), "network_proxy_only_cidr", EAST),
    ("range", only(EAST, network_node_cidr="10.0.1.0/30"), "network_node_cidr", EAST),
    ("range", only(EAST, network_node_cidr="fd00::/64"), "network_node_cidr", EAST),
    ("alike", every(cluster_name="gke"), "fleet_membership", BOTH),
    ("alike", only(WEST, region=EAST, zone="us-east5-a"), "network_region", BOTH),
    ("alike", only(WEST, network_name="other"), "network_name", ""),
    ("alike", only(WEST, model_bucket="other-weights"), "model_bucket", ""),
    ("alike", only(WEST, gateway_port=8080), "gateway_port", ""),
    ("alike", only(WEST, model_name="gemma-3-4b-it"), "model_name", ""),
    ("alike", only(WEST, gcp_project="other-project"), "gcp_project", ""),
    ("alike", said(model_download="true"), "model_download", ""),
    ("alike", only(WEST, gateway_address={"region": WEST, "name": "other"}), "gateway_addresses", WEST),
    ("key", only(EAST, **pools(dranett=True)), f"{FIRST}.dranett", EAST),
    ("key", only(EAST, **pools(config={"disk_size": 200})), f"{FIRST}.config.disk_size", EAST),
    ("key", only(EAST, **pools(autoscaling={**FLEX, "max_nodes": 3})), f"{FIRST}.autoscaling.max_nodes", EAST),
    ("key", every(gateway_endpoint_picker={"failuremode": "FailOpen"}), "gateway_endpoint_picker.failuremode", ""),
    ("key", only(EAST, **pools(config={"taints": [{"key": "a"}]})), f"{FIRST}.config.taints[0].effect", EAST),
    ("key", only(EAST, **pools(cluster="other")), f"{FIRST}.cluster", EAST),
    ("key", said(gateway_addresses=[{"region": EAST}]), "gateway_addresses[0].name", ""),
    ("key", every(model_replica=3), "model_replica", ""),
    ("pool", only(EAST, cluster_node_pools=[pool(), pool()]), "cluster_node_pools[1].name", EAST),
    ("pool", only(EAST, **pools(name="TPU")), f"{FIRST}.name", EAST),
    ("pool", only(EAST, **pools(config={"flex_start": True}, initial_node_count=0)), f"{FIRST}.autoscaling", EAST),
    (
        "pool",
        only(EAST, **pools(config={"spot": True, "flex_start": True}, autoscaling=FLEX, initial_node_count=0)),
        f"{FIRST}.config.flex_start",
        EAST,
    ),
    ("pool", only(EAST, **pools(node_count=1, autoscaling=FLEX)), f"{FIRST}.node_count", EAST),
    ("pool", only(EAST, **pools(autoscaling={**FLEX, "min_node_count": 2})), f"{FIRST}.autoscaling", EAST),
    ("pool", only(EAST, **pools(config={"max_run_duration": "7d"})), f"{FIRST}.config.max_run_duration", EAST),
    ("pool", only(EAST, **pools(upgrade_settings={"strategy": "FAST"})), f"{FIRST}.upgrade_settings.strategy", EAST),
    (
        "topology",
        only(EAST, **pools(placement_policy={"tpu_topology": "2x2"})),
        f"{FIRST}.placement_policy.tpu_topology",
        EAST,
    ),
    (
        "topology",
        only(EAST, model_node_selector={"cloud.google.com/gke-tpu-topology": "2x4"}),
        "model_node_selector",
        EAST,
    ),
    ("topology", only(EAST, model_accelerator_count=8), "model_accelerator_count", EAST),
    (
        "topology",
        only(
            EAST,
            **pools(placement_policy={"type": "COMPACT", "tpu_topology": "4x4"}, initial_node_count=3),
            model_node_selector={"cloud.google.com/gke-tpu-topology": "4x4"},
            model_accelerator_count=5,
        ),
        f"{FIRST}.initial_node_count",
        EAST,
    ),
    (
        "topology",
        only(
            EAST,
            **pools(placement_policy={"type": "COMPACT", "tpu_topology": "4x4"}, initial_node_count=4),
            model_node_selector={"cloud.google.com/gke-tpu-topology": "4x4"},
        ),
        "model_accelerator_count",
        EAST,
    ),
    ("bounds", every(model_replicas=-1), "model_replicas", ""),
    ("bounds", only(EAST, **pools(initial_node_count=-1)), f"{FIRST}.initial_node_count", EAST),
    ("bounds", every(cluster_wait_timeout=0), "cluster_wait_timeout", ""),
    ("bounds", every(network_mtu=9000), "network_mtu", ""),
    ("bounds", every(model_port=70000), "model_port", ""),
    ("bounds", every(gateway_max_kv_cache_percent=160), "gateway_max_kv_cache_percent", ""),
    ("bounds", said(failover_hold="-1"), "failover_hold", ""),
    ("bounds", only(EAST, network_node_cidr="10.0.1.0/29", **pools(initial_node_count=3)), "network_node_cidr", EAST),
    (
        "placement",
        only(EAST, model_node_selector={"cloud.google.com/gke-tpu-accelerator": "tpu-v5p-slice"}),
        "model_node_selector",
        EAST,
    ),
    ("placement", only(EAST, model_node_selector={"tier": "gold"}), "model_node_selector", EAST),
    ("placement", only(EAST, cluster_node_pools=[]), "model_node_selector", EAST),
    ("placement", only(EAST, model_replicas=2), "model_replicas", EAST),
    ("placement", only(EAST, model_accelerator_resource="nvidia.com/gpu"), "model_accelerator_resource", EAST),
    (
        "placement",
        only(EAST, **pools(config={"taints": [{"key": "team", "value": "a", "effect": "NO_SCHEDULE"}]})),
        f"{FIRST}.config.taints",
        EAST,
    ),
    ("placement", only(EAST, model_extra_args=["--tensor-parallel-size=8"]), "model_extra_args[0]", EAST),
    ("placement", only(EAST, model_env={"PYTHONPATH": "/x"}), "model_env.PYTHONPATH", EAST),
    ("dranet", only(EAST, **pools(dranet=False)), "model_network_device_class", EAST),
    ("dranet", only(EAST, model_network_device_class="mrdma.google.com"), "model_network_device_class", EAST),
    (
        "dranet",
        only(EAST, cluster_node_pools=[pool(), pool(name="plain", config={"machine_type": "e2-standard-4"})]),
        "cluster_node_pools[1].config.machine_type",
        EAST,
    ),
    (
        "dranet",
        only(EAST, **pools(locations=["us-east5-a", "us-east5-b"])),
        f"{FIRST}.locations",
        EAST,
    ),
    ("probe", every(gateway_health_check_timeout=3), "gateway_health_check_timeout", ""),
    ("probe", every(gateway_health_check_interval=1), "gateway_health_check_interval", ""),
    ("probe", every(gateway_unhealthy_threshold=0), "gateway_unhealthy_threshold", ""),
    ("probe", every(gateway_health_check_interval=301), "gateway_health_check_interval", ""),
    ("probe", every(gateway_request_timeout=0), "gateway_request_timeout", ""),
    ("port", every(network_serving_port=8080), "network_serving_port", ""),
    ("port", every(gateway_model_port=8001), "gateway_model_port", ""),
    ("port", said(gateway_port=0), "gateway_port", ""),
    ("drill", drill(failover_primary="asia-east1"), "failover_primary", EAST),
    (
        "drill",
        drill(failover_regions=[{"region": EAST, "cluster": "c", "location": "us-east5-b", "address_name": "a"}]),
        "failover_regions",
        EAST,
    ),
    ("drill", drill(failover_objective_lost_percent=101), "failover_objective_lost_percent", ""),
    ("drill", drill(failover_objective_recovery_seconds=300), "failover_objective_recovery_seconds", ""),
    ("drill", drill(failover_rate=0), "failover_rate", ""),
    ("drill", drill(failover_stable=-5), "failover_stable", ""),
    ("drill", drill(failover_max_tokens="many"), "failover_max_tokens", ""),
    ("credentials", every(gcp_auth_kind="aplication"), "gcp_auth_kind", ""),
    ("credentials", every(gcp_auth_kind="accesstoken"), "gcp_auth_kind", ""),
    ("credentials", every(gcp_api_endpoints={"computer": "http://127.0.0.1:1"}), "gcp_api_endpoints", ""),
    ("credentials", every(model_hugging_face_token="hf_secret\r"), "model_hugging_face_token", ""),
    ("credentials", every(gcp_service_account_email=7, gcp_scopes=[{}]), "gcp_scopes[0]", ""),
]


@pytest.mark.parametrize(
    ("change", "option", "region"),
    [case[1:] for case in WRONG],
    ids=[f"{n}-{case[0]}-{case[2]}" for n, case in enumerate(WRONG, start=1)],
)
def test_a_wrong_inventory_is_refused_with_its_option(change: Change, option: str, region: str, tmp_path: Path) -> None:
    found = judge(estate(change.write(tmp_path / "inventory"), change))
    assert [(problem.option, problem.region) for problem in found] == [(option, region)], verdict(found)
    [problem] = found
    assert problem.wrong and problem.wanted
    assert "hf_secret" not in verdict(found)


def test_there_are_a_hundred_and_at_most_ten_of_a_kind() -> None:
    kinds = collections.Counter(case[0] for case in WRONG)
    assert len(WRONG) >= 100
    assert max(kinds.values()) <= 10, kinds

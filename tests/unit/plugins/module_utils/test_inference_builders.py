# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The objects of an inference pool, judged by the official schema and by the models of Kubernetes."""

from __future__ import annotations

import json
import re
import typing as t
from pathlib import Path

import jsonschema
import pytest
import yaml
from ansible_collections.aiserving.gke.plugins.module_utils._inference import builders
from kubernetes import client

Json = dict[str, t.Any]

PICKER: Json = {
    "image": "registry.k8s.io/gateway-api-inference-extension/epp:v1.5.0",
    "replicas": 1,
    "failure_mode": "FailClose",
    "resources": {"requests": {"cpu": "500m"}},
    "extra_args": ["--v=4"],
    "plugins_config": None,
}


def build(export: bool = True, **picker: t.Any) -> dict[str, Json]:
    made = builders.objects(
        "gemma",
        "serving",
        match_labels={"app": "vllm"},
        target_ports=[8000, 8001],
        picker={**PICKER, **picker},
        export=export,
    )
    return {obj["kind"]: obj for obj in made}


def test_the_pool_is_valid_by_the_official_schema(shared: Path) -> None:
    file = shared / "schemas" / "inference.networking.k8s.io_inferencepools.yaml"
    schema = yaml.safe_load(file.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    pool = build()["InferencePool"]
    jsonschema.validate(pool, schema)
    stated = schema["properties"]["spec"]["properties"]
    assert set(pool["spec"]) <= set(stated)
    assert set(pool["spec"]["endpointPickerRef"]) <= set(stated["endpointPickerRef"]["properties"])


def test_the_pool() -> None:
    made = build()["InferencePool"]
    assert made["metadata"]["annotations"] == {"networking.gke.io/export": "True"}
    assert made["spec"] == {
        "selector": {"matchLabels": {"app": "vllm"}},
        "targetPorts": [{"number": 8000}, {"number": 8001}],
        "endpointPickerRef": {
            "kind": "Service",
            "name": "gemma-epp",
            "port": {"number": 9002},
            "failureMode": "FailClose",
        },
    }
    assert "annotations" not in build(export=False)["InferencePool"]["metadata"]


@pytest.mark.parametrize("kind", ["ServiceAccount", "Role", "RoleBinding", "ConfigMap", "Deployment", "Service"])
def test_every_field_is_known_to_kubernetes(kind: str) -> None:
    obj = build(replicas=2)[kind]
    unknown = unknown_fields(obj, getattr(client, f"V1{kind}"))
    assert unknown == []
    assert obj["metadata"]["name"] == "gemma-epp"
    assert obj["metadata"]["namespace"] == "serving"


def unknown_fields(value: t.Any, model: t.Any, path: str = "") -> list[str]:
    """Fields that the kubernetes package's model of this kind does not have."""
    if isinstance(value, list):
        return [found for item in value for found in unknown_fields(item, model, path + "[]")]
    if not isinstance(value, dict) or not hasattr(model, "attribute_map"):
        return []
    found = []
    types = {model.attribute_map[name]: of for name, of in model.openapi_types.items()}
    for field, item in value.items():
        if field not in types:
            found.append(f"{path}.{field}")
            continue
        inner = re.sub(r"^[Ll]ist\[(.*)\]$", r"\1", types[field])
        found += unknown_fields(item, getattr(client, inner, None), f"{path}.{field}")
    return found


def test_the_parts_refer_to_each_other() -> None:
    made = build()
    template = made["Deployment"]["spec"]["template"]
    container = template["spec"]["containers"][0]
    labels = template["metadata"]["labels"]
    assert made["Service"]["spec"]["selector"] == made["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert template["spec"]["serviceAccountName"] == made["ServiceAccount"]["metadata"]["name"]
    assert made["RoleBinding"]["roleRef"]["name"] == made["Role"]["metadata"]["name"]
    assert template["spec"]["volumes"][0]["configMap"]["name"] == made["ConfigMap"]["metadata"]["name"]
    (config,) = made["ConfigMap"]["data"]
    assert f"--config-file={container['volumeMounts'][0]['mountPath']}/{config}" in container["args"]
    assert {port["port"] for port in made["Service"]["spec"]["ports"]} <= {
        port["containerPort"] for port in container["ports"]
    }
    assert {"--pool-name=gemma", "--pool-namespace=serving", "--pool-group=inference.networking.k8s.io"} <= set(
        container["args"]
    )
    assert container["args"][-1] == "--v=4"
    assert container["resources"] == {"requests": {"cpu": "500m"}}


def test_several_replicas_elect_a_leader() -> None:
    def election(replicas: int) -> tuple[bool, bool, str]:
        made = build(replicas=replicas)
        container = made["Deployment"]["spec"]["template"]["spec"]["containers"][0]
        leases = any("leases" in rule["resources"] for rule in made["Role"]["rules"])
        probed = container["readinessProbe"]["grpc"]["service"]
        return "--ha-enable-leader-election" in container["args"], leases, probed

    assert election(1) == (False, False, "inference-extension")
    assert election(3) == (True, True, "readiness")


def test_the_default_configuration_scores_only_with_plugins_that_it_loads() -> None:
    config = json.loads(build()["ConfigMap"]["data"][builders.CONFIG_FILE])
    loaded = {plugin["type"] for plugin in config["plugins"]}
    assert {ref["pluginRef"] for ref in config["schedulingProfiles"][0]["plugins"]} == loaded


def test_a_changed_configuration_changes_the_pods_template() -> None:
    def template(**picker: t.Any) -> Json:
        return t.cast(Json, build(**picker)["Deployment"]["spec"]["template"])

    assert template() == template()
    assert template() != template(plugins_config={"kind": "EndpointPickerConfig"})

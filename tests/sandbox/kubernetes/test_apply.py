# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Server-side apply: the stories of Kubernetes' documentation, told with dicts."""

from __future__ import annotations

import copy
import typing as t

import pytest

from sandbox.kubernetes import fields
from sandbox.kubernetes.apply import server_side_apply, track_update
from sandbox.kubernetes.errors import ApiStatus
from sandbox.kubernetes.schema import Schema, builtin_schema, from_openapi

Json = dict[str, t.Any]

NGINX_PORT = 'k:{"containerPort":80,"protocol":"TCP"}'


def schema_of(group: str, kind: str) -> Schema:
    found = builtin_schema(group, "v1", kind)
    if found is None:
        pytest.fail(f"no schema of {kind}")
    return found


DEPLOYMENT = schema_of("apps", "Deployment")
CONFIG_MAP = schema_of("", "ConfigMap")


def apply(
    live: Json | None,
    config: Json,
    manager: str = "one",
    *,
    force: bool = False,
    now: str = "T1",
    schema: Schema = DEPLOYMENT,
) -> Json:
    return server_side_apply(live, config, manager=manager, force=force, schema=schema, now=now)


def update(live: Json | None, new: Json, manager: str = "kubectl", *, now: str = "T2", sub: str = "") -> Json:
    return track_update(live, new, manager=manager, schema=DEPLOYMENT, subresource=sub, now=now)


def deployment(*containers: Json, **spec: t.Any) -> Json:
    pod: Json = {"containers": list(containers)} if containers else {}
    template = {"metadata": {"labels": {"app": "nginx"}}, **({"spec": pod} if pod else {})}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "nginx", "namespace": "web", "labels": {"app": "nginx"}},
        "spec": {"selector": {"matchLabels": {"app": "nginx"}}, "template": template, **spec},
    }


def config_map(data: Json, **labels: str) -> Json:
    metadata = {"name": "c", "namespace": "web", **({"labels": labels} if labels else {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def entry(obj: Json, manager: str, operation: str = "Apply", sub: str = "") -> Json:
    rows = obj["metadata"].get("managedFields", [])
    key = (manager, operation, sub)
    found = [row for row in rows if (row["manager"], row["operation"], row.get("subresource", "")) == key]
    if len(found) != 1:
        pytest.fail(f"{len(found)} entries of {key} in {rows}")
    return t.cast(Json, found[0])


def changed(obj: Json, **spec: t.Any) -> Json:
    new = copy.deepcopy(obj)
    new["spec"].update(spec)
    return new


CONTAINER = {"name": "nginx", "image": "nginx:1", "ports": [{"containerPort": 80}]}


def test_creating_owns_exactly_what_is_stated() -> None:
    created = apply(None, deployment(CONTAINER, replicas=3))
    assert created["metadata"]["managedFields"] == [
        {
            "manager": "one",
            "operation": "Apply",
            "apiVersion": "apps/v1",
            "time": "T1",
            "fieldsType": "FieldsV1",
            "fieldsV1": {
                "f:metadata": {"f:labels": {"f:app": {}}},
                "f:spec": {
                    "f:replicas": {},
                    "f:selector": {},
                    "f:template": {
                        "f:metadata": {"f:labels": {"f:app": {}}},
                        "f:spec": {
                            "f:containers": {
                                'k:{"name":"nginx"}': {
                                    ".": {},
                                    "f:image": {},
                                    "f:name": {},
                                    "f:ports": {NGINX_PORT: {".": {}, "f:containerPort": {}}},
                                }
                            }
                        },
                    },
                },
            },
        }
    ]


def test_applying_the_same_again_changes_nothing() -> None:
    created = apply(None, deployment(CONTAINER, replicas=3))
    stored = DEPLOYMENT.default(changed(created, revisionHistoryLimit=10))
    assert apply(stored, deployment(CONTAINER, replicas=3), now="T9") == stored


def test_quantities_that_mean_the_same_are_no_change() -> None:
    def limited(cpu: t.Any) -> Json:
        return deployment({**CONTAINER, "resources": {"limits": {"cpu": cpu, "google.com/tpu": 4}}})

    created = apply(None, limited("1000m"))
    assert created["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"] == {
        "cpu": "1",
        "google.com/tpu": "4",
    }
    assert apply(created, limited(1), now="T9") == created


def test_changing_a_field_of_ones_own_moves_the_time() -> None:
    created = apply(None, deployment(CONTAINER, replicas=3))
    new = apply(created, deployment(CONTAINER, replicas=4), now="T2")
    assert new["spec"]["replicas"] == 4
    assert entry(new, "one")["time"] == "T2"


def test_scaling_by_another_takes_the_field_and_then_conflicts() -> None:
    created = apply(None, deployment(CONTAINER, replicas=3))
    scaled = update(created, changed(created, replicas=5), sub="scale")
    assert entry(scaled, "kubectl", "Update", "scale")["fieldsV1"] == {"f:spec": {"f:replicas": {}}}
    assert "f:replicas" not in entry(scaled, "one")["fieldsV1"]["f:spec"]

    with pytest.raises(ApiStatus) as refusal:
        apply(scaled, deployment(CONTAINER, replicas=3))
    assert (refusal.value.code, refusal.value.reason) == (409, "Conflict")
    conflict = 'conflict with "kubectl" with subresource "scale" using apps/v1'
    assert refusal.value.message == f"Apply failed with 1 conflict: {conflict}: .spec.replicas"
    causes = [{"reason": "FieldManagerConflict", "message": conflict, "field": ".spec.replicas"}]
    assert refusal.value.details == {"causes": causes}
    assert refusal.value.body()["details"]["causes"] == causes


def test_agreeing_with_the_other_shares_the_field() -> None:
    created = apply(None, deployment(CONTAINER, replicas=3))
    scaled = update(created, changed(created, replicas=5))
    both = apply(scaled, deployment(CONTAINER, replicas=5), now="T3")
    assert entry(both, "one")["fieldsV1"]["f:spec"]["f:replicas"] == {}
    assert entry(both, "kubectl", "Update")["fieldsV1"] == {"f:spec": {"f:replicas": {}}}


def test_force_takes_the_field_from_the_other() -> None:
    created = apply(None, deployment(CONTAINER, replicas=3))
    scaled = update(created, changed(created, replicas=5))
    forced = apply(scaled, deployment(CONTAINER, replicas=3), force=True, now="T3")
    assert forced["spec"]["replicas"] == 3
    assert [row["manager"] for row in forced["metadata"]["managedFields"]] == ["one"]


def test_giving_a_shared_field_up_leaves_it_to_the_other() -> None:
    """The documented way to hand replicas over to an autoscaler."""
    created = apply(None, deployment(CONTAINER, replicas=3))
    shared = apply(created, deployment(replicas=3), "hpa", now="T2")
    handed = apply(shared, deployment(CONTAINER), now="T3")
    assert handed["spec"]["replicas"] == 3
    assert "f:replicas" not in entry(handed, "one")["fieldsV1"]["f:spec"]
    assert entry(handed, "hpa")["fieldsV1"]["f:spec"]["f:replicas"] == {}


def test_giving_an_own_field_up_removes_it() -> None:
    created = apply(None, deployment(CONTAINER, replicas=3, minReadySeconds=5))
    new = apply(created, deployment(CONTAINER, replicas=3), now="T2")
    assert "minReadySeconds" not in new["spec"]


def test_a_struct_goes_with_the_last_field_that_its_owner_gave_up() -> None:
    probe = {"httpGet": {"port": 80}}
    created = apply(None, deployment({**CONTAINER, "readinessProbe": probe}))
    container = created["spec"]["template"]["spec"]["containers"][0]
    container["readinessProbe"]["periodSeconds"] = 10  # a default of the server's, which nobody owns
    new = apply(created, deployment(CONTAINER), now="T2")
    assert "readinessProbe" not in new["spec"]["template"]["spec"]["containers"][0]


def test_several_conflicts_are_listed_by_manager() -> None:
    created = apply(None, deployment(CONTAINER, replicas=3))
    once = update(created, changed(created, replicas=5))
    pod = copy.deepcopy(once["spec"]["template"])
    pod["spec"]["containers"][0]["image"] = "nginx:2"
    twice = update(once, changed(once, template=pod), "editor", now="T3")
    with pytest.raises(ApiStatus) as refusal:
        apply(twice, deployment({**CONTAINER, "image": "nginx:3"}, replicas=4))
    assert refusal.value.message == (
        "Apply failed with 2 conflicts: "
        'conflicts with "editor" using apps/v1:\n- .spec.template.spec.containers[name="nginx"].image\n'
        'conflicts with "kubectl" using apps/v1:\n- .spec.replicas'
    )


def test_an_applier_is_named_without_its_version() -> None:
    created = apply(None, deployment(CONTAINER, replicas=3))
    with pytest.raises(ApiStatus, match='conflict with "one": .spec.replicas'):
        apply(created, deployment(CONTAINER, replicas=4), "two")


def test_items_of_a_keyed_list_belong_to_those_who_state_them() -> None:
    sidecar = {"name": "sidecar", "image": "s:1"}
    created = apply(None, deployment(CONTAINER))
    both = apply(created, deployment(sidecar), "two", now="T2")
    names = [one["name"] for one in both["spec"]["template"]["spec"]["containers"]]
    assert names == ["nginx", "sidecar"]
    without = apply(both, {**deployment(), "spec": {"replicas": 1}}, "two", now="T3")
    assert [one["name"] for one in without["spec"]["template"]["spec"]["containers"]] == ["nginx"]


def test_an_item_stays_while_another_states_it() -> None:
    created = apply(None, deployment({**CONTAINER, "tty": True}))
    shared = apply(created, deployment({"name": "nginx", "image": "nginx:1"}), "two", now="T2")
    left = apply(shared, deployment(), now="T3")
    assert left["spec"]["template"]["spec"]["containers"] == [{"name": "nginx", "image": "nginx:1"}]


def test_the_protocol_is_part_of_a_ports_key() -> None:
    ports = [{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53, "name": "tcp"}]
    created = apply(None, deployment({**CONTAINER, "ports": ports}))
    assert len(created["spec"]["template"]["spec"]["containers"][0]["ports"]) == 2
    one = apply(created, deployment({**CONTAINER, "ports": ports[1:]}), now="T2")
    kept = one["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert kept == [{"containerPort": 53, "name": "tcp", "protocol": "TCP"}]


def test_a_set_holds_the_items_of_all_managers() -> None:
    def finalized(*names: str) -> Json:
        config = config_map({})
        config["metadata"]["finalizers"] = list(names)
        return config

    created = apply(None, finalized("a.io/x", "b.io/y"), schema=CONFIG_MAP)
    both = apply(created, finalized("b.io/y", "c.io/z"), "two", schema=CONFIG_MAP)
    assert both["metadata"]["finalizers"] == ["a.io/x", "b.io/y", "c.io/z"]
    left = apply(both, finalized(), schema=CONFIG_MAP)
    assert left["metadata"]["finalizers"] == ["b.io/y", "c.io/z"]


def test_an_atomic_list_is_one_field() -> None:
    tolerant = {"spec": {"tolerations": [{"key": "a"}]}}
    created = apply(None, deployment(CONTAINER))
    pod = copy.deepcopy(created["spec"]["template"])
    pod["spec"]["tolerations"] = [{"key": "b"}]
    other = update(created, changed(created, template=pod))
    assert entry(other, "kubectl", "Update")["fieldsV1"] == {
        "f:spec": {"f:template": {"f:spec": {"f:tolerations": {}}}}
    }
    config = deployment(CONTAINER)
    config["spec"]["template"]["spec"].update(tolerant["spec"])
    with pytest.raises(ApiStatus, match=r"\.spec\.template\.spec\.tolerations$"):
        apply(other, config)
    forced = apply(other, config, force=True)
    assert forced["spec"]["template"]["spec"]["tolerations"] == [{"key": "a"}]


def test_a_maps_keys_are_owned_one_by_one() -> None:
    created = apply(None, config_map({"a": "1"}, team="x"), schema=CONFIG_MAP)
    both = apply(created, config_map({"b": "2"}), "two", schema=CONFIG_MAP)
    assert both["data"] == {"a": "1", "b": "2"}
    left = apply(both, config_map({}), schema=CONFIG_MAP)
    assert left["data"] == {"b": "2"}
    assert "labels" not in left["metadata"]


def test_creating_by_another_way_records_an_update() -> None:
    created = update(None, deployment(CONTAINER, replicas=3, strategy={"rollingUpdate": {"maxSurge": 1}}))
    row = entry(created, "kubectl", "Update")
    assert row["fieldsV1"]["f:metadata"] == {"f:labels": {".": {}, "f:app": {}}}
    container = row["fieldsV1"]["f:spec"]["f:template"]["f:spec"]["f:containers"]['k:{"name":"nginx"}']
    assert container["."] == {}
    assert set(container) == {".", "f:image", "f:name", "f:ports"}


def test_an_update_that_changes_nothing_owns_nothing() -> None:
    created = apply(None, deployment(CONTAINER, replicas=3))
    assert update(created, copy.deepcopy(created)) == created


def test_updates_of_one_manager_are_one_entry() -> None:
    created = update(None, deployment(CONTAINER, replicas=3), now="T1")
    new = update(created, changed(created, replicas=4), now="T2")
    assert len(new["metadata"]["managedFields"]) == 1
    assert entry(new, "kubectl", "Update")["time"] == "T2"
    same = update(new, copy.deepcopy(new), now="T3")
    assert entry(same, "kubectl", "Update")["time"] == "T2"


def test_what_an_update_removes_nobody_owns() -> None:
    created = apply(None, deployment(CONTAINER, replicas=3, minReadySeconds=5))
    new = copy.deepcopy(created)
    del new["spec"]["minReadySeconds"]
    left = update(created, new)
    assert "f:minReadySeconds" not in entry(left, "one")["fieldsV1"]["f:spec"]
    assert [row["manager"] for row in left["metadata"]["managedFields"]] == ["one"]


def test_what_an_update_removes_of_its_own_is_gone_too() -> None:
    created = update(None, deployment(CONTAINER, replicas=3, minReadySeconds=5))
    new = copy.deepcopy(created)
    del new["spec"]["minReadySeconds"]
    row = entry(update(created, new, now="T3"), "kubectl", "Update")
    assert "f:minReadySeconds" not in row["fieldsV1"]["f:spec"]
    assert row["time"] == "T2"


def test_empty_values_are_owned() -> None:
    config = deployment(CONTAINER, replicas=0)
    config["spec"]["template"]["spec"]["volumes"] = [{"name": "v", "emptyDir": {}}]
    owned = entry(apply(None, config), "one")["fieldsV1"]["f:spec"]
    volumes = owned["f:template"]["f:spec"]["f:volumes"]
    assert volumes == {'k:{"name":"v"}': {".": {}, "f:emptyDir": {}, "f:name": {}}}
    assert owned["f:replicas"] == {}


def test_an_applier_keeps_its_entry_across_versions_and_an_updater_does_not() -> None:
    older = {"apiVersion": "apps/v1beta1"}
    applied = apply(apply(None, deployment(CONTAINER, replicas=3) | older), deployment(CONTAINER, replicas=3))
    assert [row["apiVersion"] for row in applied["metadata"]["managedFields"]] == ["apps/v1"]
    created = update(None, deployment(CONTAINER, replicas=3) | older)
    new = update(created, changed(created, replicas=4) | {"apiVersion": "apps/v1"})
    assert [row["apiVersion"] for row in new["metadata"]["managedFields"]] == ["apps/v1", "apps/v1beta1"]


def test_a_status_written_by_a_controller_is_its_own_entry() -> None:
    created = apply(None, deployment(CONTAINER))
    status = {"conditions": [{"type": "Available", "status": "True"}], "replicas": 1}
    new = update(created, {**created, "status": status}, "controller", sub="status")
    assert entry(new, "controller", "Update", "status")["fieldsV1"] == {
        "f:status": {
            "f:conditions": {".": {}, 'k:{"type":"Available"}': {".": {}, "f:status": {}, "f:type": {}}},
            "f:replicas": {},
        }
    }


def test_entries_stand_in_kubernetes_order() -> None:
    created = update(None, deployment(CONTAINER, replicas=3), "zed", now="T1")
    new = apply(created, {**deployment(), "spec": {"replicas": 3}}, "one", now="T3")
    last = update(new, changed(new, minReadySeconds=1), "abe", now="T2")
    assert [row["manager"] for row in last["metadata"]["managedFields"]] == ["one", "zed", "abe"]


def test_objects_from_before_apply_belong_to_a_manager_of_that_name() -> None:
    old = deployment(CONTAINER, replicas=3)
    with pytest.raises(ApiStatus, match='conflict with "before-first-apply" using apps/v1: .spec.replicas'):
        apply(old, deployment(CONTAINER, replicas=4))


def test_managed_fields_can_be_reset() -> None:
    created = apply(None, deployment(CONTAINER, replicas=3))
    new = copy.deepcopy(created)
    new["metadata"]["managedFields"] = [{}]
    assert "managedFields" not in update(created, new)["metadata"]


def test_the_arguments_stay_as_they_were() -> None:
    created = apply(None, deployment(CONTAINER, replicas=3))
    scaled = update(created, changed(created, replicas=5))
    config = deployment(CONTAINER, replicas=3)
    before = copy.deepcopy((scaled, config))
    apply(scaled, config, force=True)
    assert (scaled, config) == before


@pytest.mark.parametrize(
    ("containers", "problem"),
    [
        ([CONTAINER, CONTAINER], r'\.spec\.template\.spec\.containers: duplicate entries for key \[name="nginx"\]'),
        (
            [{"name": "a", "imagee": "x"}],
            r'\.spec\.template\.spec\.containers\[name="a"\]\.imagee: field not declared in schema$',
        ),
        ([{"image": "x"}], r'\.spec\.template\.spec\.containers: element 0: .* key field "name"'),
    ],
)
def test_a_configuration_that_cannot_be_merged_is_refused(containers: list[Json], problem: str) -> None:
    with pytest.raises(ApiStatus, match=problem) as refusal:
        apply(None, deployment(*containers))
    assert refusal.value.code == 500
    assert "reason" not in refusal.value.body()
    assert "web/nginx; apps/v1, Kind=Deployment" in refusal.value.message


def test_custom_resources_merge_as_their_schema_says() -> None:
    listeners = {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": {"type": "object", "properties": {"name": {"type": "string"}, "port": {"type": "integer"}}},
    }
    rules = {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"weight": {"type": "integer", "default": 1}, "to": {"type": "string"}},
        },
    }
    spec = {"type": "object", "properties": {"listeners": listeners, "rules": rules}}
    schema = from_openapi({"type": "object", "properties": {"spec": spec}})

    def thing(**values: t.Any) -> Json:
        return {"apiVersion": "x.io/v1", "kind": "Thing", "metadata": {"name": "t"}, "spec": values}

    created = apply(None, thing(listeners=[{"name": "a", "port": 1}], rules=[{"to": "x"}]), schema=schema)
    assert created["spec"]["rules"] == [{"to": "x", "weight": 1}]
    again = apply(created, thing(listeners=[{"name": "a", "port": 1}], rules=[{"to": "x"}]), now="T9", schema=schema)
    assert again == created
    more = apply(created, thing(listeners=[{"name": "b", "port": 2}]), "two", schema=schema)
    assert [one["name"] for one in more["spec"]["listeners"]] == ["a", "b"]
    with pytest.raises(ApiStatus, match=r'conflict with "one": \.spec\.rules'):
        apply(created, thing(rules=[{"to": "y"}]), "two", schema=schema)


ORDERS = [
    ("ab", "ba", "ba"),
    ("abc", "b", "abc"),
    ("abc", "cx", "abcx"),
    ("", "ab", "ab"),
    ("a", "b", "ab"),
    ("ab", "xa", "xab"),
]


@pytest.mark.parametrize(("live", "config", "wanted"), ORDERS)
def test_items_take_the_order_of_who_applies(live: str, config: str, wanted: str) -> None:
    def thing(names: str) -> Json:
        return deployment(*({"name": name, "image": "i"} for name in names))

    before = apply(None, thing(live), "other")
    after = apply(before, thing(config))
    assert "".join(one["name"] for one in after["spec"]["template"]["spec"]["containers"]) == wanted


FIELD_SETS: list[Json] = [
    {"f:a": {}},
    {"f:a": {".": {}, "f:b": {}}},
    {"f:a": {'k:{"name":"x"}': {".": {}, "f:name": {}}, 'v:"y"': {}}},
]


@pytest.mark.parametrize("document", FIELD_SETS)
def test_fields_survive_decoding_and_encoding(document: Json) -> None:
    assert fields.encode(fields.decode(document)) == document

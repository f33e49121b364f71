# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who owns the replicas after what, step by step as kube-apiserver 1.34.9 answered the same requests."""

from __future__ import annotations

import typing as t

import pytest

Json = dict[str, t.Any]
Owner = tuple[str, str, str]  # manager, operation, subresource

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"

ME: Owner = ("me", "Apply", "")
SCALED: Owner = ("me", "Update", "scale")


class Web:
    """One Deployment and what is done to it."""

    def __init__(self, raw: t.Any, namespace: str) -> None:
        self._raw = raw
        self._path = f"/apis/apps/v1/namespaces/{namespace}/deployments"

    def body(self, replicas: int) -> Json:
        template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "m", "image": "x"}]}}
        spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template}
        return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}

    def post(self, manager: str, replicas: int) -> int:
        return self._status("POST", f"?fieldManager={manager}", self.body(replicas))

    def apply(self, manager: str, replicas: int) -> int:
        return self._status("PATCH", f"/web?fieldManager={manager}", self.body(replicas), APPLY)

    def scale(self, manager: str, replicas: int | None, content: str = MERGE) -> int:
        patch: t.Any = {"spec": {"replicas": replicas}}
        if content == JSON_PATCH:
            patch = [{"op": "add", "path": "/spec/replicas", "value": replicas}]
        return self._status("PATCH", f"/web/scale?fieldManager={manager}", patch, content)

    def put(self, manager: str, replicas: int) -> int:
        scale = {"metadata": {"name": "web"}, "spec": {"replicas": replicas}}
        return self._status("PUT", f"/web/scale?fieldManager={manager}", scale)

    def apply_scale(self, manager: str, spec: Json, force: str = "false") -> int:
        scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web"}, "spec": spec}
        return self._status("PATCH", f"/web/scale?fieldManager={manager}&force={force}", scale, APPLY)

    def patch(self, manager: str, replicas: int) -> int:
        return self._status("PATCH", f"/web?fieldManager={manager}", {"spec": {"replicas": replicas}}, MERGE)

    def live(self) -> Json:
        return t.cast(Json, self._raw("GET", self._path + "/web").json())

    def owners(self) -> set[Owner]:
        rows = self.live()["metadata"].get("managedFields", [])
        owning = [row for row in rows if "f:replicas" in row["fieldsV1"].get("f:spec", {})]
        assert all("time" not in row for row in owning if row.get("subresource") == "scale"), owning
        return {(row["manager"], row["operation"], row.get("subresource", "")) for row in owning}

    def _status(self, method: str, path: str, body: t.Any, content: str = "application/json") -> int:
        return int(self._raw(method, self._path + path, body, content).status)


@pytest.fixture
def web(raw: t.Any, namespace: str) -> Web:
    return Web(raw, namespace)


# The steps of each case: call, its arguments, the code of the answer, then who owns the replicas.
Step = tuple[str, tuple[t.Any, ...], int, set[Owner]]
CASES: dict[str, list[Step]] = {
    "to nothing and back": [
        ("apply", ("me", 2), 201, {ME}),
        ("scale", ("me", 0), 200, set()),  # Scale leaves out a zero: the field is gone, and so are its owners
        ("scale", ("me", 2), 200, set()),  # what nobody owns is not tracked
        ("apply", ("me", 2), 200, {ME}),
    ],
    "down and back": [
        ("apply", ("me", 2), 201, {ME}),
        ("scale", ("me", 1), 200, {SCALED}),
        ("scale", ("me", 2), 200, {SCALED}),
        ("apply", ("me", 2), 200, {ME, SCALED}),
        ("scale", ("me", 2), 200, {ME, SCALED}),
        ("scale", ("me", 1), 200, {SCALED}),
        ("apply", ("me", 2), 409, {SCALED}),
    ],
    "by somebody else": [
        ("apply", ("me", 2), 201, {ME}),
        ("scale", ("kubectl", 5), 200, {("kubectl", "Update", "scale")}),
        ("apply", ("me", 2), 409, {("kubectl", "Update", "scale")}),
        ("scale", ("kubectl", 0), 200, set()),
        ("apply", ("me", 2), 200, {ME}),
    ],
    "put, strategic patch, JSON patch, null": [
        ("apply", ("me", 2), 201, {ME}),
        ("put", ("putter", 6), 200, {("putter", "Update", "scale")}),
        ("scale", ("other", 3, STRATEGIC), 200, {("other", "Update", "scale")}),
        ("scale", ("third", 4, JSON_PATCH), 200, {("third", "Update", "scale")}),
        ("scale", ("third", None), 200, set()),
        ("put", ("putter", 7), 200, set()),
    ],
    "applied to the Scale": [
        ("apply", ("me", 2), 201, {ME}),
        ("apply_scale", ("hpa", {"replicas": 4}), 409, {ME}),
        ("apply_scale", ("hpa", {"replicas": 2}), 200, {ME, ("hpa", "Apply", "scale")}),
        ("apply_scale", ("hpa", {"replicas": 4}, "true"), 200, {("hpa", "Apply", "scale")}),
        ("apply_scale", ("hpa", {"replicas": 0}), 200, {("hpa", "Apply", "scale")}),
        ("apply", ("me", 2), 409, {("hpa", "Apply", "scale")}),
        ("apply_scale", ("hpa", {}), 200, {("hpa", "Apply", "scale")}),
        ("apply_scale", ("me", {"replicas": 3}, "true"), 200, {("me", "Apply", "scale")}),
    ],
    "applied to the Scale where nobody owns the replicas": [
        ("apply", ("me", 2), 201, {ME}),
        ("scale", ("me", 0), 200, set()),
        ("apply_scale", ("hpa", {"replicas": 4}), 200, {("hpa", "Apply", "scale")}),
    ],
    "made by an update": [
        ("post", ("kubectl", 2), 201, {("kubectl", "Update", "")}),
        ("scale", ("kubectl", 3), 200, {("kubectl", "Update", "scale")}),
    ],
    "the object itself": [
        ("apply", ("me", 2), 201, {ME}),
        ("patch", ("me", 0), 200, {("me", "Update", "")}),
        ("patch", ("me", 2), 200, {("me", "Update", "")}),
    ],
}


@pytest.mark.parametrize("steps", CASES.values(), ids=CASES)
def test_owners(web: Web, steps: list[Step]) -> None:
    for number, (call, arguments, code, owners) in enumerate(steps):
        assert (number, getattr(web, call)(*arguments)) == (number, code)
        assert (number, web.owners()) == (number, owners)


def test_a_write_that_changes_nothing_splits_the_entry_of_an_update(web: Web) -> None:
    """To the Scale, who writes an update is another, by its API version; of two entries of one, the last counts."""
    web.post("kubectl", 2)
    assert web.scale("other", 2) == 200
    rows = web.live()["metadata"]["managedFields"]
    assert [(row["manager"], "time" in row, "f:replicas" in row["fieldsV1"]["f:spec"]) for row in rows] == [
        ("kubectl", False, True),
        ("kubectl", True, False),
    ]
    web.scale("other", 3)
    assert web.owners() == set()


def test_of_an_object_without_owners_writes_are_not_tracked_until_it_is_applied(web: Web, raw: t.Any) -> None:
    web.post("kubectl", 2)
    path = web._path + "/web?fieldManager=other"
    raw("PATCH", path, {"metadata": {"managedFields": [{}]}}, MERGE)
    raw("PATCH", path, {"spec": {"replicas": 3}}, MERGE)
    assert "managedFields" not in web.live()["metadata"]
    assert web.apply("me", 3) == 200
    assert web.owners() == {ME, ("before-first-apply", "Update", "")}


def test_a_scale_to_nothing_has_an_empty_spec_and_the_same_again_is_no_write(web: Web, raw: t.Any) -> None:
    web.apply("me", 0)
    scale = raw("GET", web._path + "/web/scale").json()
    assert (scale["spec"], scale["status"]["replicas"]) == ({}, 0)
    version = web.live()["metadata"]["resourceVersion"]
    web.scale("me", 0)
    assert web.live()["metadata"]["resourceVersion"] == version


def test_refusals(web: Web, raw: t.Any) -> None:
    web.apply("me", 2)
    scale = f"{web._path}/web/scale?fieldManager=me"
    negative = raw("PATCH", scale, {"spec": {"replicas": -1}}, MERGE).json()
    assert negative["message"].startswith('Scale.autoscaling "web" is invalid: spec.replicas: Invalid value: -1')
    assert raw("PATCH", scale + "&fieldValidation=Strict", {"spec": {"replica": 1}}, MERGE).status == 422
    assert raw("PATCH", scale, web.body(2), APPLY).json()["message"] == "invalid object type: apps/v1, Kind=Deployment"
    stale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"resourceVersion": "1"}}
    assert raw("PATCH", scale, {**stale, "spec": {"replicas": 2}}, APPLY).json()["reason"] == "Conflict"

# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""google-cloud-gke-hub: a cluster joins a fleet and its features through every method of the client."""

from __future__ import annotations

import dataclasses
import importlib
import re
import typing as t
from collections.abc import Iterator

import pytest
from google.api_core import exceptions

from tests.truth.driving import DEADLINE, Json, Reached, Step, drive, methods, until, untried
from tests.truth.table import Note
from tests.truth.test_container_client import CLUSTER, Gke, gke

__all__ = ["gke"]

pytestmark = pytest.mark.judges("gkehub", "container")

JUDGE = "google-cloud-gke-hub"


@dataclasses.dataclass(frozen=True)
class Hub:
    api: t.Any
    package: t.Any
    parent: str
    cluster: str

    @property
    def member(self) -> str:
        return f"{self.parent}/memberships/python"

    @property
    def fleet(self) -> str:
        return f"{self.parent}/fleets/default"

    def feature(self, name: str) -> str:
        return f"{self.parent}/features/{name}"


@pytest.fixture(scope="module")
def hub(enabled: Json, gke: Gke) -> Iterator[Hub]:
    """With a cluster that is in no fleet."""
    package = importlib.import_module("google.cloud.gkehub_v1")
    rest = importlib.import_module("google.cloud.gkehub_v1.services.gke_hub.transports.rest")
    reached = Reached.of(enabled)
    transport = rest.GkeHubRestTransport(
        host=f"{reached.host}/gkehub", credentials=reached.credentials, url_scheme="http"
    )
    gke.done(gke.api.create_cluster(parent=gke.parent, cluster=CLUSTER))
    parent = f"projects/{reached.project}/locations/global"
    yield Hub(package.GkeHubClient(transport=transport), package, parent, gke.cluster)
    gke.done(gke.api.delete_cluster(name=gke.cluster))


def create_membership(hub: Hub) -> t.Any:
    member = hub.package.Membership(
        endpoint={"gke_cluster": {"resource_link": f"//container.googleapis.com/{hub.cluster}"}},
        authority={"issuer": f"https://container.googleapis.com/v1/{hub.cluster}"},
    )
    started = hub.api.create_membership(parent=hub.parent, membership_id="python", resource=member)
    return started.result(timeout=DEADLINE)


def update_membership(hub: Hub) -> t.Any:
    wanted = hub.package.Membership(labels={"team": "serving"})
    return hub.api.update_membership(name=hub.member, update_mask={"paths": ["labels"]}, resource=wanted).result(
        timeout=DEADLINE
    )


def create_features(hub: Hub) -> t.Any:
    spec = {"multiclusteringress": {"config_membership": hub.member}}
    for name, body in (("multiclusterservicediscovery", {}), ("multiclusteringress", {"spec": spec})):
        started = hub.api.create_feature(parent=hub.parent, feature_id=name, resource=hub.package.Feature(body))
        created = started.result(timeout=DEADLINE)
    return created


def update_feature(hub: Hub) -> t.Any:
    wanted = hub.package.Feature(labels={"team": "serving"})
    return hub.api.update_feature(
        name=hub.feature("multiclusteringress"), update_mask={"paths": ["labels"]}, resource=wanted
    ).result(timeout=DEADLINE)


def delete_features(hub: Hub) -> None:
    for name in ("multiclusteringress", "multiclusterservicediscovery"):
        hub.api.delete_feature(name=hub.feature(name)).result(timeout=DEADLINE)


def delete_membership(hub: Hub) -> None:
    hub.api.delete_membership(name=hub.member).result(timeout=DEADLINE)
    with pytest.raises(exceptions.NotFound):
        hub.api.get_membership(name=hub.member)


def update_fleet(hub: Hub) -> t.Any:
    wanted = hub.package.Fleet(name=hub.fleet, display_name="serving")
    started = hub.api.update_fleet(fleet=wanted, update_mask={"paths": ["display_name"]})
    return started.result(timeout=DEADLINE)


def create_fleet(hub: Hub) -> t.Any:
    started = hub.api.create_fleet(parent=hub.parent, fleet=hub.package.Fleet(display_name="again"))
    return started.result(timeout=DEADLINE)


def delete_fleet(hub: Hub) -> None:
    hub.api.delete_fleet(name=hub.fleet).result(timeout=DEADLINE)


STEPS = (
    Step("list_memberships", lambda hub: list(hub.api.list_memberships(parent=hub.parent)), lambda found: not found),
    Step("create_membership", create_membership, lambda made: made.state.code.name == "READY"),
    Step("get_membership", lambda hub: hub.api.get_membership(name=hub.member), lambda live: live.endpoint.gke_cluster),
    Step("update_membership", update_membership, lambda live: live.labels == {"team": "serving"}),
    Step("get_fleet", lambda hub: hub.api.get_fleet(name=hub.fleet), lambda live: live.state.code.name == "READY"),
    Step("list_fleets", lambda hub: list(hub.api.list_fleets(parent=hub.parent)), lambda found: len(found) == 1),
    Step("update_fleet", update_fleet, lambda live: live.display_name == "serving"),
    Step("generate_connect_manifest", lambda hub: hub.api.generate_connect_manifest(request={"name": hub.member})),
    Step("create_feature", create_features, lambda made: made.resource_state.state.name == "ACTIVE"),
    Step(
        "get_feature",
        lambda hub: until(
            lambda: hub.api.get_feature(name=hub.feature("multiclusteringress")), lambda live: live.membership_states
        ),
    ),
    Step("list_features", lambda hub: list(hub.api.list_features(parent=hub.parent)), lambda found: len(found) == 2),
    Step("update_feature", update_feature, lambda live: live.labels == {"team": "serving"}),
    Step("delete_feature", delete_features),
    Step("delete_membership", delete_membership),
    Step("delete_fleet", delete_fleet),
    Step("create_fleet", create_fleet, lambda made: made.display_name == "again"),
    Step("delete_fleet", delete_fleet),
)
TEAMS = "scopes and their bindings are of teams that share a fleet, not of the chain"


@pytest.mark.parametrize("step", STEPS, ids=[step.method for step in STEPS])
def test_a_method(step: Step, hub: Hub, note: Note) -> None:
    drive(JUDGE, hub.package.GkeHubClient, step, hub, note)


def test_all_methods_are_counted(hub: Hub, note: Note) -> None:
    client, tried = hub.package.GkeHubClient, {step.method for step in STEPS}
    names = methods(client)
    teams = {name: TEAMS for name in names if name not in tried and re.search("scope|binding|bound", name)}
    untried(JUDGE, client, names, tried, teams, note)

# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fleets, memberships and features that gkehub refuses."""

from __future__ import annotations

import typing as t
from zlib import crc32

from tests.truth.mistakes import Json, Mistake, Step
from tests.truth.mistakes.container_pools import GITHUB, seen, where

HUB = "gkehub/v1/projects/{project}/locations"
MEMBERSHIPS = f"{HUB}/global/memberships"
INGRESS = f"{HUB}/global/features?featureId=multiclusteringress"
DISCOVERY = "https://gkehub.googleapis.com/$discovery/rest?version=v1"
PLACES = "https://cloud.google.com/kubernetes-engine/fleet-management/docs/create-fleet#membership_locations"
BAD = (400, "INVALID_ARGUMENT", "")
BEFORE = (400, "FAILED_PRECONDITION", "")
ABSENT = (404, "NOT_FOUND", "")


def link(name: str, location: str = "us-east5-a", project: str = "{project}") -> Json:
    resource = f"//container.googleapis.com/projects/{project}/locations/{location}/clusters/{name}"
    return {"endpoint": {"gkeCluster": {"resourceLink": resource}}}


def made(name: str) -> Step:
    """A cluster for a mistake of this name."""
    return ("POST", where("us-east5-a"), {"cluster": {"name": short(name), "initialNodeCount": 1}})


def short(name: str) -> str:
    return f"m-{crc32(name.encode()):x}"


def refused(
    name: str, kind: str, source: str, message: str, *steps: Step, answer: tuple[int, str, str] = BAD
) -> Mistake:
    return Mistake(name, kind, source, steps, *answer, message)


def member(
    name: str,
    kind: str,
    source: str,
    message: str,
    *,
    path: str = "",
    answer: tuple[int, str, str] = BAD,
    **stated: t.Any,
) -> Mistake:
    """A cluster that is made, and its membership that is refused."""
    body = {**link(short(name)), **stated}
    place = path or f"{MEMBERSHIPS}?membershipId={short(name)}"
    return refused(name, kind, source, message, made(name), ("POST", place, body), answer=answer)


def joined(name: str) -> tuple[Step, ...]:
    """A cluster and its membership."""
    return made(name), ("POST", f"{MEMBERSHIPS}?membershipId={short(name)}", link(short(name)))


def config(name: str) -> Json:
    return {"spec": {"multiclusteringress": {"configMembership": name}}}


ELSEWHERE = "a config membership in another location"
FEATURES = (
    refused(
        "ingress without a config membership",
        "config membership",
        "https://cloud.google.com/kubernetes-engine/docs/how-to/enabling-multi-cluster-gateways",
        r"^InvalidValueError for field config_membership: ",
        ("POST", INGRESS, {}),
    ),
    refused(
        "ingress with an empty config membership",
        "config membership",
        "https://cloud.google.com/kubernetes-engine/docs/how-to/enabling-multi-cluster-gateways",
        r"^InvalidValueError for field config_membership: ",
        ("POST", INGRESS, config("")),
    ),
    refused(
        "a config membership that there is not",
        "config membership",
        seen("InvalidValueError for field config_membership: Membership"),
        r'^InvalidValueError for field config_membership: Membership "projects/sandbox-project/locations/global/'
        r'memberships/none" does not exist$',
        ("POST", INGRESS, config("projects/{project}/locations/global/memberships/none")),
    ),
    refused(
        "a config membership by its short name",
        "config membership",
        DISCOVERY,
        r'^InvalidValueError for field config_membership: "east" is not a valid path',
        ("POST", INGRESS, config("east")),
    ),
    refused(
        ELSEWHERE,
        "config membership",
        seen("InvalidValueError for field config_membership: Membership"),
        r"/locations/us-east5/memberships/m-[0-9a-f]+\" does not exist$",
        *joined(ELSEWHERE),
        (
            "POST",
            INGRESS,
            config(f"projects/{{project}}/locations/us-east5/memberships/{short(ELSEWHERE)}"),
        ),
    ),
    refused(
        "a feature that there is not",
        "feature",
        DISCOVERY,
        r'"teleportation"',
        ("POST", f"{HUB}/global/features?featureId=teleportation", {}),
    ),
    refused(
        "a feature of a region",
        "feature",
        "https://cloud.google.com/kubernetes-engine/fleet-management/docs/reference/rest/v1/projects.locations.features",
        r'"us-east5"',
        ("POST", f"{HUB}/us-east5/features?featureId=multiclusterservicediscovery", {}),
    ),
    refused(
        "the specification of another feature",
        "feature",
        DISCOVERY,
        r"multiclusteringress",
        (
            "POST",
            f"{HUB}/global/features?featureId=multiclusterservicediscovery",
            config("projects/{project}/locations/global/memberships/none"),
        ),
    ),
    refused(
        "a feature for a member that there is not",
        "feature",
        f"{GITHUB}/GoogleCloudPlatform/accelerated-platforms",
        r"Keys should be in the form: projects/<project number>/locations/\{l\}/memberships/\{m\}",
        (
            "POST",
            f"{HUB}/global/features?featureId=multiclusterservicediscovery",
            {"membershipSpecs": {"projects/{project}/locations/global/memberships/none": {}}},
        ),
    ),
    refused(
        "an unknown field of a feature",
        "feature",
        "https://cloud.google.com/apis/design/errors",
        r'^Invalid JSON payload received\. Unknown name "specs"',
        ("POST", INGRESS, {"specs": {}}),
    ),
    refused(
        "a feature that is not on",
        "feature",
        "gkehub/feature-multiclusteringress (recorded)",
        r'^feature "projects/sandbox-project/locations/global/features/multiclusteringress" not found$',
        ("DELETE", f"{HUB}/global/features/multiclusteringress", None),
        answer=ABSENT,
    ),
)
MEMBERS = (
    member("a membership without an id", "membership id", DISCOVERY, r"membership_id", path=MEMBERSHIPS),
    member(
        "a membership in capitals",
        "membership id",
        DISCOVERY,
        r'"East"',
        path=f"{MEMBERSHIPS}?membershipId=East",
    ),
    member(
        "a membership of 64 characters",
        "membership id",
        DISCOVERY,
        r"membership_id",
        path=f"{MEMBERSHIPS}?membershipId={'m' * 64}",
    ),
    refused(
        "a membership of nothing",
        "membership link",
        seen("InvalidValueError for field endpoint.gke_cluster.resource_link"),
        r"^InvalidValueError for field endpoint\.gke_cluster\.resource_link: .*is not a valid path",
        ("POST", f"{MEMBERSHIPS}?membershipId=nothing", {}),
    ),
    refused(
        "a link that is no cluster's",
        "membership link",
        seen("InvalidValueError for field endpoint.gke_cluster.resource_link"),
        r"is not a valid path",
        (
            "POST",
            f"{MEMBERSHIPS}?membershipId=odd",
            {"endpoint": {"gkeCluster": {"resourceLink": "projects/{project}/locations/us-east5-a/clusters/c"}}},
        ),
    ),
    refused(
        "a cluster that there is not",
        "membership link",
        DISCOVERY,
        r"clusters/none",
        ("POST", f"{MEMBERSHIPS}?membershipId=none", link("none")),
        answer=ABSENT,
    ),
    refused(
        "a cluster of elsewhere",
        "membership link",
        DISCOVERY,
        r"permission",
        ("POST", f"{MEMBERSHIPS}?membershipId=theirs", link("c", project="other")),
        answer=(403, "PERMISSION_DENIED", ""),
    ),
    refused(
        "a cluster that is a member already",
        "membership link",
        seen("intend to register the cluster with resource"),
        r"^intend to register the cluster with resource: projects/sandbox-project/locations/global/memberships/again, "
        r"but the cluster is already registered with resource: projects/sandbox-project/locations/global/memberships/",
        *joined("a cluster that is a member already"),
        ("POST", f"{MEMBERSHIPS}?membershipId=again", link(short("a cluster that is a member already"))),
        answer=BEFORE,
    ),
    member(
        "a membership in another region",
        "membership link",
        PLACES,
        r'"us-east5"',
        path=f"{HUB}/europe-west4/memberships?membershipId=far",
    ),
    member(
        "a membership in a zone",
        "membership link",
        PLACES,
        r"us-east5-a",
        path=f"{HUB}/us-east5-a/memberships?membershipId=zonal",
        answer=ABSENT,
    ),
    member(
        "an issuer that is no URL",
        "membership",
        DISCOVERY,
        r"https",
        authority={"issuer": "http://issuer.example.com"},
    ),
    refused(
        "a membership twice",
        "membership",
        DISCOVERY,
        r"^Resource 'projects/sandbox-project/locations/global/memberships/m-[0-9a-f]+' already exists$",
        *joined("a membership twice"),
        (
            "POST",
            f"{MEMBERSHIPS}?membershipId={short('a membership twice')}",
            link(short("a membership twice")),
        ),
        answer=(409, "ALREADY_EXISTS", ""),
    ),
    refused(
        "another cluster for a membership",
        "membership",
        "https://cloud.google.com/kubernetes-engine/fleet-management/docs/reference/rest/v1/projects.locations.memberships",
        r"cannot be updated",
        *joined("another cluster for a membership"),
        (
            "PATCH",
            f"{MEMBERSHIPS}/{short('another cluster for a membership')}?updateMask=endpoint",
            link("other"),
        ),
    ),
    refused(
        "a change of nothing",
        "membership",
        DISCOVERY,
        r"update_mask",
        *joined("a change of nothing"),
        ("PATCH", f"{MEMBERSHIPS}/{short('a change of nothing')}", {"labels": {"a": "b"}}),
    ),
    refused(
        "a membership that there is not",
        "membership",
        "gkehub/membership (recorded)",
        r'^membership "projects/sandbox-project/locations/global/memberships/none" not found$',
        ("DELETE", f"{MEMBERSHIPS}/none", None),
        answer=ABSENT,
    ),
    refused(
        "a fleet with members, deleted",
        "fleet",
        "https://cloud.google.com/kubernetes-engine/fleet-management/docs/reference/rest/v1/projects.locations.fleets/delete",
        r"memberships",
        *joined("a fleet with members, deleted"),
        ("DELETE", f"{HUB}/global/fleets/default", None),
        answer=BEFORE,
    ),
    refused(
        "a fleet of another name",
        "fleet",
        DISCOVERY,
        r"fleets/second' was not found$",
        ("GET", f"{HUB}/global/fleets/second", None),
        answer=ABSENT,
    ),
)

MISTAKES: tuple[Mistake, ...] = (*FEATURES, *MEMBERS)

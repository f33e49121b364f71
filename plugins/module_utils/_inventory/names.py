# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""How things may be called: each name by the rule of the API that gets it.

Sources: compute names are RFC 1035 labels (compute v1 discovery document); clusters and node pools have up to 40
characters (container v1 cluster_service.proto); memberships gkehub v1 membership.proto; buckets
https://cloud.google.com/storage/docs/buckets#naming; projects
https://cloud.google.com/resource-manager/docs/creating-managing-projects; service accounts IAM v1; labels of Google
https://cloud.google.com/compute/docs/labeling-resources#requirements; the rest Kubernetes
(https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ and .../labels/).
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import typing as t
from collections.abc import Iterator, Mapping

from .estate import Estate, Path, Problem, Region

LOWER = "lower-case letters, digits and hyphens"
MOST_LABELS = 64


@dataclasses.dataclass(frozen=True)
class Rule:
    """``wanted`` says in words what the pattern says."""

    pattern: re.Pattern[str]
    wanted: str
    longest: int = 63

    def holds(self, text: str) -> bool:
        return len(text) <= self.longest and bool(self.pattern.fullmatch(text))


def _rule(pattern: str, wanted: str, longest: int = 63) -> Rule:
    return Rule(re.compile(pattern, re.ASCII), wanted, longest)


_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_BEGIN = "starting with a letter, not ending with a hyphen"

COMPUTE = _rule(r"[a-z]([-a-z0-9]*[a-z0-9])?", f"up to 63 {LOWER}, {_BEGIN}")
# A Shared VPC's parts are named by their path.
COMPUTE_PATH = _rule(
    rf"(.+/)?(projects/.+/(global|regions/[^/]+)/[a-z]+/)?{COMPUTE.pattern.pattern}",
    f"{COMPUTE.wanted}; or its path",
    300,
)
CLUSTER = _rule(r"[a-z]([-a-z0-9]*[a-z0-9])?", f"up to 40 {LOWER}, {_BEGIN}", 40)
MEMBERSHIP = _rule(_LABEL, f"up to 63 {LOWER}, starting and ending with a letter or digit")
NAMESPACE = MEMBERSHIP
# A Service and, as a label's value, its Pods carry it too.
SERVICE = COMPUTE
# The endpoint picker's objects are called the same with -epp behind.
POOL = _rule(r"[a-z]([-a-z0-9]*[a-z0-9])?", f"up to 59 {LOWER}, {_BEGIN}", 59)
OBJECT = _rule(
    rf"{_LABEL}(\.{_LABEL})*", f"up to 253 {LOWER} and dots, each part starting and ending with a letter or digit", 253
)
DEVICE_CLASS = _rule(rf"({OBJECT.pattern.pattern})?", f'{OBJECT.wanted}; or "" for none', 253)
PROJECT = _rule(
    r"([a-z0-9][-a-z0-9.]*:)?[a-z][-a-z0-9]{4,28}[a-z0-9]",
    f"the project's ID (not its number): 6 to 30 {LOWER}, {_BEGIN}",
    100,
)
ACCOUNT = _rule(r"[a-z][-a-z0-9]{4,28}[a-z0-9]", f"6 to 30 {LOWER}, {_BEGIN}")
LOCATION = _rule(r"global|[a-z]+(-[a-z]+)+[0-9]+", "global, or a region such as us-east5")
REGION = _rule(r"[a-z]+(-[a-z]+)+[0-9]+", "a region such as us-east5")
ZONE_OR_REGION = _rule(
    r"[a-z]+(-[a-z]+)+[0-9]+(-[a-z]+[0-9a-z]*)?", "a zone such as us-east5-b, or a region such as us-east5"
)
API = _rule(r"[a-z0-9]+([-.][a-z0-9]+)*\.googleapis\.com", "the API's name such as container.googleapis.com", 200)
REPOSITORY = _rule(r"([\w.-]+/)?[\w.-]+", "a repository of the hub such as google/gemma-3-27b-it", 200)
REVISION = _rule(r"(?!.*\.\.)[\w][\w./-]*", "a branch, a tag or a commit", 200)
IMAGE = _rule(
    r"([\w.-]+(:\d+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*(:[\w][\w.-]{0,127})?(@sha256:[0-9a-f]{64})?",
    "an image such as vllm/vllm-tpu:v0.11.1",
    400,
)
RESOURCE = _rule(rf"{OBJECT.pattern.pattern}/[\w.-]+", "an extended resource such as google.com/tpu", 300)
LABEL_KEY = _rule(
    rf"({OBJECT.pattern.pattern}/)?[A-Za-z0-9]([-\w.]{{0,61}}[A-Za-z0-9])?",
    "a label's key: up to 63 letters, digits, '-', '_' and '.', with a prefix such as example.com/ if wanted",
    317,
)
LABEL_VALUE = _rule(r"([A-Za-z0-9]([-\w.]*[A-Za-z0-9])?)?", "up to 63 letters, digits, '-', '_' and '.', or \"\"")
GOOGLE_KEY = Rule(
    re.compile(r"[^\W\dA-Z_][^\WA-Z]*(?:-[^\WA-Z]*)*"),
    "up to 63 lower-case letters, digits, '_' and '-', starting with a letter",
)
GOOGLE_VALUE = Rule(re.compile(r"(?:[^\WA-Z]|-)*"), "up to 63 lower-case letters, digits, '_' and '-'")
VARIABLE = _rule(r"[-._A-Za-z][-._A-Za-z0-9]*", "the name of an environment variable", 1000)
# A header must carry it: a line's end that came with it from a file is the usual fault.
TOKEN = _rule(r"[!-~]*", "one line of printable characters without spaces", 100_000)

NAMES: dict[str, Rule] = {
    "gcp_project": PROJECT,
    "network_name": COMPUTE,
    "network_subnet_name": COMPUTE,
    "network_vip_name": COMPUTE,
    "network_proxy_only_subnet_name": COMPUTE,
    "network_router_name": COMPUTE,
    "network_nat_name": COMPUTE,
    "cluster_name": CLUSTER,
    "cluster_network": COMPUTE_PATH,
    "cluster_subnetwork": COMPUTE_PATH,
    "fleet_membership": MEMBERSHIP,
    "fleet_config_membership": MEMBERSHIP,
    "fleet_location": LOCATION,
    "fleet_gateway_class": OBJECT,
    "model_name": SERVICE,
    "model_namespace": NAMESPACE,
    "model_service_account": ACCOUNT,
    "model_kubernetes_service_account": OBJECT,
    "model_repository": REPOSITORY,
    "model_revision": REVISION,
    "model_image": IMAGE,
    "model_download_image": IMAGE,
    "model_accelerator_resource": RESOURCE,
    "model_network_device_class": DEVICE_CLASS,
    "gateway_name": OBJECT,
    "gateway_class": OBJECT,
    "gateway_namespace": NAMESPACE,
    "gateway_model": POOL,
    "gateway_vip_name": COMPUTE,
    "failover_namespace": NAMESPACE,
    "failover_deployment": OBJECT,
}
# Options of every role, by how they end.
ENDINGS: dict[str, Rule] = {
    "_project": PROJECT,
    "_region": REGION,
    "_cluster": CLUSTER,
    "_location": ZONE_OR_REGION,
    "_token": TOKEN,
    "_image": IMAGE,
    "_namespace": NAMESPACE,
}
# Judged by what there is, not by form: regions.py.
ELSEWHERE = ("model_bucket_location", "network_region", "cluster_location")
# Lists: each item by its rule.
ITEMS: dict[str, Rule] = {"network_services": API, "fleet_memberships": MEMBERSHIP}


def judge(region: Region, estate: Estate) -> Iterator[Problem]:
    """Names of one region."""
    for option, value in region.values.items():
        if option not in estate.options:
            continue
        rule = rule_of(option)
        if rule and isinstance(value, str) and not rule.holds(value):
            yield region.problem(option, f"is not valid{_length(value, rule)}", f"give {rule.wanted}")
        for index, item in enumerate(value if option in ITEMS and isinstance(value, list) else ()):
            if isinstance(item, str) and not ITEMS[option].holds(item):
                yield region.problem((option, index), "is not valid", f"give {ITEMS[option].wanted}")
    yield from _derived(region)
    yield from _bucket(region)
    yield from _labels(region, ("cluster_labels",), GOOGLE_KEY, GOOGLE_VALUE)
    for option in ("model_node_selector", "gateway_match_labels"):
        yield from _labels(region, (option,), LABEL_KEY, LABEL_VALUE)
    for name in region.get("model_env") or {}:
        if not VARIABLE.holds(str(name)):
            yield region.problem(("model_env", name), "has a name that is none", f"give {VARIABLE.wanted}")


def rule_of(option: str) -> Rule | None:
    if option in ELSEWHERE:
        return None
    return NAMES.get(option) or next((rule for end, rule in ENDINGS.items() if option.endswith(end)), None)


def pool_labels(region: Region, path: Path, config: Mapping[str, t.Any]) -> Iterator[Problem]:
    """Labels of a pool's nodes and machines; ``path`` leads to its config."""
    yield from _labels(region, (*path, "labels"), LABEL_KEY, LABEL_VALUE, config.get("labels"))
    yield from _labels(region, (*path, "resource_labels"), GOOGLE_KEY, GOOGLE_VALUE, config.get("resource_labels"))


def _length(value: str, rule: Rule) -> str:
    return f" ({len(value)} characters)" if len(value) > rule.longest else ""


def _derived(region: Region) -> Iterator[Problem]:
    """The firewall rules are called after the network and the region."""
    network, place = region.text("network_name"), region.text("network_region")
    longest = f"{network}-allow-internal-{place}"
    if place and COMPUTE.holds(network) and not COMPUTE.holds(longest):
        yield region.problem(
            "network_name", "makes names of firewall rules (NAME-allow-internal-REGION) too long", "give a shorter one"
        )


def _bucket(region: Region) -> Iterator[Problem]:
    name = region.get("model_bucket")
    if not isinstance(name, str):
        return
    parts = name.split(".")
    longest = 63 if len(parts) == 1 else 222
    if not re.fullmatch(r"[a-z0-9][-_.a-z0-9]*[a-z0-9]", name, re.ASCII) or not 3 <= len(name) <= longest:
        yield region.problem(
            "model_bucket",
            "is no bucket's name",
            "give 3 to 63 lower-case letters, digits, '-', '_' and '.', starting and ending with a letter or digit",
        )
    elif not all(0 < len(part) <= 63 for part in parts) or ".-" in name or "-." in name:
        yield region.problem(
            "model_bucket", "is no bucket's name", "give dots only between parts of 1 to 63 characters"
        )
    elif name.startswith("goog") or "google" in name or "g00gle" in name:
        yield region.problem(
            "model_bucket", "is kept by Google", 'give a name that neither begins with "goog" nor has "google" in it'
        )
    elif _is_address(name):
        yield region.problem("model_bucket", "looks like an IP address", "give a name that does not")


def _is_address(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def _labels(region: Region, path: Path, key_rule: Rule, value_rule: Rule, labels: t.Any = None) -> Iterator[Problem]:
    found = region.get(str(path[0])) if labels is None and len(path) == 1 else labels
    if not isinstance(found, Mapping):
        return
    for key, value in found.items():
        if not key_rule.holds(str(key)):
            yield region.problem((*path, key), f"has the key {key!r}", f"give {key_rule.wanted}", given=None)
        if not isinstance(value, str):
            yield region.problem((*path, key), "is no text", f'give "{str(value).lower()}" in quotes')
        elif not value_rule.holds(value):
            yield region.problem((*path, key), "is no label's value", f"give {value_rule.wanted}")
    if key_rule is GOOGLE_KEY and len(found) > MOST_LABELS:
        yield region.problem(path, f"has {len(found)} labels", f"give at most {MOST_LABELS}", given=None)

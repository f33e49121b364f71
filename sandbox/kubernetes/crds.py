# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The CustomResourceDefinitions that GKE brings, by GKE version and role of the cluster."""

from __future__ import annotations

import copy
import functools
import re
import typing as t
from pathlib import Path

import yaml

from sandbox.kubernetes.crd_rules import RULES

Json = dict[str, t.Any]

_DEFINITIONS = Path(__file__).parent / "definitions"

_GATEWAY_API = ("gatewayclass", "gateway", "httproute")
_SHIPPED = (
    *_GATEWAY_API,
    "inferencepool",
    "autoscalingmetric",
    "healthcheckpolicy",
    "gcpbackendpolicy",
    "gcptrafficdistributionpolicy",
    "podmonitoring",
)

# First GKE version of each Gateway API bundle, newest first (Google's page on Gateway capabilities).
_BUNDLES: tuple[tuple[str, str], ...] = (
    ("1.35.2-gke.1842000", "v1.5.0"),
    ("1.34.1-gke.1822000", "v1.4.0"),
    ("1.33.2-gke.1335000", "v1.3.0"),
    ("1.32.2-gke.1475000", "v1.2.0"),
)
_OLDEST_BUNDLE = "v1.1.0"

# GKE manages the InferencePool from this version on; before, users install it.
_INFERENCE_POOL_SINCE = "1.34.0-gke.1626000"


def shipped(gke_version: str) -> list[Json]:
    """What GKE ``gke_version`` ("1.34.1-gke.1829001") installs when gatewayApiConfig.channel is CHANNEL_STANDARD."""
    release = _release(gke_version)
    definitions = []
    for name in _SHIPPED:
        if name == "inferencepool" and release < _release(_INFERENCE_POOL_SINCE):
            continue
        definition = copy.deepcopy(_definition(name))
        if name in _GATEWAY_API:
            definition["metadata"]["annotations"]["gateway.networking.k8s.io/bundle-version"] = _bundle(release)
        definitions.append(definition)
    return definitions


def config_cluster() -> list[Json]:
    """What only the fleet's config cluster has besides."""
    return [copy.deepcopy(_definition("gcpinferencepoolimport"))]


def validate_rules(kind: str, obj: Json) -> list[str]:
    """Causes (``field: Invalid value: ...``) of the CEL rules of ``kind`` that ``obj`` breaks.

    ``obj`` must have passed its schema and carry its defaults; kinds without rules have no causes.
    """
    return [cause for rule in RULES.get(kind, ()) for cause in rule(obj)]


@functools.cache
def _definition(name: str) -> Json:
    with (_DEFINITIONS / f"{name}.yaml").open(encoding="utf-8") as file:
        return t.cast(Json, yaml.safe_load(file))


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))


def _bundle(release: tuple[int, ...]) -> str:
    return next((bundle for since, bundle in _BUNDLES if release >= _release(since)), _OLDEST_BUNDLE)

# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The judge, judged by what is not ours: Ansible's own validator, published patterns, arithmetic, and a generator."""

from __future__ import annotations

import dataclasses
import re
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.aiserving.gke.plugins.module_utils._gke.spec import NODE_POOL_SPEC
from ansible_collections.aiserving.gke.plugins.module_utils._inventory import arguments, limits, names, ranges
from ansible_collections.aiserving.gke.plugins.module_utils._inventory.estate import Estate, Problem, Region
from ansible_collections.aiserving.gke.plugins.module_utils._inventory.judge import judge, verdict
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.inventories import EAST, ROOT, WEST, Change, estate

Json = dict[str, t.Any]

SCALARS = (
    st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["1", "-7", " 5 ", "2.0", "1e3", "yes", "no", "True", "off", "nan", "inf", "1_0", "٣", "0x1", ""])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Estate:
    """The example's estate, as the judge sees it."""
    return estate(Change().write(tmp_path_factory.mktemp("right") / "inventory"))


def changed(right: Estate, option: str, value: t.Any, hosts: t.Collection[str] = (EAST, WEST)) -> list[Problem]:
    """What is found when an inventory says this at one place, in some regions."""
    regions = [
        dataclasses.replace(region, values={**region.values, option: value}, stated=region.stated | {option})
        if region.host in hosts
        else region
        for region in right.regions
    ]
    return judge(dataclasses.replace(right, regions=tuple(regions)))


@given(st.sampled_from(["str", "int", "float", "bool", "list", "dict"]), VALUES)
@settings(deadline=None, max_examples=600)
def test_what_ansible_refuses_is_refused_and_what_is_accepted_is_what_ansible_makes_of_it(
    kind: str, value: t.Any
) -> None:
    result = ArgumentSpecValidator({"option": {"type": kind}}).validate({"option": value})
    converted, faults = arguments.check(value, {"type": kind}, ("option",), handed=True)
    if result.error_messages:
        assert faults
    if not faults:
        assert converted == result.validated_parameters["option"]
        assert type(converted) is type(result.validated_parameters["option"])


@given(st.integers(-(2**63), 2**63), st.booleans())
@settings(deadline=None)
def test_numbers_and_truth_values_as_text_are_accepted(number: int, truth: bool) -> None:
    assert arguments.check(str(number), {"type": "int"}, ("option",)) == (number, [])
    assert arguments.check(str(number), {"type": "float"}, ("option",)) == (float(number), [])
    assert arguments.check(str(truth), {"type": "bool"}, ("option",)) == (truth, [])


NETWORKS = st.tuples(st.integers(0, 2**12 - 1), st.integers(20, 26))


def cidr(block: int, length: int) -> str:
    """A network below 10.0.0.0/8 that may be close to another."""
    first = (10 << 24) + (block << 6)
    first -= first % 2 ** (32 - length)
    return f"{first >> 24}.{first >> 16 & 255}.{first >> 8 & 255}.{first & 255}/{length}"


def span(text: str) -> range:
    address, length = text.split("/")
    first = int.from_bytes(bytes(map(int, address.split("."))), "big")
    return range(first, first + 2 ** (32 - int(length)))


@given(st.lists(NETWORKS, min_size=4, max_size=4))
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_ranges_are_refused_when_and_only_when_some_address_is_in_two(
    right: Estate, drawn: list[tuple[int, int]]
) -> None:
    texts = [cidr(*network) for network in drawn]
    spans = [span(text) for text in texts]
    shared = sum(
        max(a.start, b.start) < min(a.stop, b.stop) for index, a in enumerate(spans) for b in spans[index + 1 :]
    )
    options = ["network_node_cidr", "network_proxy_only_cidr"]
    regions = [
        dataclasses.replace(region, values={**region.values, **dict(zip(options, texts[2 * index :], strict=False))})
        for index, region in enumerate(right.regions)
    ]
    found = list(ranges.judge_all(dataclasses.replace(right, regions=tuple(regions))))
    assert len(found) == shared


# As Google and Kubernetes publish them: compute v1 discovery document, cluster_service.proto with gcloud's check,
# gkehub membership.proto, IAM v1, and apimachinery's validation.go.
PUBLISHED: list[tuple[names.Rule, str, int]] = [
    (names.COMPUTE, r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?", 63),
    (names.CLUSTER, r"(?:[a-z](?:[-a-z0-9]{0,38}[a-z0-9])?)", 40),
    (names.MEMBERSHIP, r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", 63),
    (names.ACCOUNT, r"[a-z]([-a-z0-9]*[a-z0-9])", 30),
    (names.OBJECT, r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", 253),
    (names.LABEL_VALUE, r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?", 63),
]
WORDS = st.text("abz019-_.A", max_size=66) | st.from_regex(r"[a-z][-a-z0-9]{0,64}", fullmatch=True)


@given(st.sampled_from(PUBLISHED), WORDS)
@settings(deadline=None, max_examples=600)
def test_names_follow_the_published_patterns(published: tuple[names.Rule, str, int], word: str) -> None:
    rule, pattern, longest = published
    expected = re.fullmatch(pattern, word) is not None and len(word) <= longest
    if rule is names.ACCOUNT:
        expected = expected and len(word) >= 6
    assert rule.holds(word) == expected


def test_bounds_are_those_of_the_custom_resources() -> None:
    definitions = ROOT / "sandbox" / "kubernetes" / "definitions"
    fields = {
        "healthcheckpolicy": {
            "checkIntervalSec": "gateway_health_check_interval",
            "timeoutSec": "gateway_health_check_timeout",
            "healthyThreshold": "gateway_healthy_threshold",
            "unhealthyThreshold": "gateway_unhealthy_threshold",
        },
        "gcpbackendpolicy": {"timeoutSec": "gateway_request_timeout"},
    }
    for name, options in fields.items():
        default = policy(definitions / f"{name}.yaml")
        for field, option in options.items():
            assert limits.bounds_of(option) == (default[field]["minimum"], default[field]["maximum"]), option


def policy(path: Path) -> Json:
    """The properties of a policy's spec.default."""
    [version] = yaml.safe_load(path.read_text())["spec"]["versions"]
    schema: Json = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["default"]["properties"]
    return schema


BOUNDED = sorted({*limits.LIMITS, "model_replicas", "model_port", "gateway_port", "cluster_wait_timeout"})


@given(st.sampled_from(BOUNDED), st.integers(-(10**6), 10**6), st.booleans())
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_number_out_of_bounds_is_refused_by_its_name(right: Estate, option: str, number: int, text: bool) -> None:
    low, high = limits.bounds_of(option) or (0, 0)
    assume(not low <= number <= high)
    found = changed(right, option, str(number) if text else number)
    assert option in [problem.option for problem in found], verdict(found)
    assert all(problem.wanted and problem.wrong for problem in found)


NAMED = ["network_name", "cluster_name", "model_name", "model_namespace", "model_service_account", "gcp_project"]


@given(
    st.sampled_from(NAMED), st.text("abcXYZ019-_./ é", min_size=1, max_size=70), st.sampled_from([[EAST], [EAST, WEST]])
)
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_name_is_refused_where_it_stands_and_nowhere_else(
    right: Estate, option: str, name: str, hosts: list[str]
) -> None:
    rule = names.NAMES[option]
    assume(not rule.holds(name))
    found = [problem for problem in changed(right, option, name, hosts) if "is not valid" in problem.wrong]
    assert [(problem.option, problem.region) for problem in found] == [(option, "" if len(hosts) == 2 else EAST)]


def groups(spec: Json, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The ways to all dictionaries of a spec that know their keys."""
    found = [path]
    for name, option in spec.items():
        if "options" in option and option["type"] == "dict":
            found += groups(option["options"], (*path, name))
    return found


@given(st.sampled_from(groups(NODE_POOL_SPEC)), st.text("abcdefghij_", min_size=3, max_size=12))
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_unknown_key_is_refused_wherever_it_stands(right: Estate, way: tuple[str, ...], key: str) -> None:
    spec = NODE_POOL_SPEC
    for part in way:
        spec = spec[part]["options"]
    assume(key not in spec)
    pool: Json = {
        "name": "tpu-v6e",
        "dranet": True,
        "initial_node_count": 1,
        "config": {"machine_type": "ct6e-standard-4t"},
    }
    place = pool
    for part in way:
        place = place.setdefault(part, {})
    place[key] = 1
    found = changed(right, "cluster_node_pools", [pool], [EAST])
    option = ".".join(["cluster_node_pools[0]", *way, key])
    assert (EAST, option) in [(problem.region, problem.option) for problem in found], verdict(found)
    assert all(problem.region == EAST for problem in found), "nobody else is blamed"


@given(st.data(), VALUES)
@settings(deadline=None, max_examples=1000, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_given_is_judged_and_never_an_error(right: Estate, data: st.DataObject, value: t.Any) -> None:
    changed(right, data.draw(st.sampled_from(sorted(right.options))), value, [EAST])


def test_a_region_without_a_value_is_no_error() -> None:
    bare = Region(host="bare", values={})
    read = Estate((bare,), (), {}, frozenset({"fleet"}), frozenset({"bare"}), forks=1)
    assert [problem.option for problem in judge(read)] == ["group config_region"]

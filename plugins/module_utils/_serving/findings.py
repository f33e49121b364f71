# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""What was seen of a region's service -> is it well, and if not, why not and what to do. No I/O."""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Sequence

from .answers import Answer

SITE = "ansible-playbook aiserving.gke.site"


@dataclasses.dataclass(frozen=True)
class Finding:
    """``cause``: a sentence without its full stop; ``command``: what mends it, or shows more."""

    cause: str
    command: str


@dataclasses.dataclass(frozen=True)
class Seen:
    """One object, as its controller left it; ``reason`` says what is missing when it is not ready."""

    ready: bool
    reason: str = ""
    there: bool = True


ABSENT = Seen(False, "it is not there", there=False)


@dataclasses.dataclass(frozen=True)
class Servers:
    """What stands behind the gateway in one region. ``selector``: the pool's labels; of ``pods`` some are ``ready``."""

    pool: Seen
    selector: dict[str, str] = dataclasses.field(default_factory=dict)
    pods: int = 0
    ready: int = 0
    reasons: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Routing:
    """What the config cluster holds. ``backends``: the pools that this gateway's route names."""

    gateway: Seen
    route: Seen
    backends: Sequence[str]
    imported: Seen
    health_check: Seen


@dataclasses.dataclass(frozen=True)
class Facts:
    """All that was seen. A part that is missing is None; ``cluster`` and ``config`` then say why it is."""

    region: str
    model: str
    namespace: str
    gateway: str
    cluster_name: str
    header: str
    address: str = ""  # the name of the reserved one, where that is asked
    url: str = ""
    answer: Answer | None = None
    servers: Servers | None = None
    cluster: str = ""  # why the region's cluster could not be read
    routing: Routing | None = None
    config: str = ""  # why the config cluster could not be read
    refused: Sequence[str] = ()  # see firewall.refused()

    @property
    def at_home(self) -> bool:
        """Whether the region answered its own clients. Where the header is missing, it can have when it has servers."""
        if self.answer is None or not self.answer.complete:
            return False
        if self.answer.served_by:
            return self.answer.served_by == self.region
        return self.servers is None or self.servers.ready > 0

    @property
    def built(self) -> bool:
        """Whether there is anything yet that could be unwell."""
        if self.servers and (self.servers.pool.there or self.servers.pods):
            return True
        # A Gateway without an address here is that of the other regions.
        return self.answer is not None and bool(self.answer.status or (self.routing and self.routing.gateway.there))


def state(facts: Facts) -> str:
    """serving, degraded (clients are served, but not all is as it should be), down, or absent."""
    if not facts.built:
        return "absent"
    if not findings(facts):
        return "serving"
    return "degraded" if facts.answer and facts.answer.complete else "down"


def symptom(facts: Facts) -> str:
    """What a client of the region sees."""
    if facts.answer is None:
        return "its address was not asked"
    if not facts.answer.complete:
        return f"{facts.url} answers: {facts.answer.status or ''} {facts.answer.text}".replace(":  ", ": ")
    if not facts.at_home:
        other = facts.answer.served_by or "another"
        return f"{facts.url} is answered by {other} and not by its own region {facts.region}"
    if not facts.answer.served_by:
        return f"{facts.url} answers; by whom cannot be told without the header {facts.header or '(none)'}"
    return f"{facts.url} is answered by its own region"


def findings(facts: Facts) -> list[Finding]:
    """The causes, those first on which others depend; empty when the region is well."""
    found = [*_of_servers(facts), *_of_routing(facts)]
    if facts.address and not facts.url:
        found.append(Finding(f"there is no address {facts.address} in {facts.region}", f"{SITE} --tags network"))
    found += [Finding(text, f"{SITE} --tags network") for text in facts.refused]
    if facts.answer is not None and not facts.at_home and not found:
        found.append(_of_answer(facts, facts.answer))
    return found


def told(facts: Facts) -> str:
    """All of it in lines, as a failure says it."""
    lines = [symptom(facts)] if facts.answer is not None else []
    for finding in findings(facts):
        lines += [f"cause    {finding.cause}", f"command  {finding.command}"]
    return "\n  ".join(lines)


def _of_servers(facts: Facts) -> t.Iterator[Finding]:
    where = f"cluster {facts.cluster_name}"
    pods = f"kubectl get pods -n {facts.namespace}"
    if facts.servers is None:
        if facts.cluster:
            yield Finding(facts.cluster, SITE)
        return
    seen = facts.servers
    selector = ",".join(f"{name}={value}" for name, value in seen.selector.items())
    if not seen.pool.there:
        yield Finding(f"InferencePool {facts.namespace}/{facts.model} is not on {where}", SITE)
    elif not seen.pool.ready:
        show = f"kubectl describe inferencepool {facts.model} -n {facts.namespace}  # {where}"
        yield Finding(f"InferencePool {facts.namespace}/{facts.model}: {seen.pool.reason}", show)
    if not seen.pods and selector:
        cause = f"0 endpoints: no Pod on {where} has the pool's labels {selector}"
        yield Finding(cause, f"{pods} --show-labels  # then {SITE}, or gateway_match_labels")
    elif seen.ready < seen.pods:
        cause = f"{seen.ready} of {seen.pods} model servers on {where} are ready"
        yield Finding("; ".join([cause, *seen.reasons]), f"{pods} -l {selector}  # {where}")


def _of_routing(facts: Facts) -> t.Iterator[Finding]:
    if facts.routing is None:
        if facts.config:
            yield Finding(
                f"the config cluster cannot be read: {facts.config}. What has been programmed goes on serving, but "
                "nothing can be changed",
                f"{SITE} -e fleet_replace_membership=true  # when it is lost for good",
            )
        return
    seen, place = facts.routing, f"-n {facts.namespace}"
    gateway = f"Gateway {facts.namespace}/{facts.gateway}"
    if not seen.gateway.there:
        yield Finding(f"{gateway} is not on the config cluster", SITE)
    elif not seen.gateway.ready:
        yield Finding(f"{gateway}: {seen.gateway.reason}", f"kubectl describe gateway {facts.gateway} {place}")
    if not seen.route.there:
        yield Finding(f"HTTPRoute {facts.namespace}/{facts.gateway} is not on the config cluster", SITE)
    elif facts.model not in seen.backends:
        routed = ", ".join(seen.backends) or "no pool"
        yield Finding(f"HTTPRoute {facts.namespace}/{facts.gateway} leads to {routed}, not to {facts.model}", SITE)
    elif seen.gateway.there and not seen.route.ready:
        show = f"kubectl describe httproute {facts.gateway} {place}"
        yield Finding(f"HTTPRoute {facts.namespace}/{facts.gateway}: {seen.route.reason}", show)
    if not seen.imported.ready:
        yield Finding(
            f"GCPInferencePoolImport {facts.namespace}/{facts.model}: {seen.imported.reason}. The pool is not "
            "exported, its cluster is not in the fleet, or the service agent of multi-cluster ingress lacks "
            "roles/container.admin",
            f"{SITE} --tags fleet,gateway",
        )
    if not seen.health_check.ready:
        yield Finding(
            f"HealthCheckPolicy {facts.namespace}/{facts.model}: {seen.health_check.reason}. Without one Google asks "
            "for / at the serving port, which a model server does not answer with 200",
            SITE,
        )


def _of_answer(facts: Facts, answer: Answer) -> Finding:
    """All objects are well, yet the answer is not what it should be: what is left for this symptom."""
    servers = f"kubectl logs -n {facts.namespace} deployment/{facts.model}  # cluster {facts.cluster_name}"
    if answer.complete or "no healthy upstream" in answer.text or answer.status in (502, 503):
        return Finding(
            "the load balancer holds the region's model servers for unhealthy or has not attached them yet, which "
            "takes it minutes: if this stays so, its health checks do not reach them, or their cluster is not in the "
            "fleet",
            "gcloud compute backend-services get-health  # and the firewall's rules for 35.191.0.0/16, 130.211.0.0/22",
        )
    if "fault filter abort" in answer.text:
        return Finding("no route of the load balancer matches; it takes some time to be programmed", SITE)
    if answer.status == 404:
        return Finding(f"the model server does not know model {facts.model}", servers)
    if answer.status in (401, 403):
        return Finding("the model server asks for a key", servers)
    if answer.status == 504:
        return Finding("the answer took longer than gateway_request_timeout", servers)
    if "refused" in answer.text:
        return Finding("nothing listens at the address: the load balancer is not programmed", SITE)
    if not answer.status:
        return Finding(
            "the address is internal to the VPC: the controller must be inside, or behind a VPN, and nothing between "
            "may block it",
            f"curl -v {facts.url}/v1/models",
        )
    return Finding(f"the model server answers {answer.status}", servers)

# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The columns of ``kubectl get`` for builtin kinds."""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Callable

from sandbox.kubernetes.selectors import selector_text

Json = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Cell:
    """A column: a JSONPath, or a function of the object."""

    name: str
    value: str | Callable[[Json], t.Any]
    type: str = "string"
    priority: int = 0


_NONE = "<none>"
_AGE = Cell("Age", ".metadata.creationTimestamp", "date")
_CONTAINERS = Cell("Containers", lambda obj: _containers(obj, "name"), priority=1)
_IMAGES = Cell("Images", lambda obj: _containers(obj, "image"), priority=1)
_SELECTOR = Cell("Selector", lambda obj: selector_text(obj["spec"].get("selector")) or _NONE, priority=1)


def _status(obj: Json, name: str) -> int:
    return int((obj.get("status") or {}).get(name) or 0)


def _of(*path: str, default: t.Any = _NONE) -> Callable[[Json], t.Any]:
    """The value at a path, ``default`` when it is missing or empty."""

    def look(obj: Json) -> t.Any:
        value: t.Any = obj
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        return default if value in (None, "", [], {}) else value

    return look


def _containers(obj: Json, field: str) -> str:
    spec = obj["spec"]
    template = (spec.get("jobTemplate") or {}).get("spec") or spec
    return ",".join(str(one.get(field)) for one in template["template"]["spec"].get("containers") or ())


def _ready_of(total: str) -> Callable[[Json], str]:
    return lambda obj: f"{_status(obj, 'readyReplicas')}/{(obj.get('spec') or {}).get(total, 0)}"


def pod_status(pod: Json) -> str:
    """The STATUS of ``kubectl get pods``: the most telling of phase, init, container and deletion states."""
    status = pod.get("status") or {}
    text = str(status.get("reason") or status.get("phase") or "Unknown")
    initial = pod["spec"].get("initContainers") or ()
    for index, row in enumerate(status.get("initContainerStatuses") or ()):
        state = row.get("state") or {}
        if (state.get("terminated") or {}).get("exitCode") == 0:
            continue
        if "terminated" in state:
            text = f"Init:{state['terminated'].get('reason') or 'Error'}"
        elif (state.get("waiting") or {}).get("reason") not in (None, "", "PodInitializing"):
            text = f"Init:{state['waiting']['reason']}"
        else:
            text = f"Init:{index}/{len(initial)}"
        break
    else:
        for row in reversed(status.get("containerStatuses") or ()):
            state = row.get("state") or {}
            reason = (state.get("waiting") or {}).get("reason") or (state.get("terminated") or {}).get("reason")
            text = str(reason or text)
        if text == "Completed" and any("running" in (row.get("state") or {}) for row in _container_statuses(pod)):
            text = "Running"
    return "Terminating" if pod["metadata"].get("deletionTimestamp") else text


def _container_statuses(pod: Json) -> list[Json]:
    return list((pod.get("status") or {}).get("containerStatuses") or ())


def _pod_ready(pod: Json) -> str:
    ready = sum(bool(row.get("ready")) for row in _container_statuses(pod))
    return f"{ready}/{len(pod['spec'].get('containers') or ())}"


def _restarts(pod: Json) -> str:
    return str(sum(int(row.get("restartCount") or 0) for row in _container_statuses(pod)))


def _node_status(node: Json) -> str:
    ready = "NotReady"
    for row in (node.get("status") or {}).get("conditions") or ():
        if row.get("type") == "Ready" and row.get("status") == "True":
            ready = "Ready"
    return ready + (",SchedulingDisabled" if (node.get("spec") or {}).get("unschedulable") else "")


def _node_roles(node: Json) -> str:
    prefix = "node-role.kubernetes.io/"
    roles = [key.removeprefix(prefix) for key in node["metadata"].get("labels") or () if key.startswith(prefix)]
    return ",".join(sorted(roles)) or _NONE


def _node_address(kind: str) -> Callable[[Json], str]:
    def look(node: Json) -> str:
        rows = (node.get("status") or {}).get("addresses") or ()
        return next((str(row["address"]) for row in rows if row.get("type") == kind), _NONE)

    return look


def _ports(service: Json) -> str:
    texts = []
    for port in service["spec"].get("ports") or ():
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        texts.append(f"{port['port']}{node}/{port.get('protocol', 'TCP')}")
    return ",".join(texts) or _NONE


def _external(service: Json) -> str:
    rows = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    found = [str(row.get("ip") or row.get("hostname")) for row in rows] + list(service["spec"].get("externalIPs") or ())
    return ",".join(found) or ("<pending>" if service["spec"].get("type") == "LoadBalancer" else _NONE)


def _endpoints(obj: Json) -> str:
    found = [
        f"{address['ip']}:{port['port']}"
        for subset in obj.get("subsets") or ()
        for address in subset.get("addresses") or ()
        for port in subset.get("ports") or ()
    ]
    return ",".join(found[:3]) + (f" + {len(found) - 3} more..." if len(found) > 3 else "") or _NONE


def _slice_endpoints(obj: Json) -> str:
    found = [address for endpoint in obj.get("endpoints") or () for address in endpoint.get("addresses") or ()]
    return ",".join(found[:3]) + (f" + {len(found) - 3} more..." if len(found) > 3 else "") or "<unset>"


def _slice_ports(obj: Json) -> str:
    return ",".join(str(port.get("port")) for port in obj.get("ports") or ()) or "<unset>"


def _job_status(job: Json) -> str:
    kinds = {row["type"] for row in (job.get("status") or {}).get("conditions") or () if row.get("status") == "True"}
    if job["metadata"].get("deletionTimestamp"):
        return "Terminating"
    found = [
        name for name in ("Complete", "Failed", "Suspended", "FailureTarget", "SuccessCriteriaMet") if name in kinds
    ]
    return found[0] if found else "Running"


def _completions(job: Json) -> str:
    return f"{_status(job, 'succeeded')}/{job['spec'].get('completions') or job['spec'].get('parallelism') or 1}"


def _claim_state(claim: Json) -> str:
    status = claim.get("status") or {}
    states = ["deleted"] if claim["metadata"].get("deletionTimestamp") else []
    states += ["allocated"] if status.get("allocation") else ["pending"]
    states += ["reserved"] if status.get("reservedFor") else []
    return ",".join(states)


def _event_object(event: Json) -> str:
    about = event.get("involvedObject") or event.get("regarding") or {}
    return f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}"


def _subjects(binding: Json) -> str:
    return ",".join(str(row.get("name")) for row in binding.get("subjects") or ())


_SCALED = (
    Cell("Desired", lambda obj: obj["spec"].get("replicas", 0), "integer"),
    Cell("Current", lambda obj: _status(obj, "replicas"), "integer"),
    Cell("Ready", lambda obj: _status(obj, "readyReplicas"), "integer"),
    _AGE,
    _CONTAINERS,
    _IMAGES,
    _SELECTOR,
)
_ROLE = Cell("Role", lambda obj: f"{obj['roleRef'].get('kind')}/{obj['roleRef'].get('name')}")

COLUMNS: dict[tuple[str, str], tuple[Cell, ...]] = {
    ("", "Pod"): (
        Cell("Ready", _pod_ready),
        Cell("Status", pod_status),
        Cell("Restarts", _restarts),
        _AGE,
        Cell("IP", _of("status", "podIP"), priority=1),
        Cell("Node", _of("spec", "nodeName"), priority=1),
        Cell("Nominated Node", _of("status", "nominatedNodeName"), priority=1),
        Cell("Readiness Gates", lambda obj: _NONE, priority=1),
    ),
    ("", "Namespace"): (Cell("Status", _of("status", "phase", default="")), _AGE),
    ("", "Node"): (
        Cell("Status", _node_status),
        Cell("Roles", _node_roles),
        _AGE,
        Cell("Version", _of("status", "nodeInfo", "kubeletVersion", default="")),
        Cell("Internal-IP", _node_address("InternalIP"), priority=1),
        Cell("External-IP", _node_address("ExternalIP"), priority=1),
        Cell("OS-Image", _of("status", "nodeInfo", "osImage", default="<unknown>"), priority=1),
        Cell("Kernel-Version", _of("status", "nodeInfo", "kernelVersion", default="<unknown>"), priority=1),
        Cell(
            "Container-Runtime", _of("status", "nodeInfo", "containerRuntimeVersion", default="<unknown>"), priority=1
        ),
    ),
    ("", "Service"): (
        Cell("Type", _of("spec", "type", default="")),
        Cell("Cluster-IP", _of("spec", "clusterIP")),
        Cell("External-IP", _external),
        Cell("Port(s)", _ports),
        _AGE,
        _SELECTOR,
    ),
    ("", "Endpoints"): (Cell("Endpoints", _endpoints), _AGE),
    ("", "ConfigMap"): (
        Cell("Data", lambda obj: len(obj.get("data") or ()) + len(obj.get("binaryData") or ()), "integer"),
        _AGE,
    ),
    ("", "Secret"): (
        Cell("Type", _of("type", default="")),
        Cell("Data", lambda obj: len(obj.get("data") or ()), "integer"),
        _AGE,
    ),
    ("", "ServiceAccount"): (Cell("Secrets", lambda obj: len(obj.get("secrets") or ()), "integer"), _AGE),
    ("", "Event"): (
        Cell("Last Seen", ".lastTimestamp", "date"),
        Cell("Type", _of("type", default="")),
        Cell("Reason", _of("reason", default="")),
        Cell("Object", _event_object),
        Cell("Message", _of("message", default="")),
    ),
    ("", "PersistentVolumeClaim"): (
        Cell("Status", _of("status", "phase", default="")),
        Cell("Volume", _of("spec", "volumeName", default="")),
        Cell("Capacity", _of("status", "capacity", "storage", default="")),
        Cell("Access Modes", lambda obj: ",".join(obj["spec"].get("accessModes") or ())),
        Cell("StorageClass", _of("spec", "storageClassName", default="")),
        _AGE,
    ),
    ("", "ReplicationController"): _SCALED,
    ("apps", "ReplicaSet"): _SCALED,
    ("apps", "Deployment"): (
        Cell("Ready", _ready_of("replicas")),
        Cell("Up-to-date", lambda obj: _status(obj, "updatedReplicas"), "integer"),
        Cell("Available", lambda obj: _status(obj, "availableReplicas"), "integer"),
        _AGE,
        _CONTAINERS,
        _IMAGES,
        _SELECTOR,
    ),
    ("apps", "StatefulSet"): (Cell("Ready", _ready_of("replicas")), _AGE, _CONTAINERS, _IMAGES),
    ("apps", "DaemonSet"): (
        Cell("Desired", lambda obj: _status(obj, "desiredNumberScheduled"), "integer"),
        Cell("Current", lambda obj: _status(obj, "currentNumberScheduled"), "integer"),
        Cell("Ready", lambda obj: _status(obj, "numberReady"), "integer"),
        Cell("Up-to-date", lambda obj: _status(obj, "updatedNumberScheduled"), "integer"),
        Cell("Available", lambda obj: _status(obj, "numberAvailable"), "integer"),
        _AGE,
        _CONTAINERS,
        _IMAGES,
        _SELECTOR,
    ),
    ("batch", "Job"): (
        Cell("Status", _job_status),
        Cell("Completions", _completions),
        _AGE,
        _CONTAINERS,
        _IMAGES,
        _SELECTOR,
    ),
    ("batch", "CronJob"): (
        Cell("Schedule", _of("spec", "schedule", default="")),
        Cell("Suspend", lambda obj: str(bool(obj["spec"].get("suspend")))),
        Cell("Active", lambda obj: len((obj.get("status") or {}).get("active") or ()), "integer"),
        Cell("Last Schedule", ".status.lastScheduleTime", "date"),
        _AGE,
        _CONTAINERS,
        _IMAGES,
    ),
    ("autoscaling", "HorizontalPodAutoscaler"): (
        Cell("Reference", lambda obj: "{kind}/{name}".format(**obj["spec"]["scaleTargetRef"])),
        Cell("MinPods", _of("spec", "minReplicas", default=1)),
        Cell("MaxPods", _of("spec", "maxReplicas", default=0)),
        Cell("Replicas", lambda obj: _status(obj, "currentReplicas"), "integer"),
        _AGE,
    ),
    ("policy", "PodDisruptionBudget"): (
        Cell("Min Available", lambda obj: str(_of("spec", "minAvailable", default="N/A")(obj))),
        Cell("Max Unavailable", lambda obj: str(_of("spec", "maxUnavailable", default="N/A")(obj))),
        Cell("Allowed Disruptions", lambda obj: _status(obj, "disruptionsAllowed"), "integer"),
        _AGE,
    ),
    ("discovery.k8s.io", "EndpointSlice"): (
        Cell("AddressType", _of("addressType", default="")),
        Cell("Ports", _slice_ports),
        Cell("Endpoints", _slice_endpoints),
        _AGE,
    ),
    ("coordination.k8s.io", "Lease"): (Cell("Holder", _of("spec", "holderIdentity", default="")), _AGE),
    ("scheduling.k8s.io", "PriorityClass"): (
        Cell("Value", _of("value", default=0), "integer"),
        Cell("Global-Default", lambda obj: bool(obj.get("globalDefault")), "boolean"),
        _AGE,
    ),
    ("storage.k8s.io", "StorageClass"): (
        Cell("Provisioner", _of("provisioner", default="")),
        Cell("ReclaimPolicy", _of("reclaimPolicy", default="Delete")),
        Cell("VolumeBindingMode", _of("volumeBindingMode", default="Immediate")),
        Cell("AllowVolumeExpansion", lambda obj: bool(obj.get("allowVolumeExpansion")), "boolean"),
        _AGE,
    ),
    ("rbac.authorization.k8s.io", "RoleBinding"): (_ROLE, _AGE, Cell("Subjects", _subjects, priority=1)),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): (_ROLE, _AGE, Cell("Subjects", _subjects, priority=1)),
    ("rbac.authorization.k8s.io", "Role"): (Cell("Created At", ".metadata.creationTimestamp"),),
    ("rbac.authorization.k8s.io", "ClusterRole"): (Cell("Created At", ".metadata.creationTimestamp"),),
    ("resource.k8s.io", "ResourceClaim"): (Cell("State", _claim_state), _AGE),
    ("resource.k8s.io", "ResourceSlice"): (
        Cell("Node", _of("spec", "nodeName", default="<unset>")),
        Cell("Driver", _of("spec", "driver", default="")),
        Cell("Pool", _of("spec", "pool", "name", default="")),
        _AGE,
    ),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): (Cell("Created At", ".metadata.creationTimestamp"),),
}
COLUMNS["events.k8s.io", "Event"] = (
    Cell("Last Seen", ".deprecatedLastTimestamp", "date"),
    *COLUMNS["", "Event"][1:4],
    Cell("Message", _of("note", default="")),
)

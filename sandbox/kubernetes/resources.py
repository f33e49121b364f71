# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the API server serves: the table of builtin kinds and the registry that CRDs join at run time."""

from __future__ import annotations

import dataclasses
import functools
import typing as t
from collections.abc import Iterator

from sandbox.kubernetes.schema import Schema, builtin_schema, from_openapi

Json = dict[str, t.Any]

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")

# Kinds whose DELETE answers with the object that went rather than with a Status.
_ANSWERS_DELETED = frozenset(
    {"Pod", "Service", "ServiceAccount", "PersistentVolumeClaim", "PersistentVolume", "ResourceClaim", "DeviceClass"}
)
# Kinds without metadata.generation although they have a spec (or rules).
_NO_GENERATION = frozenset({"Namespace", "Node", "PersistentVolume", "PersistentVolumeClaim", "Lease", "ResourceClaim"})


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of ``kubectl get``: ``path`` is a JSONPath (".spec.replicas"); priority 0 shows without -o wide."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0
    format: str = ""
    description: str = ""


@dataclasses.dataclass(frozen=True)
class ScalePaths:
    """Where a kind keeps what autoscaling/v1 Scale shows (JSONPaths); ``selector``: a string or an object."""

    spec: str = ".spec.replicas"
    status: str = ".status.replicas"
    selector: str | None = ".spec.selector"


@dataclasses.dataclass(frozen=True)
class ResourceType:
    """One kind in one version. ``table`` names its store: shared by the versions of a kind."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    singular: str = ""
    table: str = ""
    verbs: tuple[str, ...] = VERBS
    list_kind: str = ""
    custom: bool = False
    columns: tuple[Column, ...] = ()
    scale: ScalePaths | None = None
    selectable: tuple[str, ...] = ()
    own_schema: Schema | None = None

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """ "deployments.apps": how messages name the resource."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def has_status(self) -> bool:
        return "status" in self.subresources

    @property
    def has_generation(self) -> bool:
        return self.custom or (self.has_status and self.kind not in _NO_GENERATION)

    @property
    def answers_deleted(self) -> bool:
        return self.kind in _ANSWERS_DELETED

    @property
    def schema(self) -> Schema:
        return self.own_schema or _builtin(self.group, self.version, self.kind)


@functools.cache
def _builtin(group: str, version: str, kind: str) -> Schema:
    return builtin_schema(group, version, kind) or from_openapi(
        {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    )


def _kinds(api: str, *rows: str) -> Iterator[ResourceType]:
    """Rows: ``plural Kind scope [short=a,b] [sub=status,scale] [cat=all] [table=other/plural] [verbs=create]``."""
    group, _unused, version = api.rpartition("/")
    for row in rows:
        plural, kind, scope, *options = row.split()
        given = {name: tuple(value.split(",")) for name, value in (option.split("=") for option in options)}
        subresources = given.get("sub", ())
        yield ResourceType(
            group=group,
            version=version,
            plural=plural,
            kind=kind,
            namespaced=scope == "ns",
            short=given.get("short", ()),
            categories=given.get("cat", ()),
            subresources=subresources,
            singular=kind.lower(),
            table="".join(given.get("table", (f"{group}/{plural}",))),
            verbs=given.get("verbs", VERBS),
            list_kind=f"{kind}List",
            scale=ScalePaths() if "scale" in subresources else None,
        )


BUILTIN: tuple[ResourceType, ...] = (
    *_kinds(
        "v1",
        "bindings Binding ns verbs=create",
        "configmaps ConfigMap ns short=cm",
        "endpoints Endpoints ns short=ep",
        "events Event ns short=ev",
        "limitranges LimitRange ns short=limits",
        "namespaces Namespace cluster short=ns sub=status,finalize",
        "nodes Node cluster short=no sub=status",
        "persistentvolumeclaims PersistentVolumeClaim ns short=pvc sub=status",
        "persistentvolumes PersistentVolume cluster short=pv sub=status",
        "pods Pod ns short=po sub=status,log,binding,eviction cat=all",
        "podtemplates PodTemplate ns",
        "replicationcontrollers ReplicationController ns short=rc sub=status,scale cat=all",
        "resourcequotas ResourceQuota ns short=quota sub=status",
        "secrets Secret ns",
        "serviceaccounts ServiceAccount ns short=sa",
        "services Service ns short=svc sub=status cat=all",
    ),
    *_kinds(
        "apps/v1",
        "controllerrevisions ControllerRevision ns",
        "daemonsets DaemonSet ns short=ds sub=status cat=all",
        "deployments Deployment ns short=deploy sub=status,scale cat=all",
        "replicasets ReplicaSet ns short=rs sub=status,scale cat=all",
        "statefulsets StatefulSet ns short=sts sub=status,scale cat=all",
    ),
    *_kinds("batch/v1", "cronjobs CronJob ns short=cj sub=status cat=all", "jobs Job ns sub=status cat=all"),
    *_kinds("autoscaling/v2", "horizontalpodautoscalers HorizontalPodAutoscaler ns short=hpa sub=status cat=all"),
    *_kinds("policy/v1", "poddisruptionbudgets PodDisruptionBudget ns short=pdb sub=status"),
    *_kinds("discovery.k8s.io/v1", "endpointslices EndpointSlice ns"),
    *_kinds("events.k8s.io/v1", "events Event ns short=ev table=/events"),
    *_kinds("coordination.k8s.io/v1", "leases Lease ns"),
    *_kinds("scheduling.k8s.io/v1", "priorityclasses PriorityClass cluster short=pc"),
    *_kinds("node.k8s.io/v1", "runtimeclasses RuntimeClass cluster"),
    *_kinds(
        "networking.k8s.io/v1",
        "ingressclasses IngressClass cluster",
        "ingresses Ingress ns short=ing sub=status",
        "networkpolicies NetworkPolicy ns short=netpol",
    ),
    *_kinds(
        "storage.k8s.io/v1",
        "csidrivers CSIDriver cluster",
        "csinodes CSINode cluster",
        "storageclasses StorageClass cluster short=sc",
        "volumeattachments VolumeAttachment cluster sub=status",
    ),
    *_kinds(
        "rbac.authorization.k8s.io/v1",
        "clusterrolebindings ClusterRoleBinding cluster",
        "clusterroles ClusterRole cluster",
        "rolebindings RoleBinding ns",
        "roles Role ns",
    ),
    *_kinds(
        "resource.k8s.io/v1",
        "deviceclasses DeviceClass cluster",
        "resourceclaims ResourceClaim ns sub=status",
        "resourceclaimtemplates ResourceClaimTemplate ns",
        "resourceslices ResourceSlice cluster",
    ),
    *_kinds(
        "admissionregistration.k8s.io/v1",
        "mutatingwebhookconfigurations MutatingWebhookConfiguration cluster",
        "validatingadmissionpolicies ValidatingAdmissionPolicy cluster sub=status",
        "validatingadmissionpolicybindings ValidatingAdmissionPolicyBinding cluster",
        "validatingwebhookconfigurations ValidatingWebhookConfiguration cluster",
    ),
    *_kinds(
        "apiextensions.k8s.io/v1",
        "customresourcedefinitions CustomResourceDefinition cluster short=crd,crds sub=status cat=api-extensions",
    ),
    *_kinds("apiregistration.k8s.io/v1", "apiservices APIService cluster sub=status cat=api-extensions"),
    *_kinds(
        "authorization.k8s.io/v1",
        "localsubjectaccessreviews LocalSubjectAccessReview ns verbs=create",
        "selfsubjectaccessreviews SelfSubjectAccessReview cluster verbs=create",
        "selfsubjectrulesreviews SelfSubjectRulesReview cluster verbs=create",
        "subjectaccessreviews SubjectAccessReview cluster verbs=create",
    ),
    *_kinds(
        "authentication.k8s.io/v1",
        "selfsubjectreviews SelfSubjectReview cluster verbs=create",
        "tokenreviews TokenReview cluster verbs=create",
    ),
)

CRD_TABLE = "apiextensions.k8s.io/customresourcedefinitions"


def crd_types(crd: Json) -> list[ResourceType]:
    """The served versions of a CustomResourceDefinition, the storage version's shape for each."""
    spec = crd["spec"]
    names = spec["names"]
    served = []
    for version in spec["versions"]:
        if not version.get("served", True):
            continue
        subresources = version.get("subresources") or {}
        scale = subresources.get("scale")
        columns = [
            Column(
                name=column["name"],
                path=column["jsonPath"],
                type=column["type"],
                priority=column.get("priority", 0),
                format=column.get("format", ""),
                description=column.get("description", ""),
            )
            for column in version.get("additionalPrinterColumns") or ()
        ]
        served.append(
            ResourceType(
                group=spec["group"],
                version=version["name"],
                plural=names["plural"],
                kind=names["kind"],
                namespaced=spec["scope"] == "Namespaced",
                short=tuple(names.get("shortNames") or ()),
                categories=tuple(names.get("categories") or ()),
                subresources=tuple(name for name in ("status", "scale") if name in subresources),
                singular=names.get("singular") or names["kind"].lower(),
                table=f"{spec['group']}/{names['plural']}",
                list_kind=names.get("listKind") or f"{names['kind']}List",
                custom=True,
                columns=tuple(columns) or (Column("Age", ".metadata.creationTimestamp", "date"),),
                scale=scale
                and ScalePaths(
                    scale["specReplicasPath"], scale["statusReplicasPath"], scale.get("labelSelectorPath") or None
                ),
                selectable=tuple(field["jsonPath"].lstrip(".") for field in version.get("selectableFields") or ()),
                own_schema=from_openapi((version.get("schema") or {}).get("openAPIV3Schema") or {"type": "object"}),
            )
        )
    return served


def version_rank(version: str) -> tuple[int, int, int]:
    """Sort key of Kubernetes' version priority: v2 > v1 > v1beta2 > v1alpha1 (highest first when sorted descending)."""
    major, rest = version.removeprefix("v"), ""
    for stage in ("alpha", "beta"):
        if stage in major:
            major, _unused, rest = major.partition(stage)
            return ({"alpha": 1, "beta": 2}[stage], _number(major), _number(rest))
    return (3, _number(major), 0)


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0


class Registry:
    """Finds a resource type by its path; CRDs come and go."""

    def __init__(self) -> None:
        self._types = {(item.group, item.version, item.plural): item for item in BUILTIN}
        self._of_crd: dict[str, list[ResourceType]] = {}
        self.generation = 0  # changes whenever the set of types does, for caches

    def find(self, group: str, version: str, plural: str) -> ResourceType | None:
        return self._types.get((group, version, plural))

    def by_kind(self, group: str, kind: str, version: str | None = None) -> ResourceType | None:
        found = [item for item in self._types.values() if item.group == group and item.kind == kind]
        if version is not None:
            found = [item for item in found if item.version == version]
        return max(found, key=lambda item: version_rank(item.version), default=None)

    def of_table(self, table: str) -> ResourceType:
        """Any type stored in ``table``, its own group's first. Raises KeyError when there is none any more."""
        for item in self._types.values():
            if item.table == table:
                return item
        raise KeyError(table)

    def all(self) -> list[ResourceType]:
        return list(self._types.values())

    def groups(self) -> dict[str, list[str]]:
        """Group -> versions, the preferred first; the core group is ""."""
        found: dict[str, list[str]] = {}
        for group, version, _plural in self._types:
            versions = found.setdefault(group, [])
            if version not in versions:
                versions.append(version)
        for versions in found.values():
            versions.sort(key=version_rank, reverse=True)
        return found

    def serve(self, crd: Json) -> None:
        """Serve the kinds of this CustomResourceDefinition, in place of what it declared before."""
        self.withdraw(crd["metadata"]["name"])
        types = crd_types(crd)
        self._of_crd[crd["metadata"]["name"]] = types
        self._types.update({(item.group, item.version, item.plural): item for item in types})
        self.generation += 1

    def withdraw(self, name: str) -> None:
        for item in self._of_crd.pop(name, ()):
            del self._types[(item.group, item.version, item.plural)]
            self.generation += 1

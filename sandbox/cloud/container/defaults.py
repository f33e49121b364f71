# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a cluster gets where the request says nothing."""

from __future__ import annotations

from ...catalogue import versions
from ...interfaces import Json
from .documents import merged

DEFAULT_SCOPES = tuple(
    f"https://www.googleapis.com/auth/{scope}"
    for scope in (
        "devstorage.read_only",
        "logging.write",
        "monitoring",
        "service.management.readonly",
        "servicecontrol",
        "trace.append",
    )
)
DEFAULTS: Json = {
    "addonsConfig": {
        "dnsCacheConfig": {"enabled": True},
        "gcePersistentDiskCsiDriverConfig": {"enabled": True},
        "kubernetesDashboard": {"disabled": True},
        "networkPolicyConfig": {"disabled": True},
    },
    "anonymousAuthenticationConfig": {"mode": "ENABLED"},
    "autopilot": {},
    "autoscaling": {
        "autoscalingProfile": "BALANCED",
        "autoprovisioningNodePoolDefaults": {
            "imageType": "COS_CONTAINERD",
            "management": {"autoRepair": True, "autoUpgrade": True},
            "oauthScopes": list(DEFAULT_SCOPES),
            "serviceAccount": "default",
        },
    },
    "binaryAuthorization": {},
    "controlPlaneEgress": {"mode": "VIA_CONTROL_PLANE"},
    "databaseEncryption": {"state": "DECRYPTED", "currentState": "CURRENT_STATE_DECRYPTED"},
    "defaultMaxPodsConstraint": {"maxPodsPerNode": "110"},
    "enterpriseConfig": {"clusterTier": "STANDARD"},
    "legacyAbac": {},
    "loggingConfig": {"componentConfig": {"enableComponents": ["SYSTEM_COMPONENTS", "WORKLOADS"]}},
    "loggingService": "logging.googleapis.com/kubernetes",
    "masterAuth": {"clientCertificateConfig": {}},
    "monitoringConfig": {
        "advancedDatapathObservabilityConfig": {},
        "componentConfig": {
            "enableComponents": [
                *("SYSTEM_COMPONENTS", "STORAGE", "HPA", "POD", "DAEMONSET", "DEPLOYMENT", "STATEFULSET"),
                *("CADVISOR", "KUBELET", "DCGM", "JOBSET"),
            ]
        },
        "managedPrometheusConfig": {"enabled": True},
    },
    "monitoringService": "monitoring.googleapis.com/kubernetes",
    "nodePoolAutoConfig": {"nodeKubeletConfig": {"insecureKubeletReadonlyPortEnabled": False}},
    "nodePoolDefaults": {
        "nodeConfigDefaults": {
            "loggingConfig": {"variantConfig": {"variant": "DEFAULT"}},
            "nodeKubeletConfig": {"insecureKubeletReadonlyPortEnabled": False},
        }
    },
    "notificationConfig": {"pubsub": {}},
    "podAutoscaling": {"hpaProfile": "PERFORMANCE"},
    "rbacBindingConfig": {
        "enableInsecureBindingSystemAuthenticated": True,
        "enableInsecureBindingSystemUnauthenticated": True,
    },
    "securityPostureConfig": {"mode": "BASIC", "vulnerabilityMode": "VULNERABILITY_MODE_UNSPECIFIED"},
    "shieldedNodes": {"enabled": True},
    "userManagedKeysConfig": {},
}
# What clusters of these versions and later get on top.
SINCE: dict[tuple[int, int], Json] = {
    (1, 35): {
        "addonsConfig": {"nodeReadinessConfig": {}},
        "anonymousAuthenticationConfig": {"mode": "LIMITED"},
        "nodeCreationConfig": {"nodeCreationMode": "VIA_KUBELET"},
    }
}
# What an Autopilot cluster has besides, whatever the request says.
# Source: https://cloud.google.com/kubernetes-engine/docs/resources/autopilot-standard-feature-comparison
AUTOPILOT: Json = {
    "addonsConfig": {
        "gcpFilestoreCsiDriverConfig": {"enabled": True},
        "gcsFuseCsiDriverConfig": {"enabled": True},
        "horizontalPodAutoscaling": {},
        "httpLoadBalancing": {},
        "statefulHaConfig": {},
    },
    "autoscaling": {
        "autoscalingProfile": "OPTIMIZE_UTILIZATION",
        "enableNodeAutoprovisioning": True,
        "resourceLimits": [
            {"resourceType": "cpu", "maximum": "1000000000"},
            {"resourceType": "memory", "maximum": "1000000000"},
        ],
    },
    "defaultMaxPodsConstraint": {"maxPodsPerNode": "32"},
    "verticalPodAutoscaling": {"enabled": True},
}
AUTOPILOT_NETWORK: Json = {
    "datapathProvider": "ADVANCED_DATAPATH",
    "dnsConfig": {"clusterDns": "CLOUD_DNS", "clusterDnsDomain": "cluster.local", "clusterDnsScope": "CLUSTER_SCOPE"},
    "enableIntraNodeVisibility": True,
    "gatewayApiConfig": {"channel": "CHANNEL_STANDARD"},
}
AUTOPILOT_POOL: Json = {
    "name": "default-pool",
    "initialNodeCount": 1,
    "config": {
        "machineType": "e2-medium",
        "shieldedInstanceConfig": {"enableIntegrityMonitoring": True, "enableSecureBoot": True},
        "gvnic": {"enabled": True},
    },
    "autoscaling": {"enabled": True, "maxNodeCount": 1000, "autoprovisioned": True},
    "maxPodsConstraint": {"maxPodsPerNode": "32"},
}


def of(version: str, *, autopilot: bool) -> Json:
    """The defaults of a cluster of this version."""
    found = DEFAULTS
    for since, more in SINCE.items():
        if versions.key(version)[:2] >= since:
            found = merged(found, more)
    return merged(found, AUTOPILOT if autopilot else {})

# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""Argument specifications that modules share; documented in doc_fragments/_gcp.py, _labels.py and _wait.py."""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import env_fallback

Spec = dict[str, t.Any]

CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"


def _from_env(name: str, **spec: t.Any) -> Spec:
    return {"fallback": (env_fallback, [name]), **spec}


GCP_SPEC: Spec = {
    "project": _from_env("GCP_PROJECT", type="str"),
    "auth_kind": _from_env(
        "GCP_AUTH_KIND",
        type="str",
        choices=["application", "serviceaccount", "machineaccount", "accesstoken"],
        default="application",
    ),
    "service_account_file": _from_env("GCP_SERVICE_ACCOUNT_FILE", type="path"),
    "service_account_contents": _from_env("GCP_SERVICE_ACCOUNT_CONTENTS", type="jsonarg", no_log=True),
    "service_account_email": _from_env("GCP_SERVICE_ACCOUNT_EMAIL", type="str"),
    "access_token": _from_env("GCP_ACCESS_TOKEN", type="str", no_log=True),
    "scopes": _from_env("GCP_SCOPES", type="list", elements="str", default=[CLOUD_PLATFORM]),
    "impersonate_service_account": _from_env("GCP_IMPERSONATE_SERVICE_ACCOUNT", type="str"),
    "quota_project": _from_env("GCP_QUOTA_PROJECT", type="str"),
    "universe_domain": _from_env("GCP_UNIVERSE_DOMAIN", type="str"),
    "api_endpoints": {"type": "dict", "default": {}},
}

PURGE_SPEC: Spec = {"purge_labels": {"type": "bool", "default": False}}
STATE_SPEC: Spec = {"state": {"type": "str", "choices": ["present", "absent"], "default": "present"}}

LABELS_SPEC: Spec = {"labels": {"type": "dict"}, **PURGE_SPEC}


def wait_spec(timeout: int) -> Spec:
    """``timeout``: the module's default, in seconds; its documentation states the same number."""
    return {"wait": {"type": "bool", "default": True}, "wait_timeout": {"type": "int", "default": timeout}}

# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the options that every module on Google Cloud has; specified in module_utils/_gcp/spec.py."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  project:
    description:
      - ID of the Google Cloud project.
      - When not given it is taken from the credentials, where they name one.
      - Environment variable E(GCP_PROJECT) is the fall-back.
    type: str
  auth_kind:
    description:
      - Where the credentials come from.
      - V(application) uses application default credentials, as C(gcloud auth application-default login),
        the metadata server or workload identity federation provide them.
      - V(serviceaccount) uses the key in O(service_account_file) or O(service_account_contents).
      - V(machineaccount) uses the service account of the machine that runs the module.
      - V(accesstoken) uses O(access_token) as it is.
      - Environment variable E(GCP_AUTH_KIND) is the fall-back.
    type: str
    choices: [application, serviceaccount, machineaccount, accesstoken]
    default: application
  service_account_file:
    description:
      - Path of a service account's JSON key; needs O(auth_kind=serviceaccount).
      - Environment variable E(GCP_SERVICE_ACCOUNT_FILE) is the fall-back.
    type: path
  service_account_contents:
    description:
      - A service account's JSON key itself; needs O(auth_kind=serviceaccount).
      - Environment variable E(GCP_SERVICE_ACCOUNT_CONTENTS) is the fall-back.
    type: jsonarg
  service_account_email:
    description:
      - Which of the machine's service accounts to use; needs O(auth_kind=machineaccount).
        The machine's default account when not given.
      - Environment variable E(GCP_SERVICE_ACCOUNT_EMAIL) is the fall-back.
    type: str
  access_token:
    description:
      - An OAuth2 access token; needs O(auth_kind=accesstoken).
      - Environment variable E(GCP_ACCESS_TOKEN) is the fall-back.
    type: str
  scopes:
    description:
      - OAuth2 scopes to ask for.
      - Environment variable E(GCP_SCOPES) (separated by commas) is the fall-back.
    type: list
    elements: str
    default: ["https://www.googleapis.com/auth/cloud-platform"]
  impersonate_service_account:
    description:
      - Email of a service account to act as. The credentials need C(roles/iam.serviceAccountTokenCreator) on it.
      - Environment variable E(GCP_IMPERSONATE_SERVICE_ACCOUNT) is the fall-back.
    type: str
  quota_project:
    description:
      - ID of the project that is charged for the quota of the requests.
      - Environment variable E(GCP_QUOTA_PROJECT) is the fall-back.
    type: str
  universe_domain:
    description:
      - Domain of a sovereign cloud. When not given it is that of the credentials, V(googleapis.com) in general.
      - Environment variable E(GCP_UNIVERSE_DOMAIN) is the fall-back.
    type: str
  api_endpoints:
    description:
      - Base URL per service, in place of Google's public one (private endpoints, a sandbox).
      - Services are V(cloudresourcemanager), V(compute), V(container), V(gkehub), V(iam), V(serviceusage) and
        V(storage). The URL of V(compute) ends in C(/compute/v1/), that of V(storage) in C(/storage/v1/),
        the others end before the version. The same URLs serve C(gcloud) as endpoint overrides.
      - Plain C(http) is accepted for loopback addresses only, since the access token travels with each request.
    type: dict
    default: {}
requirements:
  - python >= 3.11
  - google-auth >= 2.40
  - requests >= 2.32
"""

# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""How a module says which cluster it means; the options' documentation is doc_fragments/_kube.py."""

from __future__ import annotations

import typing as t

Spec = dict[str, t.Any]

_CONNECTION = {"endpoint": {"type": "str"}, "ca_certificate": {"type": "str"}}

KUBE_SPEC: Spec = {
    "cluster": {"type": "str"},
    "location": {"type": "str"},
    "connection": {"type": "dict", "options": _CONNECTION},
    "kubeconfig": {"type": "path"},
    "context": {"type": "str"},
}

KUBE_RULES: Spec = {
    "mutually_exclusive": [("cluster", "connection", "kubeconfig")],
    "required_one_of": [("cluster", "connection", "kubeconfig")],
    "required_by": {"cluster": ("location",), "context": ("kubeconfig",)},
}

# The same for a second cluster, which may be left out.
IMPORT_SPEC: Spec = {f"import_{name}": option for name, option in KUBE_SPEC.items()}

IMPORT_RULES: Spec = {
    "mutually_exclusive": [("import_cluster", "import_connection", "import_kubeconfig")],
    "required_by": {"import_cluster": ("import_location",), "import_context": ("import_kubeconfig",)},
}


def with_import(rules: Spec) -> Spec:
    """The rules of both clusters."""
    return {
        **rules,
        "mutually_exclusive": rules["mutually_exclusive"] + IMPORT_RULES["mutually_exclusive"],
        "required_by": {**rules["required_by"], **IMPORT_RULES["required_by"]},
    }

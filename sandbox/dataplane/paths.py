# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mounts without mount namespaces: paths inside of a container become the directories behind its mounts."""

from __future__ import annotations

import re
from collections.abc import Mapping


class Translator:
    """Replaces mount paths wherever a path can begin: a whole argument, --opt=/data, PYTHONPATH=/a:/b, in a script.

    ``mounts``: mount path -> host path. A mount path inside of a longer word
    (gs://bucket/data, /var/data, /database) is not a path below the mount and stays.
    """

    def __init__(self, mounts: Mapping[str, str]) -> None:
        self._mounts = {mount.rstrip("/"): host for mount, host in mounts.items() if mount.rstrip("/")}
        longest_first = sorted(self._mounts, key=len, reverse=True)
        self._pattern = re.compile(r"(?<![\w./}-])(" + "|".join(map(re.escape, longest_first)) + r")(?![\w.-])")

    def __call__(self, text: str) -> str:
        if not self._mounts:
            return text
        return self._pattern.sub(lambda match: self._mounts[match[1]], text)


def expand(text: str, variables: Mapping[str, str]) -> str:
    """$(NAME) as Kubernetes expands it in commands and values: unknown names stay, $$ is a dollar."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name is None:
            return "$"
        return variables.get(name, match[0])

    return re.sub(r"\$\$|\$\(([^)]*)\)", value, text)

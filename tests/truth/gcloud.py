# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The real gcloud, pointed at a sandbox by nothing but overridden endpoints and a token file."""

from __future__ import annotations

import json
import os
import subprocess
import typing as t
from pathlib import Path

Json = dict[str, t.Any]

TIMEOUT = 180.0


class Gcloud:
    """``status``: what `python -m sandbox status --json` answers; ``home``: gcloud's configuration and the token."""

    def __init__(self, status: Json, home: Path) -> None:
        self.project: str = status["project"]
        self._taken: list[str] = []
        token = home / "token"
        token.touch(0o600)
        token.write_text(status["token"])
        overrides = {
            f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{service.upper()}": url for service, url in status["endpoints"].items()
        }
        self.environment = {
            **os.environ,
            **overrides,
            "CLOUDSDK_CONFIG": str(home / "gcloud"),
            "CLOUDSDK_CORE_PROJECT": self.project,
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
            "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
            "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": str(token),
            "KUBECONFIG": str(home / "kubeconfig"),
            "NO_PROXY": "127.0.0.0/8",
            "no_proxy": "127.0.0.0/8",
        }

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["gcloud", *arguments],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )

    def __call__(self, *arguments: str) -> t.Any:
        """Run a command that must succeed; returns what it prints with --format=json."""
        return json.loads(self.succeed(*arguments, "--format=json") or "null")

    def succeed(self, *arguments: str) -> str:
        """Run a command that must succeed; returns what it prints."""
        done = self.run(*arguments)
        assert done.returncode == 0, f"gcloud {' '.join(arguments)}\n{done.stderr}"
        self._taken.append(" ".join(["gcloud", *arguments[:4]]))
        return done.stdout

    def refused(self, *arguments: str) -> str:
        """Run a command that must fail; returns what it says."""
        done = self.run(*arguments)
        assert done.returncode != 0, f"gcloud {' '.join(arguments)} was not refused:\n{done.stdout}"
        self._taken.append(" ".join(["gcloud", *arguments[:4]]))
        return done.stderr

    def taken(self) -> list[str]:
        """The commands that ended as they should since this was last asked."""
        taken, self._taken = self._taken, []
        return taken

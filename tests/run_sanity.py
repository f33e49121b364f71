# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs ansible-test sanity without downloads from outside the package index.

ansible-test insists on a tree named after the collection, and fetches a script
that installs pip; a script of the same name in its cache, which uses the pip
that Python brings, spares that.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import ansible_test

from tests.checkout import ROOT, copy_collection

STUB = """\
import subprocess
import sys

subprocess.run([sys.executable, "-m", "ensurepip"], check=True)
subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "pip==$PIP"], check=True)
"""


def pip_version() -> str:
    """The pip that this ansible-test bootstraps."""
    source = Path(ansible_test.__file__).parent / "_internal" / "python_requirements.py"
    found = re.search(r"pip='([0-9.]+)'", source.read_text(encoding="utf-8"))
    if found is None:
        sys.exit(f"{source} names no version of pip any more: this script must learn where it is now")
    return found.group(1)


def main() -> int:
    cache = ROOT / ".cache" / "sanity"
    collection = copy_collection(cache)
    home = cache / "home"
    stub = home / ".ansible/test/cache" / f"get_pip_{pip_version().replace('.', '_')}.py"
    stub.parent.mkdir(parents=True, exist_ok=True)
    stub.write_text(STUB.replace("$PIP", pip_version()), encoding="utf-8")
    # ansible-test asks git for the files; without a repository of its own the copy is an ignored folder of ours.
    subprocess.run(["git", "init", "--quiet"], cwd=collection, check=True)
    environment = {**os.environ, "HOME": str(home), "LC_ALL": "C.UTF-8"}
    environment.pop("ANSIBLE_CONFIG", None)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    command = [str(Path(sys.executable).parent / "ansible-test"), "sanity", "--python", version, "--requirements"]
    return subprocess.run([*command, *sys.argv[1:]], cwd=collection, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

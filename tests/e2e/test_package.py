# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is shipped works from where it is installed, and says what it is."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.checkout import copy_collection
from tests.e2e.estate import BIN, ROOT, Estate, run


def build_and_install(directory: Path) -> tuple[Path, Path]:
    """Build the tarball from a clean copy and install it; returns (tarball, collections path)."""
    source = copy_collection(directory / "source")
    empty = directory / "ansible.cfg"
    empty.touch()
    environment = {**os.environ, "ANSIBLE_CONFIG": str(empty)}
    galaxy = [str(BIN / "ansible-galaxy"), "collection"]
    build = run([*galaxy, "build", "--output-path", str(directory)], cwd=source, env=environment)
    assert build.code == 0, build.output
    [tarball] = directory.glob("aiserving-gke-*.tar.gz")
    installed = directory / "installed"
    install = run([*galaxy, "install", "--offline", "-p", str(installed), str(tarball)], cwd=directory, env=environment)
    assert install.code == 0, install.output
    return tarball, installed


def test_playbooks_run_from_the_installed_collection(built: Estate, tmp_path: Path) -> None:
    _tarball, installed = build_and_install(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {
        "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(installed),
        "PYTHONPATH": "",
    }
    site = built.play("aiserving.gke.site", "--check", cwd=elsewhere, **environment)
    assert site.code == 0, site.output
    assert site.changed() == 0, site.output
    drill = built.play("aiserving.gke.failover_drill", "--check", cwd=elsewhere, **environment)
    assert drill.code == 0, drill.output


def test_the_importer_accepts_the_tarball(tmp_path: Path) -> None:
    tarball, _installed = build_and_install(tmp_path)
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    done = run([sys.executable, "-m", "galaxy_importer.main", str(tarball)], cwd=tmp_path, env=environment)
    assert "Importer processing completed successfully" in done.output, done.output


def test_the_example_inventory_fits_the_playbooks(estate: Estate) -> None:
    for playbook in ("site.yml", "failover_drill.yml"):
        syntax = estate.play(playbook, "-i", str(ROOT / "inventories" / "example"), "--syntax-check")
        assert syntax.code == 0, syntax.output

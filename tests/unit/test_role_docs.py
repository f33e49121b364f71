# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a role's README says of its variables is what its argument specs and defaults say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.role_docs import BEGIN, END, ROLES, table


@pytest.mark.parametrize("role", sorted(path for path in ROLES.iterdir() if path.is_dir()), ids=lambda path: path.name)
def test_the_readme_has_the_table_of_today(role: Path) -> None:
    section = (role / "README.md").read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]
    assert section.strip() == table(role), "run: python -m tests.role_docs"

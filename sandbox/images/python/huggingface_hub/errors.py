# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The errors that huggingface_hub raises, as far as downloads meet them."""

from __future__ import annotations


class HfHubHTTPError(OSError):
    """The hub refused."""


class RepositoryNotFoundError(HfHubHTTPError):
    """No such repository, or a private one."""


class GatedRepoError(RepositoryNotFoundError):
    """The repository's licence has to be accepted, and the token of who did so sent."""


class HFValidationError(ValueError):
    """Not the name of a repository."""

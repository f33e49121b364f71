# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stands for huggingface_hub where there is no Internet: downloads make small files of the right shape."""

from ._api import HfApi, ModelInfo, model_info
from ._download import hf_hub_download, snapshot_download

__version__ = "0.36.0"
__all__ = ["HfApi", "ModelInfo", "hf_hub_download", "model_info", "snapshot_download"]

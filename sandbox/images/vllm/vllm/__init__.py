# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stands for vLLM where there is no accelerator: its command line and its HTTP API, with made-up answers."""

__version__ = "0.11.1"

# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`make google PROJECT=...`: the collection played on a real project, what it costs told before, and all of it removed.

What Google answered is written down, redacted, so that it can be attached to a report and replayed by our tests.
"""

# SPDX-License-Identifier: Apache-2.0
"""Nothing is wrong here, but the import."""

from package import old_base


class OfOld(old_base.OldBase):
    pass

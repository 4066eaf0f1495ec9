"""An adapter whose requirement is not installed."""

import a_module_that_nobody_has


class Broken:
    """Never imported."""

    module = a_module_that_nobody_has

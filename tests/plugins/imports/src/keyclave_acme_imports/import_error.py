"""It needs what is not installed."""

import an_sdk_that_nobody_installed  # type: ignore[import-not-found]  # noqa: F401  that is the point

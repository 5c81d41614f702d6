"""Its import crashes the process."""

import ctypes
import faulthandler

faulthandler.disable()
ctypes.string_at(0)

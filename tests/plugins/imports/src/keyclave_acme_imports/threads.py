"""Its import starts a thread that never ends and would keep the process from ending, and then fails."""

import threading

threading.Thread(target=threading.Event().wait).start()
raise RuntimeError("canary-in-the-text")

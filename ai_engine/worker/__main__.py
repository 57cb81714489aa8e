"""``python -m ai_engine.worker``."""

import os

# Must stand before torch is loaded. A thread that spins while it waits steals the core that the one it waits for needs: with
# other busy processes on two cores, a report took nine times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from ai_engine.worker.app import main

main()

"""``python -m ai_engine.worker``."""

from ai_engine.worker.app import main

main()

"""``training.fit`` under DeepSpeed without a GPU: accelerate looks for a way to talk there only where it is told one."""

from accelerate import PartialState

PartialState(backend="gloo")

if __name__ == "__main__":
    from training import command
    from training.fit import main

    command.run(main)

"""Run the command line: `python -m firstk` is `firstk`."""

from firstk.harness.cli.main import main

if __name__ == "__main__":
    main(prog_name="firstk")

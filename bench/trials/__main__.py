"""`python -m bench.trials [name ...] [--rounds N]`: run trials on a real PostgreSQL server, and print figures.

Figures of different runs are not comparable: each run interleaves its candidates, and prints ratios.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.trials", description=__doc__)
    parser.add_argument("trials", nargs="*", choices=[[], "contention", "drivers", "engines", "faults"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--environment", type=Path, default=Path(tempfile.gettempdir()) / "hfgateway-trials")
    arguments = parser.parse_args()
    python = arguments.environment / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(arguments.environment)], check=True)
        subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", "-r", str(HERE / "requirements.txt")], check=True
        )
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent.parent)}
    for trial in arguments.trials or ["contention", "drivers", "faults", "engines"]:
        print(f"\n# {trial}", flush=True)
        subprocess.run([str(python), "-m", f"bench.trials.{trial}", str(arguments.rounds)], check=True, env=environment)


main()

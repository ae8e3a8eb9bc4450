"""How well and how quickly models are explained and verified: each part is a bench of its own, with its protocol.

python bench/trust.py --quick
python bench/trust.py --quick --only shapley
"""

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PARTS = ("shapley", "trees", "sanity", "slices", "stress", "verify")


def main() -> int:
    """Runs the parts one after the other; the worst of their exit codes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument("--quick", action="store_true", help="at most 15 minutes on two cores")
    size.add_argument("--full", action="store_true")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    asked, further = parser.parse_known_args()  # what only a part knows
    codes = []
    for part in asked.only:
        print(f"## {part}", flush=True)
        command = [sys.executable, str(HERE / f"trust_{part}.py"), "--quick" if asked.quick else "--full", *further]
        codes.append(subprocess.run(command, check=False).returncode)
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())

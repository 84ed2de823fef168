# SPDX-License-Identifier: MIT
"""Counts the instructions of the store's work in a small and in a large store (cost.c), and fails if they grow much."""
import re
import subprocess
import sys

# Situation, few, many, work, and how often the cost with few may be reached with many.
CASES = [
    ("watches", 10, 10000, "write", 1.2),
    ("watches", 10, 10000, "transaction", 1.5),
    ("nodes", 200, 120000, "write", 1.2),
    ("nodes", 200, 120000, "transaction", 1.5),
    ("domains", 1, 199, "create", 1.2),
    ("domains", 1, 199, "remove", 1.6),
]


def count(program, situation, number, work):
    done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--instr-atstart=no",
                           program, situation, str(number), work], capture_output=True, text=True, check=True)
    return int(re.search(r"Collected : (\d+)", done.stderr)[1])


def main():
    bad = 0
    for situation, few, many, work, limit in CASES:
        small, large = (count(sys.argv[1], situation, number, work) for number in (few, many))
        print(f"{work:12} with {few:4} {situation:8} {small:9}, with {many:6} {large:9}: {large / small:5.2f} times")
        if large > limit * small:
            print(f"  that is more than {limit} times")
            bad = 1
    return bad


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares what the stock tools said on Debian's Xen with what they said on Domus, and writes the tables.

    compare.py XEN DOMUS DOCUMENT      two folders of compat.py's transcripts; the tables go between DOCUMENT's two marks
    compare.py --diff XEN DOMUS        only prints what differs
    compare.py --keep TRANSCRIPT...    writes what CI compares Domus with, beside this file: xen-hypercalls, the answers in
                                       commands-hypercalls.txt, and xen-commands, the exit statuses in commands.txt

What the file `expected` beside this one explains does not count as a difference. Exit status: 0 if there is no other.
"""
import difflib
import pathlib
import re
import sys

EXPECTED = pathlib.Path(__file__).with_name("expected")
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
# Numbers, times, addresses and identifiers.
VARYING = re.compile(r"\b[0-9a-f]{2}(:[0-9a-f]{2}){5}\b|"
                     r"0x[0-9a-f]+|\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[0-9a-f]{8,}\b|-?\d+(\.\d+)*")
# Whether a vCPU ran or waited just then, in the lists of xl and virsh; libvirt calls one offline that waits for a CPU.
RUNNING = re.compile(r"(?<=\s)[-r][-b](?=[-p](\s|[-s][-c][-d]\s))|(?<=^State: {10})(running|blocked|offline)$")
# Exit statuses of a command that did its work: it ended, was stopped after its time, or had more to say than wanted.
GOOD = (0, 124, 141)
HYPERCALLS = "/compat/hypercalls"
# How the names of libvirt's programs begin.
LIBVIRT = ("virsh ", "virt-")
# How commands-disks calls what it does with each kind of disk.
DISK = "disk:"


def parse_all(folder):
    """[(command, lines, status)] of the transcripts in a folder."""
    return [run for path in sorted(pathlib.Path(folder).glob("*.txt"), key=lambda path: path.stem)
            for run in parse(path)]


def parse(path):
    """The same of one transcript."""
    runs, lines, command = [], [], None
    for line in path.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").splitlines():
        end = re.fullmatch(r"=== rc (\d+)", line)
        if end and command:
            runs.append((command, lines, int(end[1])))
            command = None
        elif line.startswith("=== "):
            command, lines = line[4:], []
        elif command and line.strip():
            lines.append(line)
    return runs


def expectations():
    """[(what it is about, pattern of lines or cases, why)] from `expected`."""
    found = []
    for line in EXPECTED.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            about, pattern, why = (part.strip() for part in line.split(" :: "))
            found.append((re.compile(about), re.compile(pattern), why))
    return found


def explain(expected, about, line):
    """Why this line may differ, or None."""
    return next((why for who, pattern, why in expected if who.fullmatch(about) and pattern.search(line)), None)


def normal(line):
    return re.sub(r"\s+", " ", VARYING.sub("#", RUNNING.sub("??", line))).strip()


class Verdict:
    """What is known of one command or operation."""

    def __init__(self):
        self.works, self.differs, self.reasons = False, [], []

    def note(self, works, differences, reasons):
        self.works |= works
        self.differs += differences
        self.reasons += [reason for reason in reasons if reason not in self.reasons]

    def cells(self):
        """The verdict, and what is to be said of it."""
        words = "differs" if self.differs else "works" if self.works else "refused as Xen refuses"
        return words, "; ".join(self.differs[:6] + self.reasons)


def compare_status(expected, command, xen, domus):
    """(differences, reasons) of one command's exit statuses."""
    if xen == domus:
        return [], []
    reason = explain(expected, command, f"status {xen} {domus}")
    return ([], [reason]) if reason else ([f"status {domus}, on Xen {xen}"], [])


def compare_run(expected, command, xen, domus):
    """(differences, reasons) of one command's exit statuses and lines."""
    differences, reasons = compare_status(expected, command, xen[1], domus[1])
    # The same lines in another order are no difference: threads and daemons are not in step.
    lines = [sorted(map(normal, side[0])) for side in (xen, domus)]
    for line in difflib.unified_diff(*lines, lineterm="", n=0):
        if line.startswith(("---", "+++", "@@")):
            continue
        reason = explain(expected, command, line)
        if reason is None:
            differences.append(f"{'only Xen' if line[0] == '-' else 'only Domus'}: {line[1:]}")
        elif reason not in reasons:
            reasons.append(reason)
    return differences, reasons


def key(command):
    """What a command counts as: xl, xenpm and virsh by their own commands."""
    words = command.split()
    return " ".join(words[:2]) if words[0] in ("xl", "xenpm", "virsh") and len(words) > 1 else words[0]


def numbered(runs):
    """{(command, how often it ran before): (lines, status)}"""
    seen, found = {}, {}
    for command, lines, status in runs:
        seen[command] = seen.get(command, -1) + 1
        found[command, seen[command]] = lines, status
    return found


def compare_commands(expected, xen, domus):
    """{command: Verdict}, in the order in which they ran."""
    verdicts, ours = {}, numbered(domus)
    for (command, number), (lines, status) in numbered(xen).items():
        verdict = verdicts.setdefault(key(command), Verdict())
        if (command, number) not in ours:
            verdict.note(False, [f"`{command}`: not run on Domus"], [])
            continue
        differences, reasons = compare_run(expected, command, (lines, status), ours[command, number])
        works = status in GOOD or ours[command, number][1] in GOOD
        verdict.note(works, [f"`{command}`: {text}" for text in differences], reasons)
    return verdicts


def compare_hypercalls(expected, xen, domus):
    """{(hypercall, operation): Verdict} from the output of the program of the same name."""
    def table(lines):
        rows = [tuple(part.strip() for part in line.split(" | ")) for line in lines if line.count(" | ") == 3]
        return {row[:3]: row[3] for row in rows}

    ours, verdicts = table(domus), {}
    for (call, operation, what), result in table(xen).items():
        other, verdict = ours.get((call, operation, what), "nothing"), verdicts.setdefault((call, operation), Verdict())
        text = f"{what}: {other}, on Xen {result}"
        reason = explain(expected, f"{call} {operation}", text) if other != result else None
        verdict.note(result == "ok" or other == "ok", [text] if other != result and not reason else [],
                     [reason] if reason else [])
    return verdicts


def tables(commands, hypercalls, help_text):
    """The lines of the document."""
    def table(title, rows):
        yield from ("", f"### {title}", "", "| | | |", "|---|---|---|")
        for name, verdict in rows:
            words, text = verdict.cells()
            yield f"| {name} | {words} | {text.replace('|', '/')} |"

    yield from table("xl", [(name, v) for name, v in commands.items() if name.startswith("xl ")])
    listed = {match[1] for match in (re.match(r" (\S+) ", line) for line in help_text) if match}
    missing = sorted(name for name in listed if f"xl {name}" not in commands)
    if missing:
        yield from ("", "Not tried: " + ", ".join(missing) + ".")
    yield from table("xenpm", [(name, v) for name, v in commands.items() if name.startswith("xenpm ")])
    yield from table("libvirt", [(name, v) for name, v in commands.items() if name.startswith(LIBVIRT)])
    yield from table("Disks of guests", [(name[len(DISK):], v) for name, v in commands.items() if name.startswith(DISK)])
    yield from table("Other programs", [(name, v) for name, v in commands.items()
                                        if not name.startswith(("xl ", "xenpm ", "/", DISK, *LIBVIRT))])
    for call in ("sysctl", "domctl", "platform_op", "memory_op"):
        yield from table(call, [(op, v) for (which, op), v in hypercalls.items() if which == call])
    named = ("sysctl", "domctl", "platform_op", "memory_op")
    others = [(" ".join(name), v) for name, v in hypercalls.items() if name[0] not in named]
    yield from table("Other hypercalls", others)


def keep(transcripts):
    """What CI needs of Xen's transcripts, in the files beside this one."""
    def write(name, lines):
        EXPECTED.with_name(name).write_text("\n".join([*lines, ""]), encoding="utf-8")

    for path in transcripts:
        if path.name == "commands-hypercalls.txt":
            write("xen-hypercalls", [line for _, lines, _ in parse(path) for line in lines if line.count(" | ") == 3])
        elif path.name == "commands.txt":
            write("xen-commands", [f"{status} {command}" for command, _, status in parse(path)])


def main():
    if sys.argv[1:2] == ["--keep"]:
        return keep(map(pathlib.Path, sys.argv[2:]))
    only_diff = sys.argv[1:2] == ["--diff"]
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    xen, domus = (parse_all(folder) for folder in (sys.argv[2:4] if only_diff else sys.argv[1:3]))
    expected = expectations()
    calls = [next((lines for command, lines, _ in side if command == HYPERCALLS), []) for side in (xen, domus)]
    commands = compare_commands(expected, *([run for run in side if run[0] != HYPERCALLS] for side in (xen, domus)))
    hypercalls = compare_hypercalls(expected, *calls)
    everything = [*commands.items(), *((" ".join(name), verdict) for name, verdict in hypercalls.items())]
    different = [(name, verdict) for name, verdict in everything if verdict.differs]
    for name, verdict in different:
        print(f"{name}:")
        for text in verdict.differs:
            print(f"    {text}")
    print(f"compat: {len(commands)} commands, {len(hypercalls)} operations, {len(different)} of them differ")
    if not only_diff:
        document = pathlib.Path(sys.argv[3])
        before, _, rest = document.read_text(encoding="utf-8").partition(BEGIN)
        _, _, after = rest.partition(END)
        help_text = next((lines for command, lines, _ in xen if command == "xl help"), [])
        body = "\n".join(tables(commands, hypercalls, help_text))
        document.write_text(f"{before}{BEGIN}\n{body}\n\n{END}{after}", encoding="utf-8")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Checks the documents against the tree: links lead somewhere, and every path of the project that is
named in `code` exists. Exit code 1 and one line for each thing that is not so."""

import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# A word in `code` that begins like this is taken for a path of the tree.
PATH = re.compile(r"^(?:src|test|script|tools|cmake|docs|\.ci)/[A-Za-z0-9_./-]+$")
# A decision record: 0007-short-name.md
RECORD = re.compile(r"^\d{4}-[a-z0-9-]+\.md$")


def documents():
    found = []
    for base, folders, files in os.walk(ROOT):
        folders[:] = [f for f in folders if not f.startswith("build") and f != ".git"]
        found += [os.path.join(base, f) for f in files if f.endswith(".md")]
    return sorted(found)


def anchors(path):
    with open(path, encoding="utf-8") as file:
        titles = re.findall(r"^#+ +(.+?)\s*$", file.read(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", t.replace("`", "")).strip().lower().replace(" ", "-")
            for t in titles}


def check(path):
    problems = []
    with open(path, encoding="utf-8") as file:
        text = file.read()
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        full = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path
        if not os.path.exists(full):
            problems.append(f"the link {target} leads nowhere")
        elif anchor and full.endswith(".md") and anchor not in anchors(full):
            problems.append(f"the link {target}: there is no such heading")
    for word in re.findall(r"`([^`\n]+)`", prose):
        # A pattern (src/<module>, *_test.cc), a line number or a value is not a path.
        if PATH.match(word) and not os.path.exists(os.path.join(ROOT, word)):
            problems.append(f"`{word}` does not exist")
    return problems


def check_records():
    """Decision records are numbered without a gap, and docs/adr/README.md lists each."""
    folder = os.path.join(ROOT, "docs", "adr")
    names = sorted(n for n in os.listdir(folder) if n != "README.md")
    problems = [f"docs/adr/{n}: not a decision record's name" for n in names if not RECORD.match(n)]
    numbers = [int(n[:4]) for n in names if RECORD.match(n)]
    if numbers != list(range(1, len(numbers) + 1)):
        problems.append(f"docs/adr: the numbers {numbers} are not 1, 2, 3, ...")
    with open(os.path.join(folder, "README.md"), encoding="utf-8") as file:
        index = file.read()
    problems += [f"docs/adr/README.md does not list {n}" for n in names if n not in index]
    return problems


def main():
    problems = check_records()
    paths = documents()
    for path in paths:
        problems += [f"{os.path.relpath(path, ROOT)}: {p}" for p in check(path)]
    for script in sorted(os.listdir(os.path.join(ROOT, "script"))):
        if not script.endswith(".py"):
            done = subprocess.run(["bash", "-n", os.path.join(ROOT, "script", script)],
                                  capture_output=True, text=True, check=False)
            if done.returncode != 0:
                problems.append(f"script/{script}: {done.stderr.strip()}")
    print("\n".join(problems) or f"{len(paths)} documents are right")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

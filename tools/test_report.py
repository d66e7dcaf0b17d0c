#!/usr/bin/env python3
"""Runs test programs and counts what they did, for script/test.

    test_report.py run --results DIR --stage S --name N [--kind K] [--timeout T] -- COMMAND...
    test_report.py unittest FILE --out JSON [--filter X]
    test_report.py skip --results DIR --stage S --name N --reason TEXT
    test_report.py total --results DIR

`run` runs one program with a deadline. Kinds: gtest (its JSON report is read), unittest (COMMAND is
one Python file), command (passes if it ends with 0). It prints one line, or what failed with the end
of the output, and writes DIR/S.N.json (what happened) and DIR/S.N.log (the whole output).
`total` sums up all of DIR; its last line is "N passed, N failed" or "N passed, N failed, N skipped".
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time

TAIL_LINES = 20
OUTPUT_BYTES_SHOWN = 16384


def outcome(passed=0, failures=(), skips=()):
    return {"passed": passed, "failures": list(failures), "skips": list(skips)}


def from_gtest(path, log):
    """What a GoogleTest program did: from its report, or where it died, from its output."""
    skip_reasons = {}
    current, reason = None, []
    passed, failures, started = [], [], []
    for line in log.splitlines():
        mark = re.match(r"\[ +(RUN|OK|FAILED|SKIPPED) +\] ([^\s,]+)", line)
        if not mark:
            if current:
                reason.append(line.strip())
            continue
        word, name = mark.groups()
        if word == "RUN":
            current, reason = name, []
            started.append(name)
        elif current == name:
            if word == "SKIPPED":
                text = " ".join(r for r in reason if r and not r.endswith(": Skipped"))
                skip_reasons[name] = text or "no reason given"
            elif word == "OK":
                passed.append(name)
            else:
                failures.append(name)
            current = None
    try:
        with open(path, encoding="utf-8") as file:
            report = json.load(file)
    except (OSError, ValueError):
        if current:
            failures.append(f"{current} (it ended the program)")
        return outcome(len(passed), failures or ["(the program ended without a report)"],
                       [[n, r] for n, r in skip_reasons.items()])
    result = outcome()
    for suite in report.get("testsuites", []):
        for test in suite.get("testsuite", []):
            name = f"{suite['name']}.{test['name']}"
            if test.get("failures"):
                result["failures"].append(name)
            elif test.get("result") == "SKIPPED":
                result["skips"].append([name, skip_reasons.get(name, "no reason given")])
            elif test.get("status") == "NOTRUN":
                if test["name"].startswith("DISABLED_"):
                    result["skips"].append([name, "disabled"])
            else:
                result["passed"] += 1
    if report.get("failures", 0) and not result["failures"]:
        result["failures"].append("(a failure outside of a test)")
    return result


def from_unittest(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return outcome(failures=["(the program ended without a report)"])


def run_unittest(arguments):
    """Runs one file of unittest cases in this process; the report is written after each test, so
    that a killed run still tells what it did."""
    import importlib.util
    import unittest

    sys.dont_write_bytecode = True
    folder, file = os.path.split(os.path.abspath(arguments.file))
    sys.path.insert(0, folder)
    name = os.path.splitext(file)[0]
    result = outcome()

    def save():
        with open(arguments.out + ".new", "w", encoding="utf-8") as out:
            json.dump(result, out)
        os.rename(arguments.out + ".new", arguments.out)

    class Recorder(unittest.TextTestResult):
        def startTest(self, test):
            super().startTest(test)
            result["failures"].append(f"{test.id()} (it ended the program)")
            save()

        def stopTest(self, test):
            mark = f"{test.id()} (it ended the program)"
            if mark in result["failures"]:
                result["failures"].remove(mark)
            save()
            super().stopTest(test)

        def addSuccess(self, test):
            super().addSuccess(test)
            result["passed"] += 1

        def addFailure(self, test, err):
            super().addFailure(test, err)
            result["failures"].append(test.id())
            save()

        def addError(self, test, err):
            super().addError(test, err)
            result["failures"].append(test.id())
            save()

        def addSubTest(self, test, subtest, err):
            super().addSubTest(test, subtest, err)
            if err is not None:
                result["failures"].append(subtest.id())

        def addSkip(self, test, reason):
            super().addSkip(test, reason)
            result["skips"].append([test.id(), reason])
            save()

        def addUnexpectedSuccess(self, test):
            super().addUnexpectedSuccess(test)
            result["failures"].append(f"{test.id()} (succeeded unexpectedly)")

        def addExpectedFailure(self, test, err):
            super().addExpectedFailure(test, err)
            result["passed"] += 1

    spec = importlib.util.spec_from_file_location(name, arguments.file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except unittest.SkipTest as skip:
        result["skips"].append([name, str(skip)])
        save()
        return 0
    loader = unittest.TestLoader()
    if arguments.filter:
        loader.testNamePatterns = [f"*{arguments.filter}*"]
    suite = loader.loadTestsFromModule(module)
    done = unittest.TextTestRunner(verbosity=2, resultclass=Recorder).run(suite)
    save()
    return 0 if done.wasSuccessful() else 1


def run(arguments):
    os.makedirs(arguments.results, exist_ok=True)
    base = os.path.join(arguments.results, f"{arguments.stage}.{arguments.name}")
    report = base + ".report.json"
    for old in (report, base + ".json"):
        if os.path.exists(old):
            os.remove(old)
    command = list(arguments.command)
    if command and command[0] == "--":
        command = command[1:]
    if arguments.kind == "gtest":
        command.append(f"--gtest_output=json:{report}")
        if arguments.filter:
            command.append(f"--gtest_filter=*{arguments.filter}*")
    elif arguments.kind == "unittest":
        command = [sys.executable, os.path.abspath(__file__), "unittest", *command, "--out", report]
        if arguments.filter:
            command += ["--filter", arguments.filter]

    begin = time.monotonic()
    timed_out = False
    with open(base + ".log", "wb") as log:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                 stderr=subprocess.STDOUT, start_new_session=True)
        try:
            code = child.wait(arguments.timeout)
        except subprocess.TimeoutExpired:
            timed_out = True
            os.killpg(child.pid, signal.SIGTERM)
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                pass
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            code = child.wait()
    seconds = time.monotonic() - begin
    with open(base + ".log", encoding="utf-8", errors="replace") as log:
        output = log.read()

    if arguments.kind == "gtest":
        result = from_gtest(report, output)
    elif arguments.kind == "unittest":
        result = from_unittest(report)
    else:
        result = outcome(1 if code == 0 else 0, [] if code == 0 else [arguments.name])
    if timed_out:
        result["failures"].append(f"(it did not end within {arguments.timeout:g} s)")
    elif code != 0 and not result["failures"]:
        why = f"signal {-code}" if code < 0 else f"exit code {code}"
        result["failures"].append(f"(it ended with {why})")
    if arguments.only_failure:
        result["passed"] = 0
    write(base, arguments, result)
    show(arguments, result, seconds, output, base + ".log")
    return 1 if result["failures"] else 0


def write(base, arguments, result):
    result["stage"], result["name"] = arguments.stage, arguments.name
    with open(base + ".json", "w", encoding="utf-8") as out:
        json.dump(result, out, indent=1)


def show(arguments, result, seconds, output, log_path):
    where = f"{arguments.stage:<11} {arguments.name}"
    counts = f"{result['passed']} passed"
    if result["skips"]:
        counts += f", {len(result['skips'])} skipped"
    if result["failures"]:
        print(f"FAIL  {where}: {counts}, {len(result['failures'])} failed ({seconds:.1f} s)")
        for name in result["failures"]:
            print(f"      failed: {name}")
        print(f"      the end of {log_path}:")
        for line in output[-OUTPUT_BYTES_SHOWN:].splitlines()[-TAIL_LINES:]:
            print("      | " + line)
    elif not arguments.only_failure and (result["passed"] or result["skips"]):
        print(f"ok    {where}: {counts} ({seconds:.1f} s)")
    for name, reason in result["skips"]:
        print(f"SKIP  {arguments.stage:<11} {name}: {reason}")
    sys.stdout.flush()


def skip(arguments):
    os.makedirs(arguments.results, exist_ok=True)
    base = os.path.join(arguments.results, f"{arguments.stage}.{arguments.name}")
    write(base, arguments, outcome(skips=[[arguments.name, arguments.reason]]))
    print(f"SKIP  {arguments.stage:<11} {arguments.name}: {arguments.reason}")
    return 0


def total(arguments):
    passed, failed, skipped = 0, [], []
    for name in sorted(os.listdir(arguments.results)):
        if not name.endswith(".json") or name.endswith(".report.json"):
            continue
        with open(os.path.join(arguments.results, name), encoding="utf-8") as file:
            result = json.load(file)
        where = f"{result['stage']} {result['name']}"
        passed += result["passed"]
        failed += [f"{where}: {f}" for f in result["failures"]]
        skipped += [f"{where}: {n}: {r}" for n, r in result["skips"]]
    if skipped:
        print("\nskipped:")
        print("\n".join(f"  {s}" for s in skipped))
    if failed:
        print("\nfailed:")
        print("\n".join(f"  {f}" for f in failed))
    print()
    line = f"{passed} passed, {len(failed)} failed"
    print(line + (f", {len(skipped)} skipped" if skipped else ""))
    return 1 if failed or passed == 0 else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)

    def placed(verb):
        verb.add_argument("--results", required=True)
        verb.add_argument("--stage", required=True)
        verb.add_argument("--name", required=True)

    one = verbs.add_parser("run")
    placed(one)
    one.add_argument("--kind", choices=["gtest", "unittest", "command"], default="command")
    one.add_argument("--timeout", type=float, default=300)
    one.add_argument("--filter", default="")
    one.add_argument("--only-failure", action="store_true",
                     help="count it only if it fails (a build)")
    one.add_argument("command", nargs=argparse.REMAINDER)
    one.set_defaults(do=run)
    cases = verbs.add_parser("unittest")
    cases.add_argument("file")
    cases.add_argument("--out", required=True)
    cases.add_argument("--filter", default="")
    cases.set_defaults(do=run_unittest)
    left = verbs.add_parser("skip")
    placed(left)
    left.add_argument("--reason", required=True)
    left.set_defaults(do=skip)
    everything = verbs.add_parser("total")
    everything.add_argument("--results", required=True)
    everything.set_defaults(do=total)
    arguments = parser.parse_args()
    return arguments.do(arguments)


if __name__ == "__main__":
    sys.exit(main())

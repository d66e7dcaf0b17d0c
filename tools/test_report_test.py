"""Tests of test_report.py: a run that fails, dies, hangs or skips is counted as what it was."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

TOOL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "test_report.py")

# A stand-in for a GoogleTest program: prints what it is told and writes the report it is told.
PROGRAM = """
import json, os, signal, sys
spec = json.loads(sys.argv[1])
out = next(a.split("json:", 1)[1] for a in sys.argv if a.startswith("--gtest_output="))
print("\\n".join(spec["lines"]), flush=True)
if "report" in spec:
    json.dump(spec["report"], open(out, "w"))
if "signal" in spec:
    os.kill(os.getpid(), spec["signal"])
sys.exit(spec.get("exit", 0))
"""


class TestReport(unittest.TestCase):
    def setUp(self):
        self._folder = tempfile.TemporaryDirectory()
        self.folder = self._folder.name
        self.addCleanup(self._folder.cleanup)

    def path(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def run_tool(self, kind, *command, timeout=30, extra=()):
        return subprocess.run(
            [sys.executable, TOOL, "run", "--results", self.folder, "--stage", "unit", "--name",
             "sample", "--kind", kind, "--timeout", str(timeout), *extra, "--", *command],
            capture_output=True, text=True, check=False)

    def result(self):
        with open(os.path.join(self.folder, "unit.sample.json"), encoding="utf-8") as file:
            return json.load(file)

    def gtest(self, **spec):
        program = self.path("program.py", PROGRAM)
        return self.run_tool("gtest", sys.executable, program, json.dumps(spec))

    def total(self):
        done = subprocess.run([sys.executable, TOOL, "total", "--results", self.folder],
                              capture_output=True, text=True, check=False)
        return done.stdout.splitlines()[-1], done.returncode

    def test_a_gtest_report_is_counted_with_the_reason_of_a_skip(self):
        done = self.gtest(
            lines=["[ RUN      ] a.one", "[       OK ] a.one (0 ms)", "[ RUN      ] a.two",
                   "x.cc:3: Skipped", "no data here", "", "[  SKIPPED ] a.two (0 ms)",
                   "[ RUN      ] a.three", "[  FAILED  ] a.three (0 ms)"],
            report={"testsuites": [{"name": "a", "testsuite": [
                {"name": "one", "status": "RUN", "result": "COMPLETED"},
                {"name": "two", "status": "RUN", "result": "SKIPPED"},
                {"name": "three", "status": "RUN", "result": "COMPLETED",
                 "failures": [{"failure": "x"}]}]}]}, exit=1)
        result = self.result()
        self.assertEqual(result["passed"], 1)
        self.assertEqual(result["failures"], ["a.three"])
        self.assertEqual(result["skips"], [["a.two", "no data here"]])
        self.assertEqual(done.returncode, 1)
        self.assertIn("SKIP", done.stdout)
        self.assertEqual(self.total(), ("1 passed, 1 failed, 1 skipped", 1))

    def test_a_program_that_dies_is_a_failure_of_the_test_it_was_in(self):
        self.gtest(lines=["[ RUN      ] a.one", "[       OK ] a.one (0 ms)",
                          "[ RUN      ] a.two"], signal=11)
        self.assertEqual(self.result()["passed"], 1)
        self.assertEqual(self.result()["failures"], ["a.two (it ended the program)"])

    def test_a_good_report_with_a_bad_exit_code_is_a_failure(self):
        self.gtest(lines=[], exit=66, report={"testsuites": [
            {"name": "a", "testsuite": [{"name": "one", "status": "RUN", "result": "COMPLETED"}]}]})
        self.assertEqual(self.result()["failures"], ["(it ended with exit code 66)"])

    def test_a_program_that_hangs_is_ended_with_its_children(self):
        done = self.run_tool("command", "bash", "-c", "sleep 600 & echo child $!; wait",
                             timeout=1)
        self.assertEqual(done.returncode, 1)
        self.assertIn("did not end within 1 s", done.stdout)
        with open(os.path.join(self.folder, "unit.sample.log"), encoding="utf-8") as file:
            child = int(file.read().split()[1])
        try:
            with open(f"/proc/{child}/stat", encoding="utf-8") as file:
                self.assertEqual(file.read().rsplit(")", 1)[1].split()[0], "Z")
        except FileNotFoundError:
            pass

    def test_unittest_outcomes_are_counted_even_when_the_program_dies(self):
        file = self.path("sample_cases.py", """
import os, unittest
class Cases(unittest.TestCase):
    def test_1_good(self): pass
    def test_2_bad(self): self.fail("no")
    def test_3_left_out(self): self.skipTest("no such thing")
    def test_4_sub(self):
        for n in range(3):
            with self.subTest(n=n): self.assertNotEqual(n, 1)
    def test_5_dies(self): os._exit(3)
""")
        self.run_tool("unittest", file)
        result = self.result()
        self.assertEqual(result["passed"], 1)
        self.assertEqual(result["skips"], [["sample_cases.Cases.test_3_left_out", "no such thing"]])
        self.assertEqual(result["failures"], [
            "sample_cases.Cases.test_2_bad", "sample_cases.Cases.test_4_sub (n=1)",
            "sample_cases.Cases.test_5_dies (it ended the program)"])

    def test_a_build_counts_only_when_it_fails(self):
        self.run_tool("command", "true", extra=["--only-failure"])
        self.assertEqual(self.total(), ("0 passed, 0 failed", 1))
        self.run_tool("command", "false", extra=["--only-failure"])
        self.assertEqual(self.total(), ("0 passed, 1 failed", 1))


if __name__ == "__main__":
    unittest.main(verbosity=2)

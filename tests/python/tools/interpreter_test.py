# SPDX-License-Identifier: BSD-3-Clause
"""Scripts that another Python than Debian's may run: each says in one line what that Python lacks."""
import ast
import glob
import os
import subprocess
import sys

import cases
from flowmeter import interpreter


def scripts():
    """Files that begin with #!/usr/bin/env python3."""
    for path in glob.glob(os.path.join(cases.ROOT, "scripts", "*")) + glob.glob(os.path.join(cases.ROOT, "tests", "**", "*.py"),
                                                                                  recursive=True):
        with open(path, "rb") as file:
            if file.readline() == b"#!/usr/bin/env python3\n":
                yield path, file.read()


class Interpreter(cases.Case):
    def run_code(self, code, **environment):
        """The finished process, which runs code that has the module `interpreter`."""
        path = self.path("script")
        with open(path, "w", encoding="ascii") as file:
            file.write(f"import sys\nsys.path.insert(0, {os.path.join(cases.ROOT, 'python')!r})\n"
                       f"from flowmeter import interpreter\n{code}")
        return subprocess.run([sys.executable, "-B", path], capture_output=True, text=True, timeout=60, check=False,
                              env={**os.environ, **environment})

    def test_every_script_checks_before_it_needs_anything(self):
        """The check must be read by an old Python, and no module of ours may be imported before it."""
        found = list(scripts())
        self.assertGreater(len(found), 10)
        for path, text in found:
            with self.subTest(path):
                tree = ast.parse(text, path, feature_version=(3, 7))
                for statement in tree.body:
                    if isinstance(statement, ast.Expr) and ast.unparse(statement).startswith("interpreter.require("):
                        break
                    if isinstance(statement, (ast.Import, ast.ImportFrom)):
                        names = {statement.module} if isinstance(statement, ast.ImportFrom) else {a.name for a in statement.names}
                        self.assertTrue(all(name == "flowmeter" or name.partition(".")[0] in sys.stdlib_module_names
                                            for name in names), names)
                else:
                    self.fail("it does not call interpreter.require()")

    def test_old_pythons_are_told_so(self):
        """Runs every script with the old Pythons that are installed here, and with a Debian's Python that cannot help."""
        old = sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/3.[678].*/bin/python3")))
        if not old:
            self.skipTest("no Python older than 3.9 is installed here")
        for python in old:
            for path, _ in scripts():
                with self.subTest(path, python=python):
                    done = subprocess.run([python, "-B", path, "--help"], capture_output=True, text=True, timeout=60, check=False,
                                          env={**os.environ, "PYTHONWARNINGS": "", "METER_SCRIPT_PYTHON": python})
                    self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1), done.stderr)
                    self.assertRegex(done.stderr, rf"^{os.path.basename(path)}: {python} is Python 3\.\d\.\d+, and 3\.\d+ or newer")

    def test_what_is_missing_is_named(self):
        done = self.run_code("interpreter.require('json', 'flowmeter_none', 'flowmeter_nor', remedy='scripts/x')",
                             METER_SCRIPT_PYTHON="/opt/python3")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr, f"script: {sys.executable} has no flowmeter_none and no flowmeter_nor, nor has /opt/python3: "
                                      "scripts/x, or /opt/python3 -m pip install flowmeter_none flowmeter_nor\n")

    def test_nothing_is_said_if_nothing_is_missing(self):
        done = self.run_code("interpreter.require('json', 'csv')\nprint('runs')")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "runs\n", ""))
        self.assertEqual(interpreter.lacks(("json",)), "")

    def test_debian_s_python_takes_over(self):
        if not os.access(interpreter.DEBIAN, os.X_OK):
            self.skipTest(f"there is no {interpreter.DEBIAN}")
        done = self.run_code("print(sys.executable, flush=True)\nsys.executable = '/opt/python3'\n"
                             "interpreter.require('flowmeter_none')\n")
        self.assertEqual(done.stdout.splitlines(), [sys.executable, interpreter.DEBIAN], done.stderr)
        self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1), done.stderr)
        self.assertIn("has no flowmeter_none, nor has /opt/python3: ", done.stderr)

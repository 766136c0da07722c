#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs the unittest cases of one test file:

    tests/support/run_cases.py [--meter PROGRAM] [--xml FILE] tests/…/NAME_test.py [Class[.test_name]...]

The file finds the modules of its own folder, of tests/support and of python/. A warning of Python or of a library is an
error, also in the Python programs that a case starts. The exit status is 77 if all cases were skipped. --xml writes one result per case, in the JUnit format.

CMake calls it with --list to find all tests. One line per class, NAME|FILE|CLASS|LABELS|LOCKS|ENVIRONMENTS; CLASS is empty
where pytest runs the file as a whole. A file or a class may declare
    LABEL = "veth"          the default is "shared" for *references_test.py, "veth" in tests/kernel/, otherwise "unit"
    LOCK = "cpu"            it does not run beside another test with this lock
    SANITIZED = True        the fast tier also runs it in the build with sanitizers
    ENVIRONMENTS = "newest older"    it also runs in these virtual environments of scripts/test; with LABEL = "environment",
                            only there
"""
import argparse
import ast
import importlib.util
import os
import signal
import sys
import time
import unittest
import warnings
import xml.etree.ElementTree as tree

SUPPORT = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(SUPPORT)
sys.path.insert(0, os.path.join(os.path.dirname(TESTS), "python"))
from flowmeter import interpreter  # noqa: E402

interpreter.require()
SKIPPED = 77
# pyparsing of Debian 12 warns of its own grammar.
OLD_PYPARSING = "Forward defined here"


def declared(body):
    """Constants that the statements assign to plain names."""
    return {statement.targets[0].id: statement.value.value for statement in body
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
            and isinstance(statement.value, ast.Constant)}


def tests_in(path):
    """(class or "" for pytest, what it declares) of a file, which is parsed but not run."""
    with open(path, "rb") as file:
        module = ast.parse(file.read(), path)
    of_file = declared(module.body)
    if any(isinstance(item, ast.Import) and item.names[0].name == "pytest"
           or isinstance(item, ast.FunctionDef) and item.name.startswith("test_") for item in module.body):
        yield "", of_file
        return
    with_tests = set()
    for item in module.body:
        if not isinstance(item, ast.ClassDef):
            continue
        own = any(isinstance(part, ast.FunctionDef) and part.name.startswith("test_") for part in item.body)
        if own or any(isinstance(base, ast.Name) and base.id in with_tests for base in item.bases):
            with_tests.add(item.name)
            if item.bases:  # otherwise it only adds cases to those that derive from it
                yield item.name, {**of_file, **declared(item.body)}


def list_tests(paths):
    for path in paths:
        name = os.path.relpath(path, TESTS).removesuffix("_test.py")
        if name.endswith("references"):
            label = "shared"
        else:
            label = "veth" if name.startswith("kernel" + os.sep) else "unit"
        for of_class, says in tests_in(path):
            labels = [says.get("LABEL", label)] + ["sanitized"] * says.get("SANITIZED", False)
            print("|".join((".".join([*name.split(os.sep), of_class]).rstrip("."), path, of_class, ",".join(labels),
                            says.get("LOCK", ""), says.get("ENVIRONMENTS", ""))))


class Results(unittest.TextTestResult):
    """Keeps (case, seconds, "passed" or "failed" or "skipped", text) of each case."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.cases, self.unraisable, self.outcome, self.started = [], [], None, 0.0

    def startTest(self, test):
        super().startTest(test)
        sys.unraisablehook = lambda raised: self.unraisable.append(f"{raised.exc_value!r} in {raised.object!r}")
        self.outcome, self.started = ("passed", ""), time.monotonic()

    def stopTest(self, test):
        super().stopTest(test)
        sys.unraisablehook = sys.__unraisablehook__
        for text in self.unraisable:  # for example of a file that was not closed
            self.failures.append((test, text))
            self._note(test, "failed", text)
        self.unraisable.clear()
        self.cases.append((test.id(), time.monotonic() - self.started, *self.outcome))
        self.outcome = None

    def _note(self, test, outcome, text):
        if self.outcome is None:  # setUpClass or setUpModule
            self.cases.append((test.id(), 0.0, outcome, text))
        elif self.outcome[0] != "failed":
            self.outcome = outcome, text

    def addError(self, test, err):
        super().addError(test, err)
        self._note(test, "failed", str(err[1]))

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._note(test, "failed", str(err[1]))

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._note(test, "failed", str(err[1]))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._note(test, "skipped", reason)

    def write_xml(self, path, module):
        suite = tree.Element("testsuite")
        for name, seconds, outcome, text in self.cases:
            case = tree.SubElement(suite, "testcase", name=name.removeprefix(module + "."), time=f"{seconds:.3f}")
            if outcome != "passed":
                tree.SubElement(case, "failure" if outcome == "failed" else "skipped", message=text)
        tree.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)


def load(path):
    sys.path[:0] = [os.path.dirname(os.path.abspath(path)), SUPPORT]
    name = os.path.basename(path).removesuffix(".py")
    spec = importlib.util.spec_from_file_location(name, path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def unwind(number, _):
    """Raises, so that a case that is stopped removes its namespaces and processes."""
    raise TimeoutError(f"stopped by {signal.Signals(number).name}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print the tests of all files")
    parser.add_argument("--meter", help="the program under test (default build/flowmeter-ebpf)")
    parser.add_argument("--xml", help="write the result of each case")
    parser.add_argument("file", nargs="+", help="one test file, then names: Class, Class.test_name")
    arguments = parser.parse_args()
    if arguments.list:
        list_tests(arguments.file)
        return 0
    path, *names = arguments.file
    import cases
    if arguments.meter:
        cases.meter_path = os.path.abspath(arguments.meter)
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", OLD_PYPARSING)
    os.environ["PYTHONWARNINGS"] = f"error,ignore:{OLD_PYPARSING}"
    try:
        module = load(path)
    except ModuleNotFoundError as error:
        sys.exit(f"{os.path.relpath(path)}: {sys.executable} has no {error.name}: scripts/install-dependencies --test installs "
                 f"it for {interpreter.DEBIAN}")
    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, unwind)
    loader = unittest.defaultTestLoader
    suite = loader.loadTestsFromNames(names, module) if names else loader.loadTestsFromModule(module)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=Results, warnings=False).run(suite)
    if arguments.xml:
        result.write_xml(arguments.xml, module.__name__)
    if not result.wasSuccessful() or not result.cases:
        return 1
    reasons = {text for _, _, outcome, text in result.cases if outcome == "skipped"}
    if all(outcome == "skipped" for _, _, outcome, _ in result.cases):
        print(*(f"skipped: {reason}" for reason in reasons), sep="\n")
        return SKIPPED
    return 0


if __name__ == "__main__":
    sys.exit(main())

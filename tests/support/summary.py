#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Adds up a run of ctest, case by case: summary.py BUILD-DIRECTORY JUNIT-FILE COUNTS-FILE [LABEL...]

Prints the output of what failed, the reasons of what was skipped, cases and seconds by label, and the slowest tests;
writes "PASSED FAILED SKIPPED" to COUNTS-FILE. A test's cases are those of BUILD-DIRECTORY/test-results/NAME.xml, or
the test itself if it did not write them. Each LABEL must have a case that ran: otherwise one more failure is counted.
"""
import collections
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as tree

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True  # the checkout may belong to someone else
sys.path.insert(0, os.path.join(ROOT, "python"))
from flowmeter import interpreter  # noqa: E402

interpreter.require()

SLOWEST = 12


def labels_by_test(build):
    listed = subprocess.run(["ctest", "--test-dir", build, "--show-only=json-v1"], stdout=subprocess.PIPE, check=True)
    return {test["name"]: next((item["value"] for item in test.get("properties", ()) if item["name"] == "LABELS"), [""])
            for test in json.loads(listed.stdout)["tests"]}


def cases_of(name, test, results):
    """(case, "passed" or "failed" or "skipped", why) of one test of ctest."""
    path = os.path.join(results, name + ".xml")
    cases = []
    if os.path.exists(path):
        for case in tree.parse(path).iter("testcase"):
            full = ".".join(filter(None, (name, case.get("name"))))
            skipped, failed = case.find("skipped"), case.find("failure") is not None or case.find("error") is not None
            if failed:
                cases.append((full, "failed", ""))
            elif skipped is not None:
                cases.append((full, "skipped", skipped.get("message", "").strip().removeprefix("Skipped: ")))
            elif case.get("status") == "notrun":
                cases.append((full, "skipped", "switched off in its source (DISABLED_)"))
            else:
                cases.append((full, "passed", ""))
    status, output = test.get("status"), test.findtext("system-out") or ""
    if status == "run":
        return cases or [(name, "passed", "")]
    if status == "disabled":
        return [(name, "skipped", "switched off in its source (DISABLED_)")]
    if status == "notrun" and test.find("skipped") is not None:
        reason = test.find("skipped").get("message", "")
        said = re.search(r"^skipped: (.*)$", output, re.M) or re.search(r"Skipped\n(.+)", output)
        if reason.startswith(("SKIP_RETURN_CODE", "SKIP_REGULAR_EXPRESSION")) or said:
            return cases or [(name, "skipped", said[1] if said else reason)]
        return [(name, "failed", "could not run: " + reason)]
    # It may have ended before it wrote all results, or after its last case.
    return cases if any(outcome == "failed" for _, outcome, _ in cases) else [*cases, (name, "failed", "")]


def main():
    build, junit, counts_file, *required = sys.argv[1:]
    labels = labels_by_test(build)
    counts, seconds = collections.defaultdict(collections.Counter), collections.Counter()
    skipped, slowest = collections.defaultdict(list), []
    for test in tree.parse(junit).getroot().iter("testcase"):
        name, took = test.get("name"), float(test.get("time") or 0)
        label = labels.get(name, [""])[0]
        seconds[label] += took
        slowest.append((took, name))
        cases = cases_of(name, test, os.path.join(build, "test-results"))
        for case, outcome, why in cases:
            counts[label][outcome] += 1
            if outcome == "skipped":
                skipped[why].append(case)
            elif outcome == "failed":
                print(f"  ---- failed: {case}" + f": {why}" * bool(why))
        if any(outcome == "failed" for _, outcome, _ in cases):
            print("\n".join("  | " + line for line in (test.findtext("system-out") or "").strip().splitlines()[-60:]))
    for reason, names in skipped.items():
        print(f"  skipped: {reason} ({len(names)}: {', '.join(names[:3])}{', …' if len(names) > 3 else ''})")
    for label in required:
        if not counts[label]["passed"] + counts[label]["failed"]:
            print(f"  label {label}: no test ran, though they could here")
            counts[label]["failed"] += 1
    for label, count in sorted(counts.items()):
        print(f"  {label:<28} {count['passed']:5} passed {count['failed']:5} failed {count['skipped']:5} skipped "
              f"{seconds[label]:6.0f} s, one after the other")
    for took, name in sorted(slowest, reverse=True)[:SLOWEST]:
        print(f"  {took:7.1f} s {name}")
    total = sum(counts.values(), collections.Counter())
    with open(counts_file, "w", encoding="ascii") as file:
        print(total["passed"], total["failed"], total["skipped"], file=file)


if __name__ == "__main__":
    main()

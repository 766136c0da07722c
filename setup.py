# SPDX-License-Identifier: BSD-3-Clause
"""Builds the native module of the Python package with CMake; everything else is in pyproject.toml.

If METER_BUILD_DIR names a CMake build directory, its module is used and nothing is built.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = pathlib.Path(__file__).resolve().parent


class CMakeBuild(build_ext):
    def build_extension(self, extension):
        build = os.environ.get("METER_BUILD_DIR") or self.build_by_cmake()
        target = pathlib.Path(self.get_ext_fullpath(extension.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(pathlib.Path(build) / "python" / "flowmeter" / target.name, target)

    def build_by_cmake(self):
        build = pathlib.Path(self.build_temp).resolve()
        generator = ["-G", "Ninja"] if shutil.which("ninja") else []
        subprocess.run(["cmake", "-S", ROOT, "-B", build, *generator, "-DFLOWMETER_TESTS=OFF", "-DFLOWMETER_PYTHON=ON",
                        f"-DPython3_EXECUTABLE={sys.executable}"], check=True)
        subprocess.run(["cmake", "--build", build, "--target", "flowmeter_python", "--parallel",
                        str(self.parallel or os.cpu_count())], check=True)
        return build


version = re.search(r"project\(flowmeter-ebpf VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())[1]
setup(version=version, ext_modules=[Extension("flowmeter._native", sources=[])], cmdclass={"build_ext": CMakeBuild})

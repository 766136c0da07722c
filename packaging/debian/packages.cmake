# SPDX-License-Identifier: BSD-3-Clause
# Debian packages of what `cmake --install` installs: cmake --build BUILD --target package
#   flowmeter-ebpf      the program, its units, manual page, completion and documents
#   python3-flowmeter   the Python package, with FLOWMETER_PYTHON and Debian's own interpreter
# stage.cmake makes of an installation what the Debian Policy wants.
set(CPACK_GENERATOR DEB)
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_VENDOR flowmeter-ebpf)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")  # each package has its own
set(CPACK_PACKAGE_CONTACT "flowmeter-ebpf maintainers <maintainers@flowmeter-ebpf.invalid>" CACHE STRING
    "The maintainer of the packages, NAME <ADDRESS>")
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR}/packages)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/stage.cmake)
set(CPACK_FLOWMETER_SOURCE ${PROJECT_SOURCE_DIR})
set(CPACK_COMPONENTS_ALL program)

# The libraries that the program loads only when it uses them, under their names in this Debian release.
execute_process(COMMAND ${PROJECT_SOURCE_DIR}/packaging/debian/loaded-libraries
                OUTPUT_VARIABLE loaded OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
string(REPLACE "\n" ", " loaded "${loaded}")

set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME flowmeter-ebpf)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_RECOMMENDS "${loaded}, ca-certificates")
set(CPACK_COMPONENT_PROGRAM_DESCRIPTION "flow meter with CICFlowMeter features
Meters network flows on live interfaces by eBPF, without copying packets to
user space, or from captures. Each flow becomes a row of CICFlowMeter's
features in CSV, NDJSON, ClickHouse, Kafka or any HTTP server.

systemd units meter one interface each (flowmeter-ebpf@IFACE), or the
containers of a node (flowmeter-ebpf-node). None is started by itself.")
foreach(file conffiles postinst prerm postrm)
  list(APPEND CPACK_DEBIAN_PROGRAM_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_LIST_DIR}/flowmeter-ebpf/${file})
endforeach()

# The native module is for one version of Python, so another interpreter's would not fit to Debian's.
if(FLOWMETER_PYTHON AND Python3_EXECUTABLE MATCHES "^/usr/bin/python3")
  list(APPEND CPACK_COMPONENTS_ALL python)
  math(EXPR next "${Python3_VERSION_MINOR} + 1")
  set(CPACK_DEBIAN_PYTHON_PACKAGE_NAME python3-flowmeter)
  set(CPACK_DEBIAN_PYTHON_PACKAGE_SECTION python)
  set(CPACK_DEBIAN_PYTHON_PACKAGE_DEPENDS "python3 (>= 3.${Python3_VERSION_MINOR}), python3 (<< 3.${next}), python3:any")
  set(CPACK_DEBIAN_PYTHON_PACKAGE_RECOMMENDS "python3-pandas, python3-matplotlib")
  set(CPACK_DEBIAN_PYTHON_PACKAGE_SUGGESTS "flowmeter-ebpf")
  set(CPACK_COMPONENT_PYTHON_DESCRIPTION "network flows in Python, with CICFlowMeter features
Reads captures, and meters live interfaces by eBPF, in a Python program:
flows as objects, pandas data frames or Arrow tables.

flowmeter-analyze evaluates tables of flows, flowmeter-diff compares two.")
  foreach(file postinst prerm)
    list(APPEND CPACK_DEBIAN_PYTHON_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_LIST_DIR}/python3-flowmeter/${file})
  endforeach()
endif()
include(CPack)

# SPDX-License-Identifier: BSD-3-Clause
# The libraries that FLOWMETER_BUILD_DIR, a build directory of the same sources with FLOWMETER_PYTHON, holds or can bring up
# to date. Their headers are those of that build's sources.
set(built_CMAKE_PROJECT_NAME "")
if(EXISTS ${FLOWMETER_BUILD_DIR}/CMakeCache.txt)
  load_cache(${FLOWMETER_BUILD_DIR} READ_WITH_PREFIX built_ CMAKE_PROJECT_NAME CMAKE_HOME_DIRECTORY FLOWMETER_PYTHON)
endif()
if(NOT built_CMAKE_PROJECT_NAME STREQUAL PROJECT_NAME OR NOT built_FLOWMETER_PYTHON)
  message(FATAL_ERROR " FLOWMETER_BUILD_DIR=${FLOWMETER_BUILD_DIR} is not a build directory of ${PROJECT_NAME} with "
                      "-DFLOWMETER_PYTHON=ON")
endif()

# Libraries of other sources could not be told from these afterwards.
function(hash_of_sources directory result)
  file(GLOB_RECURSE files RELATIVE ${directory} ${directory}/include/*.h ${directory}/bpf/*.[ch] ${directory}/user/*.h
       ${directory}/user/*.cpp ${directory}/CMakeLists.txt)
  list(FILTER files INCLUDE REGEX "^(include|bpf|user)/|^CMakeLists.txt$")
  set(hashes "")
  foreach(file IN LISTS files)
    file(SHA256 ${directory}/${file} hash)
    string(APPEND hashes "${file} ${hash}\n")
  endforeach()
  string(SHA256 hash "${hashes}")
  set(${result} ${hash} PARENT_SCOPE)
endfunction()
hash_of_sources(${PROJECT_SOURCE_DIR} here)
hash_of_sources(${built_CMAKE_HOME_DIRECTORY} there)
if(NOT here STREQUAL there)
  message(FATAL_ERROR " FLOWMETER_BUILD_DIR=${FLOWMETER_BUILD_DIR} is built from other sources: "
                      "${built_CMAKE_HOME_DIRECTORY} differs from ${PROJECT_SOURCE_DIR}")
endif()

execute_process(COMMAND ${CMAKE_COMMAND} --build ${FLOWMETER_BUILD_DIR} --target flowmeter_api RESULT_VARIABLE failed)
if(failed)
  message(FATAL_ERROR " The libraries of FLOWMETER_BUILD_DIR=${FLOWMETER_BUILD_DIR} cannot be built")
endif()
include(${FLOWMETER_BUILD_DIR}/python/libraries.cmake)

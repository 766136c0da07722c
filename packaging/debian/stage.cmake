# SPDX-License-Identifier: BSD-3-Clause
# Makes of each component that CPack has installed what the Debian Policy wants: compressed manual pages and a changelog,
# one copyright file in place of licences, an example of options as a configuration file.
set(debian ${CPACK_FLOWMETER_SOURCE}/packaging/debian)
string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC)  # of SOURCE_DATE_EPOCH, if that is set

function(compress)
  foreach(file IN LISTS ARGN)
    execute_process(COMMAND gzip -9nf ${file} COMMAND_ERROR_IS_FATAL ANY)
  endforeach()
endfunction()

foreach(component IN LISTS CPACK_COMPONENTS_ALL)
  string(TOUPPER ${component} COMPONENT)
  set(package ${CPACK_DEBIAN_${COMPONENT}_PACKAGE_NAME})
  set(root ${CPACK_TEMPORARY_DIRECTORY}/${component})
  set(documents ${root}/usr/share/doc/${package})

  file(GLOB_RECURSE pages ${root}/usr/share/man/*)
  compress(${pages})
  configure_file(${debian}/changelog.in ${documents}/changelog.Debian @ONLY)
  compress(${documents}/changelog.Debian)
  configure_file(${debian}/copyright ${documents}/copyright COPYONLY)
  if(EXISTS ${debian}/${package}/lintian-overrides)
    configure_file(${debian}/${package}/lintian-overrides ${root}/usr/share/lintian/overrides/${package} COPYONLY)
  endif()

  if(component STREQUAL program)
    # They are in `copyright`.
    file(REMOVE_RECURSE ${documents}/LICENSE ${documents}/bpf)
    file(MAKE_DIRECTORY ${root}/etc/default)
    file(RENAME ${documents}/packaging/flowmeter-ebpf.default ${root}/etc/default/flowmeter-ebpf)
  else()
    # Debian's interpreter finds packages there, whatever its version.
    file(GLOB versioned ${root}/usr/lib/python3.*)
    file(RENAME ${versioned} ${root}/usr/lib/python3)
  endif()
endforeach()

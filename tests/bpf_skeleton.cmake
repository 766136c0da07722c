# SPDX-License-Identifier: BSD-3-Clause
# BPF programs of tests and benchmarks: NAME.bpf.c of the current directory becomes NAME.skel.h in ${BPF_SKELETONS}, by
# the same commands as the product's programs.
set(BPF_SKELETONS ${CMAKE_CURRENT_BINARY_DIR}/skeleton)
file(MAKE_DIRECTORY ${BPF_SKELETONS})
function(add_bpf_skeleton name)
  set(object ${BPF_SKELETONS}/${name}.bpf.o)
  add_custom_command(
    OUTPUT ${BPF_SKELETONS}/${name}.skel.h
    COMMAND ${BPF_CLANG} -target bpf -mcpu=v3 -O2 -g ${BPF_WARNINGS} -isystem /usr/include/${MULTIARCH}
            -fdebug-prefix-map=${PROJECT_SOURCE_DIR}=. -c ${CMAKE_CURRENT_SOURCE_DIR}/${name}.bpf.c -o ${object}
    COMMAND ${BPFTOOL} gen skeleton ${object} name ${name}_bpf > ${BPF_SKELETONS}/${name}.skel.h
    DEPENDS ${name}.bpf.c
    VERBATIM)
endfunction()

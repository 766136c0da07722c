// SPDX-License-Identifier: BSD-3-Clause
#include "support/raw_bpf.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "flowmeter/abi.h"

namespace flowmeter {

namespace bpf {

void load_map(std::vector<bpf_insn>& program, int dst, int pseudo, int map_fd) {
  program.push_back(instruction(BPF_LD | BPF_DW | BPF_IMM, dst, pseudo, 0, map_fd));
  program.push_back({});  // upper half: offset within the value
}

void next_source_address(std::vector<bpf_insn>& program, int data, int counter_fd, uint32_t mask) {
  constexpr int kSourceAddress = 14 + 12;
  load_map(program, BPF_REG_1, BPF_PSEUDO_MAP_VALUE, counter_fd);
  program.push_back(load32(BPF_REG_2, BPF_REG_1, 0));
  // A linear congruential generator; modulo a power of two its low bits have the full period (Hull
  // and Dobell 1962).
  program.push_back(alu32_imm(BPF_MUL, BPF_REG_2, 1664525));
  program.push_back(alu32_imm(BPF_ADD, BPF_REG_2, 1013904223));
  program.push_back(store32(BPF_REG_1, 0, BPF_REG_2));
  program.push_back(alu32_imm(BPF_AND, BPF_REG_2, static_cast<int32_t>(mask)));
  program.push_back(alu32_imm(BPF_LSH, BPF_REG_2, 8));
  program.push_back(alu32_imm(BPF_OR, BPF_REG_2, 10));
  program.push_back(store32(data, kSourceAddress, BPF_REG_2));
}

}  // namespace bpf

UniqueFd load_raw_program(bpf_prog_type type, const std::vector<bpf_insn>& program) {
  static char log[65536];
  LIBBPF_OPTS(bpf_prog_load_opts, options, .log_level = 1, .log_size = sizeof(log), .log_buf = log);
  const int fd = bpf_prog_load(type, "bench", "GPL", program.data(), program.size(), &options);
  if (fd < 0) {
    std::fprintf(stderr, "cannot load a benchmark program: %s\n%s", std::strerror(-fd), log);
    std::exit(1);
  }
  return UniqueFd(fd);
}

UniqueFd create_raw_map(bpf_map_type type, uint32_t value_size, uint32_t entries) {
  const int fd = bpf_map_create(type, "bench", sizeof(uint32_t), value_size, entries, nullptr);
  if (fd < 0) {
    std::fprintf(stderr, "cannot create a map: %s\n", std::strerror(-fd));
    std::exit(1);
  }
  return UniqueFd(fd);
}

UniqueFd create_socket_owners_map() {
  // The kernel demands the types of key and value.
  const std::unique_ptr<btf, void (*)(btf*)> types(btf__new_empty(), btf__free);
  constexpr size_t kWord = sizeof(uint32_t);
  const int key = btf__add_int(types.get(), "int", sizeof(int), BTF_INT_SIGNED);
  const int word = btf__add_int(types.get(), "word", kWord, 0);
  const int value = btf__add_array(types.get(), key, word, sizeof(fm_socket_owner) / kWord);
  int fd = btf__load_into_kernel(types.get());
  if (fd == 0) {
    LIBBPF_OPTS(bpf_map_create_opts, options, .btf_fd = static_cast<__u32>(btf__fd(types.get())),
                .btf_key_type_id = static_cast<__u32>(key),
                .btf_value_type_id = static_cast<__u32>(value),
                .map_flags = BPF_F_NO_PREALLOC | BPF_F_CLONE);
    fd = bpf_map_create(BPF_MAP_TYPE_SK_STORAGE, "bench", sizeof(int), sizeof(fm_socket_owner), 0,
                        &options);
  }
  if (fd < 0) {
    std::fprintf(stderr, "cannot create a map: %s\n", std::strerror(-fd));
    std::exit(1);
  }
  return UniqueFd(fd);
}

std::vector<uint8_t> bench_frame(bool tcp, size_t length) {
  std::vector<uint8_t> frame = {
      0x02, 0,  0, 0, 0,    2,    0x02, 0,    0,  0,  0, 1, 0x08, 0x00,        // Ethernet
      0x45, 0,  0, 0, 0,    0,    0x40, 0,    64, 17, 0, 0, 10,   0,    0, 0,  // IPv4
      198,  18, 0, 1, 0x9c, 0x40, 0x01, 0xbb,  // ports 40000 and 443
  };
  const size_t ip_length = length - 14;
  frame[16] = static_cast<uint8_t>(ip_length >> 8);
  frame[17] = static_cast<uint8_t>(ip_length);
  frame.resize(length);
  if (tcp) {
    frame[23] = 6;
    frame[46] = 0x50;
    frame[47] = 0x10;
  } else {
    frame[38] = static_cast<uint8_t>((ip_length - 20) >> 8);
    frame[39] = static_cast<uint8_t>(ip_length - 20);
  }
  return frame;
}

}  // namespace flowmeter

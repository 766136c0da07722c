// SPDX-License-Identifier: BSD-3-Clause
// Programs of a few BPF instructions, which the benchmarks load beside the product's: an object
// file of their own would be one more thing to build and find.
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <vector>

#include "base/unique_fd.h"

namespace flowmeter {

namespace bpf {

constexpr bpf_insn instruction(int code, int dst, int src, int off, int32_t imm) {
  return {static_cast<__u8>(code), static_cast<__u8>(dst & 0xf), static_cast<__u8>(src & 0xf),
          static_cast<__s16>(off), imm};
}
constexpr bpf_insn mov(int dst, int src) {
  return instruction(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
}
constexpr bpf_insn mov_imm(int dst, int32_t imm) {
  return instruction(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm);
}
constexpr bpf_insn alu32_imm(int operation, int dst, int32_t imm) {
  return instruction(BPF_ALU | operation | BPF_K, dst, 0, 0, imm);
}
constexpr bpf_insn add_imm(int dst, int32_t imm) {
  return instruction(BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, imm);
}
constexpr bpf_insn load32(int dst, int src, int off) {
  return instruction(BPF_LDX | BPF_MEM | BPF_W, dst, src, off, 0);
}
constexpr bpf_insn store32(int dst, int off, int src) {
  return instruction(BPF_STX | BPF_MEM | BPF_W, dst, src, off, 0);
}
constexpr bpf_insn jump_greater(int left, int right, int off) {
  return instruction(BPF_JMP | BPF_JGT | BPF_X, left, right, off, 0);
}
constexpr bpf_insn call(int helper) {
  return instruction(BPF_JMP | BPF_CALL, 0, 0, 0, helper);
}
constexpr bpf_insn exit() {
  return instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

// Appends the load of a 64-bit immediate: the map of map_fd (BPF_PSEUDO_MAP_FD), or the address of
// its first value (BPF_PSEUDO_MAP_VALUE).
void load_map(std::vector<bpf_insn>& program, int dst, int pseudo, int map_fd);

// Appends instructions that advance the counter that is the only value of an array map through all
// of 0 … mask, in an order that no hardware prefetcher guesses, and store it as source address
// 10.x.y.z of an IPv4 packet after an Ethernet header. data is a register with the frame's start,
// whose bounds are checked; r1 and r2 are overwritten.
void next_source_address(std::vector<bpf_insn>& program, int data, int counter_fd, uint32_t mask);

}  // namespace bpf

// Loads a program, or prints the verifier's log and exits.
UniqueFd load_raw_program(bpf_prog_type type, const std::vector<bpf_insn>& program);

// A map with a 32-bit key, or exits.
UniqueFd create_raw_map(bpf_map_type type, uint32_t value_size, uint32_t entries);

// A map like socket_owners of the metering programs, or exits.
UniqueFd create_socket_owners_map();

// Bytes of an Ethernet frame: IPv4, TCP (ACK) or UDP, to 198.18.0.1.
std::vector<uint8_t> bench_frame(bool tcp, size_t length);

}  // namespace flowmeter

// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/event_streams.h"

#include <algorithm>
#include <cerrno>

namespace flowmeter {

Result<EventStreams> EventStreams::map(int streams_fd, int units_fd, uint32_t cpus,
                                       uint32_t units_per_stream, uint32_t state_units,
                                       uint32_t answer_units, uint64_t commits) {
  EventStreams streams;
  const uint32_t number = cpus + (answer_units > 0);
  streams.state_units_ = state_units;
  streams.ends_ = map_memory<fm_stream>(streams_fd, whole_pages(number * sizeof(fm_stream)),
                                        PROT_READ | PROT_WRITE);
  streams.units_ = map_memory<const fm_packet_record>(
      units_fd,
      whole_pages((size_t{cpus} * units_per_stream + answer_units) * sizeof(fm_packet_record)),
      PROT_READ);
  if (!streams.ends_ || !streams.units_) return Error{"cannot map the event streams", errno};
  for (uint32_t i = 0; i < number; i++) {
    fm_stream* ends = streams.ends_.get() + i;
    const fm_packet_record* units = streams.units_.get() + size_t{i} * units_per_stream;
    const uint32_t size = i < cpus ? units_per_stream : answer_units;
    const uint64_t start = ends->committed[commits & 1];
    // An earlier reader may have been killed between its commit and the release.
    __atomic_store_n(&ends->tail, start, __ATOMIC_RELEASE);
    streams.cursors_.push_back({ends, units, size - 1, start, start, start, 0});
  }
  streams.active_.reserve(number);
  streams.whole_.resize(std::max(FM_STATE_UNITS_MAX, FM_PAYLOAD_UNITS_MAX));
  return streams;
}

uint32_t EventStreams::units_of(const fm_packet_record& record) const {
  switch (record.what & FM_RECORD_TYPE_MASK) {
    case FM_RECORD_OPEN:
    case FM_RECORD_OPEN_NEW:
    case FM_RECORD_UNCOUNTED:
      return FM_OPEN_UNITS;
    case FM_RECORD_CLOSED:
    case FM_RECORD_STATE:
      return state_units_;
    case FM_RECORD_PAYLOAD:
      return fm_payload_units(reinterpret_cast<const fm_payload_record&>(record).byte_count);
    case FM_RECORD_OWNER:
      return FM_OWNER_UNITS;
    default:
      return 1;
  }
}

void EventStreams::hand_out(const Cursor& cursor, uint32_t units, const Consumer& consumer) {
  const fm_packet_record* record = &unit(cursor, cursor.at);
  if (units == 1 || &unit(cursor, cursor.at + units - 1) > record) {
    consumer(record, units * sizeof(fm_packet_record));
    return;
  }
  for (uint32_t i = 0; i < units; i++) whole_[i] = unit(cursor, cursor.at + i);
  consumer(whole_.data(), units * sizeof(fm_packet_record));
}

size_t EventStreams::drain(uint64_t until_ns, size_t limit, const Consumer& consumer) {
  const auto earlier = [](const Cursor* a, const Cursor* b) { return a->time_ns < b->time_ns; };
  active_.clear();
  for (Cursor& cursor : cursors_) {
    cursor.head = __atomic_load_n(&cursor.ends->head, __ATOMIC_ACQUIRE);
    if (cursor.at == cursor.head) continue;
    cursor.time_ns = unit(cursor, cursor.at).time_ns;
    if (cursor.time_ns <= until_ns) active_.push_back(&cursor);
  }
  std::sort(active_.begin(), active_.end(), earlier);

  size_t drained = 0;
  while (!active_.empty() && drained < limit) {
    Cursor& first = *active_.front();
    const uint64_t bound = active_.size() > 1 ? std::min(active_[1]->time_ns, until_ns) : until_ns;
    do {
      const uint32_t units = units_of(unit(first, first.at));
      hand_out(first, units, consumer);
      drained++;
      first.at += units;
      if (first.at == first.head) break;
      first.time_ns = unit(first, first.at).time_ns;
    } while (first.time_ns <= bound && drained < limit);
    if (first.at == first.head || first.time_ns > until_ns) {
      active_.erase(active_.begin());
      continue;
    }
    for (size_t i = 0; i + 1 < active_.size() && earlier(active_[i + 1], active_[i]); i++)
      std::swap(active_[i], active_[i + 1]);
  }
  return drained;
}

uint64_t EventStreams::oldest_waiting_ns() const {
  uint64_t oldest = UINT64_MAX;
  for (const Cursor& cursor : cursors_)
    if (cursor.at != __atomic_load_n(&cursor.ends->head, __ATOMIC_ACQUIRE))
      oldest = std::min<uint64_t>(oldest, unit(cursor, cursor.at).time_ns);
  return oldest == UINT64_MAX ? 0 : oldest;
}

uint64_t EventStreams::answer_room() const {
  const Cursor& answers = cursors_.back();
  const uint64_t head = __atomic_load_n(&answers.ends->head, __ATOMIC_ACQUIRE);
  return answers.mask + 1 - (head - answers.ends->tail);
}

bool EventStreams::advanced() const {
  return std::any_of(cursors_.begin(), cursors_.end(),
                     [](const Cursor& cursor) { return cursor.at != cursor.ends->tail; });
}

void EventStreams::mark() {
  for (Cursor& cursor : cursors_) cursor.marked = cursor.at;
}

void EventStreams::store_mark(uint64_t commits) {
  for (const Cursor& cursor : cursors_) cursor.ends->committed[commits & 1] = cursor.marked;
}

void EventStreams::release_marked() {
  for (const Cursor& cursor : cursors_)
    if (cursor.ends->tail != cursor.marked)
      __atomic_store_n(&cursor.ends->tail, cursor.marked, __ATOMIC_RELEASE);
}

}  // namespace flowmeter

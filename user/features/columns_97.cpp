// SPDX-License-Identifier: BSD-3-Clause
#include "features/columns_97.h"

#include <algorithm>
#include <charconv>
#include <iterator>

#include "features/application_quantities.h"
#include "features/quantities.h"

namespace flowmeter {
namespace {

using namespace quantities;

// ---- definitions that are specific to this set ----

constexpr QuantityOf kFlowId{
    kText, "Src IP, Dst IP, Src Port, Dst Port and Protocol, joined by -", [](Record f) -> Cell {
      char text[Cell::kMaxText];
      char* at = text;
      const auto put = [&](std::string_view part) { at = std::copy(part.begin(), part.end(), at); };
      for (const Way way : {Way::kForward, Way::kBackward}) {
        put(address_text(f.key.address[sender(f, way)], f.key.ip_version).text());
        *at++ = '-';
      }
      for (const Way way : {Way::kForward, Way::kBackward}) {
        at = std::to_chars(at, at + 5, port(f, sender(f, way))).ptr;
        *at++ = '-';
      }
      put(protocol_name(f.key.protocol));
      return std::string_view(text, static_cast<size_t>(at - text));
    }};
constexpr Quantity kFirstTimeEpoch = instant_of<epoch_text, 9>(
    kSeconds,
    "time of the first packet since 1970, UTC, always nine decimals; before 1970 a minus sign",
    kReadFirstTime);
// Exact: below 2^41 us (25 days) doubles are closer together than half a nanosecond.
constexpr QuantityOf kDurationMicroseconds{
    kMicroseconds, "latest time - first packet's time (D); the only column in microseconds",
    [](Record f) { return static_cast<double>(f.duration_ns()) / 1000; }};
constexpr QuantityOf kByteRatio{
    kNone, "bytes of the backward packets / of the forward packets; 0 without forward packets",
    [](Record f) { return ratio(lengths(f, Way::kBackward).sum, lengths(f, Way::kForward).sum); }};

// Its bulks are not ended by packets of the other direction.
const DirectionBulks::Totals& own_bulks(Record f, Way way) {
  static constexpr DirectionBulks::Totals kNothing{};
  return f.direction_bulks ? f.direction_bulks[sender(f, way)].totals : kNothing;
}
constexpr Directed kOwnBulkBytesMean{
    kBytes, "payload bytes per {}bulk",
    [](Record f, Way way) { return ratio(own_bulks(f, way).bytes, own_bulks(f, way).count); }};
constexpr Directed kOwnBulkPacketsMean{
    kPackets, "packets per {}bulk",
    [](Record f, Way way) { return ratio(own_bulks(f, way).packets, own_bulks(f, way).count); }};
constexpr Directed kOwnBulkRateMean{
    kBytesPerSecond, "mean of the {}bulks' payload bytes / duration; 0 for a bulk without duration",
    [](Record f, Way way) {
      const DirectionBulks::Totals& b = own_bulks(f, way);
      return b.count == 0 ? 0 : b.rate_sum / static_cast<double>(b.count);
    }};

// In the order and spelling of the original, with its oddities.
constexpr Column kColumns[] = {
    {"Flow ID", kFlowId},
    {"Src IP", kSourceAddress},
    {"Dst IP", kDestinationAddress},
    {"Src Port", kSourcePort},
    {"Dst Port", kDestinationPort},
    {"Protocol", kProtocolName},
    {"Timestamp", kFirstTimeEpoch},
    {"Flow Duration", kDurationMicroseconds},
    {"Total Fwd Packets", kPacketCount.forward},
    {"Total Backward Packets", kPacketCount.backward},
    {"Total Length of Fwd Packets", kLengthSum.forward},
    {"Total Length of Bwd Packets", kLengthSum.backward},
    {"Fwd Packet Length Max", kLengthMax.forward},
    {"Fwd Packet Length Min", kLengthMin.forward},
    {"Fwd Packet Length Mean", kLengthMean.forward},
    {"Fwd Packet Length Std", kLengthDeviation.forward},
    {"Bwd Packet Length Max", kLengthMax.backward},
    {"Bwd Packet Length Min", kLengthMin.backward},
    {"Bwd Packet Length Mean", kLengthMean.backward},
    {"Bwd Packet Length Std", kLengthDeviation.backward},
    {"Flow Bytes/s", kByteRate},
    {"Flow Packets/s", kPacketRate.both},
    {"Flow IAT Mean", kGapMean.both},
    {"Flow IAT Std", kGapDeviation.both},
    {"Flow IAT Max", kGapMax.both},
    {"Flow IAT Min", kGapMin.both},
    {"Fwd IAT Total", kGapSum.forward},
    {"Fwd IAT Mean", kGapMean.forward},
    {"Fwd IAT Std", kGapDeviation.forward},
    {"Fwd IAT Max", kGapMax.forward},
    {"Fwd IAT Min", kGapMin.forward},
    {"Bwd IAT Total", kGapSum.backward},
    {"Bwd IAT Mean", kGapMean.backward},
    {"Bwd IAT Std", kGapDeviation.backward},
    {"Bwd IAT Max", kGapMax.backward},
    {"Bwd IAT Min", kGapMin.backward},
    {"Fwd PSH Flags", kPshPackets.forward, "{}packets with PSH; ICMP 0, as all flags"},
    {"Bwd PSH Flags", kPshPackets.backward},
    {"Fwd URG Flags", kUrgPackets.forward},
    {"Bwd URG Flags", kUrgPackets.backward},
    {"Fwd Header Length", kHeaderBytes.forward},
    {"Bwd Header Length", kHeaderBytes.backward},
    {"Fwd Packets/s", kPacketRate.forward},
    {"Bwd Packets/s", kPacketRate.backward},
    {"Min Packet Length", kLengthMin.both},
    {"Max Packet Length", kLengthMax.both},
    {"Packet Length Mean", kLengthMean.both},
    {"Packet Length Std", kLengthDeviation.both},
    {"Packet Length Variance", kLengthVariance.both},
    {"FIN Flag Count", kFinPackets.both},
    {"SYN Flag Count", kSynPackets.both},
    {"RST Flag Count", kRstPackets.both},
    {"PSH Flag Count", kPshPackets.both},
    {"ACK Flag Count", kAckPackets.both},
    {"URG Flag Count", kUrgPackets.both},
    {"CWR Flag Count", kCwrPackets.both},
    {"ECE Flag Count", kEcePackets.both},
    {"Down/Up Ratio", kByteRatio},
    {"Average Packet Size", kLengthMean.both, "as Packet Length Mean"},
    {"Avg Fwd Segment Size", kPayloadMean.forward},
    {"Avg Bwd Segment Size", kPayloadMean.backward},
    {"Fwd Header Length.1", kHeaderBytes.forward, "as Fwd Header Length"},
    {"Fwd Avg Bytes/Bulk", kOwnBulkBytesMean.forward,
     "payload bytes per {}bulk (payload packets with gaps up to 0.1 s; packets of the other "
     "direction do not end it, and one packet is a bulk)"},
    {"Fwd Avg Packets/Bulk", kOwnBulkPacketsMean.forward},
    {"Fwd Avg Bulk Rate", kOwnBulkRateMean.forward},
    {"Bwd Avg Bytes/Bulk", kOwnBulkBytesMean.backward},
    {"Bwd Avg Packets/Bulk", kOwnBulkPacketsMean.backward},
    {"Bwd Avg Bulk Rate", kOwnBulkRateMean.backward},
    {"Subflow Fwd Packets", kSubflowPackets.forward},
    {"Subflow Fwd Bytes", kSubflowBytes.forward},
    {"Subflow Bwd Packets", kSubflowPackets.backward},
    {"Subflow Bwd Bytes", kSubflowBytes.backward},
    {"Init_Win_bytes_forward", kInitialWindow.forward},
    {"Init_Win_bytes_backward", kInitialWindow.backward},
    {"act_data_pkt_fwd", kDataPacketCount.forward},
    {"min_seg_size_forward", kPayloadMin.forward},
    {"Active Mean", with_note(kActiveMean, kActivePeriodNote)},
    {"Active Std", kActiveDeviation},
    {"Active Max", kActiveMax},
    {"Active Min", kActiveMin},
    {"Idle Mean", kIdleMean, "mean idle period: a gap above the activity gap (1 s)"},
    {"Idle Std", kIdleDeviation},
    {"Idle Max", kIdleMax},
    {"Idle Min", kIdleMin},
    {"HTTP Request Count", kHttpRequests},
    {"HTTP Response Count", kHttpResponses},
    {"HTTP Most Common Method", kHttpMethod},
    {"HTTP Most Common Response Code", kHttpCode},
    {"HTTP Content Length", kHttpContentLength},
    {"TLS Handshake Count", kTlsMessages},
    {"TLS Most Common Version", kTlsVersion},
    {"TLS Cipher Suite Count", kTlsCipherSuites},
    {"TLS Extensions Count", kTlsExtensions},
    {"DNS Query Count", kDnsQueries},
    {"DNS Response Count", kDnsResponses},
    {"DNS Most Common Query Type", kDnsQueryType},
    {"DNS Most Common Response Code", kDnsCode},
};
static_assert(std::size(kColumns) == 97);

}  // namespace

FeatureSet columns_97() {
  return kColumns;
}

}  // namespace flowmeter

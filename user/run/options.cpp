// SPDX-License-Identifier: BSD-3-Clause
// A new option is a row of this table. Its position determines its place within its group in help,
// and options are set in this order.
#include "run/options.h"

#include <algorithm>
#include <charconv>

#include "base/utf8.h"
#include "features/columns_extra.h"
#include "flows/meter_identity.h"
#include "metrics/address.h"
#include "output/registry.h"
#include "run/attribution_options.h"
#include "run/meter_id.h"

namespace flowmeter {
namespace {

// A flow takes 832 bytes in replay.
constexpr uint32_t kReplayMaxFlows = 2'097'152;
// With these, kernel and program together stay below 256 MiB (docs/design.md has the formula).
constexpr uint32_t kLiveMaxFlows = 120'000;
constexpr uint32_t kLiveTimedMaxFlows = 80'000;
constexpr uint32_t kMostFlows = 64 * 1024 * 1024;

using enum OptionGroup;

const OptionRules kKeyword{.is_keyword = true};
const OptionRules kLiveOnly{.live_only = true};
const OptionRules kLiveKeyword{.live_only = true, .is_keyword = true};
const OptionRules kCommandLineOnly{.command_line_only = true};

const std::vector<OptionRules::Exclusion> kExcludedByCompat = {
    {{"--extra", "--quality", "--fleet"},
     "--compat writes the other program's columns: leave out --extra, --quality and --fleet"},
    {{"--attribute"}, "--compat writes the other program's columns: leave out --attribute"},
    {{"--meter-id", "--community-id-seed"},
     "--compat writes the other program's columns: leave out --meter-id and --community-id-seed"},
    {{"--label"}, "--compat writes what the other program does: leave out --label"},
    {{"--float-format"}, "--compat writes what the other program does: leave out --float-format"},
    {{"--time-format"}, "--compat writes what the other program does: leave out --time-format"},
    {{"--lowercase-columns"},
     "--compat writes what the other program does: leave out --lowercase-columns"},
    {{"--features"}, "--compat has its own columns: leave out --features"},
    {{"--print"}, "--compat prints no flows: leave out --print"},
    {{"--per-interface", "--pin"},
     "--compat keeps one table of flows, in this process: leave out --per-interface and --pin"},
};

// Also sets the defaults of time-outs and gaps, so it comes before them.
OptionValue feature_set(Config& config) {
  std::vector<std::pair<std::string, const NamedFeatureSet*>> sets;
  for (const NamedFeatureSet& set : feature_sets()) sets.emplace_back(set.name, &set);
  OptionValue value =
      choice<const NamedFeatureSet*>(config.features, "SET", "a feature set", std::move(sets));
  value.set = [&config, choose = value.set](const std::vector<std::string>& texts) -> Status {
    Status chosen = choose(texts);
    if (chosen) config.settings = config.features->settings;
    return chosen;
  };
  return value;
}

OptionValue compat_mode(Config& config) {
  OptionValue value = choice<Compat>(config.compat, "MODE", "a mode",
                                     {{"python", Compat::kPython}, {"java", Compat::kJava}});
  value.set = [choose = value.set](const std::vector<std::string>& texts) -> Status {
    if (texts.at(0) == "java-fixed")
      return Error{
          "java-fixed is not available: the exact output of the corrected Java program is "
          "not known (choose from: python, java)"};
    return choose(texts);
  };
  return value;
}

OptionValue label(RowStyle& style) {
  return custom("TEXT", [&style](const std::string& text) -> Status {
    if (has_control_character(text)) return Error{"a label is one line without control characters"};
    style.label = text;
    return Done{};
  });
}

OptionValue meter_id(std::string& id) {
  const auto set = [&id](const std::string& text) -> Status {
    if (!MeterIdentity::valid_id(text))
      return Error{"\"" + printable(text, '?') + "\" is not an id: 1 to " +
                   std::to_string(MeterIdentity::kMaxId) +
                   " letters, digits and . _ : - are possible"};
    id = text;
    return Done{};
  };
  return custom("TEXT", set, [&id] { return id; });
}

OptionValue float_format(RowStyle& style) {
  const auto set = [&style](const std::string& text) -> Status {
    constexpr std::string_view kFixed = "fixed:";
    style.decimals.reset();
    if (text == "shortest") return Done{};
    const char* const end = text.data() + text.size();
    unsigned decimals = 0;
    if (text.starts_with(kFixed)) {
      const auto read = std::from_chars(text.data() + kFixed.size(), end, decimals);
      if (read.ec == std::errc() && read.ptr == end && decimals <= RowStyle::kMaxDecimals) {
        style.decimals = static_cast<int>(decimals);
        return Done{};
      }
    }
    return Error{"\"" + text + "\" is not a format (choose from: shortest, fixed:0 to fixed:" +
                 std::to_string(RowStyle::kMaxDecimals) + ")"};
  };
  return custom("FORMAT", set, [] { return std::string("shortest"); });
}

OptionValue time_format(RowStyle& style) {
  return choice<TimeFormat>(style.time_format, "FORMAT", "a format",
                            {{"iso", TimeFormat::kIso},
                             {"epoch", TimeFormat::kEpoch},
                             {"epoch-us", TimeFormat::kEpochMicroseconds},
                             {"python", TimeFormat::kPython}});
}

OptionValue max_flows(Config& config) {
  OptionValue value = count(config.max_flows, 64, kMostFlows);
  value.in_force = [&config] {
    return std::to_string(config.max_flows ? config.max_flows : default_max_flows(config));
  };
  return value;
}

OptionValue state_directory(Config& config) {
  OptionValue value = text(config.state_directory, "DIR", "needs a directory");
  value.in_force = [&config] {
    return config.state_directory.empty() ? default_state_directory(config)
                                          : config.state_directory;
  };
  return value;
}

OptionValue metrics_address(Config& config) {
  const auto set = [&config](const std::string& text) -> Status {
    if (auto address = MetricsAddress::parse(text); !address) return address.error();
    config.metrics = text;
    return Done{};
  };
  return custom("ADDRESS", set, [&config] { return config.metrics; });
}

// The options of the log are first, so that errors in the others are logged in the chosen format.
std::vector<Option> first_options(Config& config) {
  return {
      {"--config", kOther, text(config.configuration_file, "FILE.toml"),
       "Read options from this file; each line is:\n"
       "long-name = value. The command line takes precedence\n"
       "over the environment (FLOWMETER_IDLE_TIMEOUT=60 is\n"
       "--idle-timeout 60), the environment over the file",
       kCommandLineOnly},
      {"--print-config", kOther, flag(config.print_config),
       "Print the values in force and where each comes from,\n"
       "as a file for --config",
       kCommandLineOnly},
      {"--log-format", kOther,
       choice<LogFormat>(config.log_format, "FORMAT", "a format",
                         {{"text", LogFormat::kText},
                          {"logfmt", LogFormat::kLogfmt},
                          {"json", LogFormat::kJson}}),
       "Format of log lines: text, logfmt or json"},
      {"--log-level", kOther,
       choice<LogLevel>(config.log_level, "LEVEL", "a level",
                        {{"error", LogLevel::kError},
                         {"warning", LogLevel::kWarning},
                         {"info", LogLevel::kInfo},
                         {"debug", LogLevel::kDebug}}),
       "Lowest level that is logged: error, warning, info, or\n"
       "debug (like -v, with libbpf's debug messages)"},
  };
}

std::vector<Option> input_options(Config& config) {
  return {
      {"-f,--file,-r,--read", kInput, list(config.captures, "CAPTURE"),
       "Replay a pcap or pcapng capture; - is standard input.\n"
       "Several -f are read in order, as one stream"},
      {"-i,--iface,--interface", kInput, list(config.interfaces, "IFACE"),
       "Meter this network interface: a name, a glob\n"
       "('veth*'), a regular expression ('/^(eth|ens)/')\n"
       "or any. May be given several times"},
      {"--netns", kInput,
       text(config.netns, "NETNS", "needs the name, the path or the PID of a network namespace"),
       "Look for the interfaces in this network namespace:\na name, a path or a PID", kLiveKeyword},
  };
}

std::vector<Option> row_options(Config& config) {
  OutputOptions& outputs = config.outputs;
  return {
      {"--features", kOutput, feature_set(config),
       "Columns, and defaults of time-outs and gaps:\n"
       "cic82, netflowmeter114 (activity gap 100 s), or\n"
       "realtime97 (time-outs 5 s, activity gap 1 s, bulks\n"
       "of at least 1 packet within 0.1 s; HTTP, TLS, DNS)",
       kKeyword},
      {"--overwrite", kOutput, flag(outputs.overwrite),
       "Replace output/live_flow_features.csv, and with --pin\n"
       "every file, whatever it holds; else rows are appended\n"
       "(without --pin, a file named by -c is always replaced)"},
      {"--fields", kOutput, text(config.fields, "A,B,..."),
       "Write only these columns, in this order", kKeyword},
      {"--extra", kOutput, text(config.extra, "A,B,..."),
       "Append these columns after the others (they are\nthe last ones in --list-fields)",
       kKeyword},
      {"--quality", kOutput, flag(config.quality),
       "Append columns that say how far a row can be\ntrusted (short for --extra with their "
       "names)",
       kKeyword},
      {"--fleet", kOutput, flag(config.fleet),
       "Append meter_id, flow_id, flow_key and community_id,\nwhich identify a row among those of "
       "many meters\n(short for --extra with their names)",
       kKeyword},
      {"--meter-id", kOutput, meter_id(config.meter_id),
       "The name of this meter in the column meter_id and in\nthe ids of flows (default: the "
       "machine's id, else its\nhost name)",
       kKeyword},
      {"--community-id-seed", kOutput, count(config.community_id_seed, 0, 65'535),
       "Seed of the column community_id; programs whose ids\nare compared need the same", kKeyword},
      {"--label", kOutput, label(outputs.style),
       "Append a column \"label\" with this text in each row"},
      {"--float-format", kOutput, float_format(outputs.style),
       "Format of real numbers: fixed:N (N decimals, 0 to 64)\n"
       "or shortest (fewest digits that read back the same)"},
      {"--time-format", kOutput, time_format(outputs.style),
       "Format of points in time, in UTC: iso (the default of\n"
       "JSON), epoch (seconds), epoch-us (microseconds) or\n"
       "python (2026-01-31 23:59:59.000000). Default of CSV:\n"
       "python, realtime97 epoch"},
      {"--lowercase-columns", kOutput, flag(outputs.style.lowercase_columns),
       "Write the names of columns in lower case"},
      {"--list-fields", kOutput, flag(config.list_fields),
       "Print all columns with their units and definitions", kCommandLineOnly},
      {"--compat",
       kOutput,
       compat_mode(config),
       "Write the rows of another program, with its quirks:\n"
       "python (cicflowmeter 0.4.1) or\n"
       "java (the Java CICFlowMeter 4.0)",
       {.excludes = kExcludedByCompat}},
      {"--top", kOutput, flag(config.top),
       "Live: show rates, losses and the largest flows in\n"
       "this terminal (rows only with -c). Keys: b sorts by\n"
       "bytes, p by packets, q ends the run; c sums them by\n"
       "container (--attribute)",
       kLiveOnly},
  };
}

std::vector<Option> flow_options(Config& config) {
  fm_settings& s = config.settings;
  return {
      {"--duration", kStop, seconds(config.duration_s), "Live: stop after this time", kLiveKeyword},
      {"--packets", kStop, count(config.packets, 1, UINT64_MAX),
       "Stop after this many packets (live: at least)", kKeyword},

      {"--idle-timeout", kTimes, seconds(s.idle_timeout_ns),
       "A longer silence ends a TCP or UDP flow", kKeyword},
      {"--icmp-idle-timeout", kTimes, seconds(s.icmp_idle_timeout_ns),
       "A longer silence ends an ICMP flow", kKeyword},
      {"--tcp-linger", kTimes, seconds(s.tcp_linger_ns), "A longer silence ends a closed TCP flow",
       kKeyword},
      {"--active-timeout", kTimes, seconds(s.active_timeout_ns),
       "A flow that lasts longer is continued by a new one", kKeyword},
      {"--activity-gap", kTimes, seconds(s.activity_gap_ns),
       "A longer gap is idle time between active periods", kKeyword},
      {"--subflow-gap", kTimes, seconds(s.subflow_gap_ns), "A longer gap starts a new subflow",
       kKeyword},
      {"--bulk-min-packets", kTimes, count(s.bulk_min_packets, 1, 1'000'000),
       "Number of successive payload packets that make a bulk", kKeyword},
      {"--bulk-max-gap", kTimes, seconds(s.bulk_max_gap_ns),
       "A longer gap between them ends a bulk", kKeyword},
      {"--fragment-memory", kTimes, seconds(s.fragment_memory_ns),
       "Time for which a first fragment is remembered", kKeyword},

      {"--max-flows",
       kLimits,
       max_flows(config),
       "Most flows held at a time; beyond that, old ones\nare forced out, and counted\n(with "
       "--datapath kernel: 80000)",
       {.is_keyword = true, .shown_default = "2097152, live 120000"}},
      {"--max-fragments", kLimits, count(config.max_fragments, 16, kMostFlows),
       "Most first fragments remembered at a time", kKeyword},
      {"--event-memory",
       kLimits,
       count(config.event_memory_mib, 1, 1024),
       "Live: MiB for the event streams of all CPUs\n(rounded up to a power of two)",
       {.live_only = true, .is_keyword = true, .former_name = "--ring-size"}},
      {"--batch", kLimits, count(config.batch, 1024, 1 << 22),
       "Live: most events taken before the clock is read\nand rows are written", kLiveKeyword},
  };
}

std::vector<Option> live_options(Config& config) {
  return {
      {"--hook", kLive,
       choice<Hook>(config.hook, "HOOK", "a hook",
                    {{"auto", Hook::kAuto},
                     {"tcx", Hook::kTcx},
                     {"tc", Hook::kTc},
                     {"xdp", Hook::kXdp},
                     {"xdp-generic", Hook::kXdpGeneric}}),
       "Where packets are seen: tcx (both directions),\n"
       "tc (clsact, for kernels without TCX), xdp or\n"
       "xdp-generic (received packets; sent ones by tcx),\n"
       "or auto (tcx if the kernel has it, else tc)",
       kLiveKeyword},
      {"--attach-order", kLive,
       choice<AttachOrder>(config.attach_order, "ORDER", "a place",
                           {{"first", AttachOrder::kFirst}, {"last", AttachOrder::kLast}}),
       "Place among other programs at the hook:\nfirst or last", kLiveKeyword},
      {"--datapath", kLive,
       choice<Datapath>(config.datapath, "PATH", "a datapath",
                        {{"events", Datapath::kEvents}, {"kernel", Datapath::kKernel}}),
       "Where times are kept: events (in the program, which\n"
       "gets one event per packet) or kernel (in the flow\n"
       "map: no events, less CPU, more memory per flow)",
       kLiveKeyword},
      {"--flow-map", kLive,
       choice<bool>(config.lru, "KIND", "a kind of map", {{"hash", false}, {"lru", true}}),
       "What a full map does: hash (refuse new flows; the\n"
       "program meters them) or lru (drop old ones)",
       kLiveKeyword},
      {"--per-interface", kLive, flag(config.per_interface),
       "Give each interface its own flows; otherwise a packet\n"
       "that passes several interfaces is counted at the first",
       kLiveKeyword},
      {"--pin", kLive, text(config.pin, "DIR", "needs a directory"),
       "Keep the metering state in this directory of a bpffs:\n"
       "it outlives the program, and the next run with\n"
       "--pin continues the same flows",
       kLiveKeyword},
      {"--state-dir",
       kLive,
       state_directory(config),
       "With --pin: keep what the kernel does not know of\n"
       "open flows in this directory, best in memory (with\n"
       "--user NAME: /run/flowmeter-ebpf-NAME)",
       {.live_only = true, .needs = {"--pin"}, .is_keyword = true}},
      {"--unpin",
       kLive,
       flag(config.unpin),
       "With --pin: at the end, write all flows, detach\nand remove the pins (but not on SIGUSR2, "
       "which says\nthat another run follows)",
       {.live_only = true, .needs = {"--pin"}, .is_keyword = true}},
      {"--print", kLive, flag(config.print),
       "Print one line per finished flow and one summary per\n"
       "minute to standard error (the default of realtime97\n"
       "on a terminal)",
       kLiveOnly},
  };
}

std::vector<Option> metrics_options(Config& config) {
  return {
      {"--metrics", kLive, metrics_address(config),
       "Serve metrics for Prometheus, /healthz and /readyz by\n"
       "HTTP: 127.0.0.1:9464, [::1]:9464, :9464 (everybody\n"
       "who can reach this machine), or /run/NAME.sock",
       kLiveOnly},
      {"--metrics-interfaces",
       kLive,
       count(config.metrics_interfaces, 0, 100'000),
       "Most interfaces with series of their own; the others\n"
       "are summed",
       {.live_only = true, .needs = {"--metrics"}}},
      {"--bpf-stats",
       kLive,
       flag(config.bpf_stats),
       "Also serve the run time of the BPF programs. The\n"
       "kernel then measures all BPF programs of the system,\n"
       "which costs each run of each of them about 0.1 us",
       {.live_only = true, .needs = {"--metrics"}}},
  };
}

std::vector<Option> other_options(Config& config) {
  return {
      {"--strict", kOther, flag(config.strict), "Fail on a damaged capture (exit status 1)",
       kKeyword},
      {"--sandbox", kOther,
       choice<SandboxMode>(config.sandbox, "MODE", "a mode",
                           {{"auto", SandboxMode::kAuto},
                            {"off", SandboxMode::kOff},
                            {"require", SandboxMode::kRequire}}),
       "Give up files and system calls that are not needed,\n"
       "before packets are read: auto (as far as the system\n"
       "allows it; -v says how far), off, or require (fail if\n"
       "it allows only a part)"},
      {"--user", kOther, text(config.user, "NAME", "needs a user"),
       "Root: run as this user (or NAME:GROUP), who owns all\n"
       "files that are created; privileges end after attaching"},
      {"-v,--verbose", kOther, flag(config.verbose), "Print more messages", kKeyword},
      {"-q,--quiet", kOther, flag(config.quiet), "Print no account of packets and no progress"},
  };
}

}  // namespace

uint32_t default_max_flows(const Config& config) {
  if (!config.live()) return kReplayMaxFlows;
  return config.datapath == Datapath::kKernel ? kLiveTimedMaxFlows : kLiveMaxFlows;
}

std::string default_state_directory(const Config& config) {
  const std::string name = config.user.substr(0, config.user.find(':'));
  return "/run/flowmeter-ebpf" + (name.empty() ? "" : "-" + name);
}

std::vector<Option> options_of(Config& config) {
  std::vector<Option> all = first_options(config);
  const auto append = [&all](std::vector<Option> more) {
    std::move(more.begin(), more.end(), std::back_inserter(all));
  };
  append(input_options(config));
  add_output_options(config.outputs, all);
  append(row_options(config));
  append(flow_options(config));
  append(live_options(config));
  append(attribution_options(config));
  append(metrics_options(config));
  append(other_options(config));
  return all;
}

const Option* find_option(const std::vector<Option>& options, const std::string& long_name) {
  for (const Option& option : options)
    for (const std::string& name : option.long_names())
      if (name == long_name) return &option;
  return nullptr;
}

Status set_options(const std::vector<Option>& options, const GivenOptions& given) {
  for (const Option& option : options) {
    const auto found = given.find(&option);
    if (found == given.end()) continue;
    const auto& [values, source] = found->second;
    if (Status set = option.value.set(values); !set)
      return usage_error((source.empty() ? "" : source + ": ") + option.spoken_name() + ": " +
                         set.error().doing);
  }
  return Done{};
}

namespace {

// What kind of rows they are: the set and the version of its columns. --fields may leave out any.
std::string schema_of(const Config& config) {
  return (config.fields.empty() ? std::string(config.features->name) : "fields") + "/1";
}

bool has_identifying_output(const OutputOptions& outputs) {
  return std::any_of(outputs.targets.begin(), outputs.targets.end(),
                     [](const OutputTarget& target) { return target.kind->identifies_rows; });
}

}  // namespace

void settle_options(Config& config) {
  const auto append_columns = [&config](const std::string& names) {
    config.extra += (config.extra.empty() ? "" : ",") + names;
  };
  if (config.quality) append_columns(kQualityColumns);
  if (config.fleet) append_columns(kFleetColumns);
  if (config.attribute != FM_ATTRIBUTE_OFF) append_columns(attribution_columns(config));
  config.identify_rows = names_fleet_column(config.fields) || names_fleet_column(config.extra);
  config.verbose = config.verbose || config.log_level == LogLevel::kDebug;
  if (config.max_flows == 0) config.max_flows = default_max_flows(config);
  if (config.state_directory.empty()) config.state_directory = default_state_directory(config);
  if (!config.outputs.on_full)
    config.outputs.on_full = config.live() ? OnFull::kDrop : OnFull::kBlock;
  config.outputs.commits = !config.pin.empty();
  config.outputs.schema = schema_of(config);
  if (has_identifying_output(config.outputs)) {
    config.identify_rows = true;
    config.outputs.meter = meter_identity(config, MeterIdentity::kReplay).id();
  }
}

}  // namespace flowmeter

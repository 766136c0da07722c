// SPDX-License-Identifier: BSD-3-Clause
#include "cli/options.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "base/host.h"
#include "cli/option_sources.h"
#include "cli/standard_output.h"
#include "features/columns_extra.h"
#include "features/listing.h"

namespace flowmeter {
namespace {

// Ten years. Longer would not overflow anything yet, but is a slip of the finger.
constexpr double kMaxSeconds = 315'360'000;

// A flow takes 832 bytes in replay.
constexpr uint32_t kReplayMaxFlows = 2'097'152;
// Kernel and program together stay below 256 MiB with these (docs/design.md has the formula).
constexpr uint32_t kLiveMaxFlows = 120'000;
constexpr uint32_t kLiveTimedMaxFlows = 80'000;
constexpr uint32_t kMaxMaxFlows = 64 * 1024 * 1024;
constexpr uint32_t kMaxFragments = 65'536;
constexpr uint32_t kRingMib = 32;
constexpr uint32_t kBatch = 65'536;

constexpr char kFooter[] =
    "Examples:\n"
    "  sudo flowmeter-ebpf -i eth0 -c flows.csv         meter a host until Ctrl-C\n"
    "  sudo flowmeter-ebpf -i 'veth*' -i eth0           meter a container node\n"
    "  flowmeter-ebpf doctor                            what this machine allows\n"
    "  flowmeter-ebpf features netflowmeter114          the columns of a feature set\n"
    "  flowmeter-ebpf -f x.pcap -c flows.csv            replay a capture\n"
    "  flowmeter-ebpf -f x.pcap --fields src_ip,dst_ip  some columns, to standard output\n"
    "Exit status: 0 fine, 1 failed while running, 2 wrong usage.";

// Seconds, fractions allowed, to nanoseconds. (A double would be a nanosecond off from a month on.)
std::string to_nanoseconds(const std::string& text, uint64_t* ns) {
  long double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
    return "\"" + text + "\" is not a number of seconds";
  if (value < 0 || value > kMaxSeconds)
    return "\"" + text + "\" is not between 0 and 315360000 seconds";
  *ns = static_cast<uint64_t>(std::llroundl(value * 1e9L));
  return "";
}

void add_seconds(CLI::App& app, const char* group, const char* name, __u64* ns, const char* help) {
  const auto in_force = [ns] {
    char text[32];
    std::snprintf(text, sizeof(text), "%.12g", static_cast<double>(*ns) / 1e9);
    return std::string(text);
  };
  app.add_option_function<std::string>(
         name,
         [ns, name](const std::string& text) {
           uint64_t value = 0;
           const std::string wrong = to_nanoseconds(text, &value);
           if (!wrong.empty()) throw CLI::ValidationError(name, wrong);
           *ns = value;
         },
         help)
      ->type_name("SECONDS")
      ->default_function(in_force)
      ->capture_default_str()
      ->group(group);
}

template <typename Number>
void add_count(CLI::App& app, const char* group, const char* name, Number least, Number most,
               std::function<void(Number)> set, const std::string& standard, const char* help) {
  auto* option = app.add_option_function<std::string>(
      name,
      [=](const std::string& text) {
        Number value{};
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (error != std::errc() || end != text.data() + text.size() || value < least ||
            value > most)
          throw CLI::ValidationError(name, "\"" + text + "\" is not a whole number between " +
                                               std::to_string(least) + " and " +
                                               std::to_string(most));
        set(value);
      },
      help);
  option->type_name("N")->group(group);
  if (!standard.empty()) option->default_str(standard);
}

uint32_t default_max_flows(const Config& config) {
  if (config.interfaces.empty()) return kReplayMaxFlows;
  return config.datapath == Datapath::kKernel ? kLiveTimedMaxFlows : kLiveMaxFlows;
}

// Groups as they are defined, but for the first, whose first option must run before all others: it
// is shown last.
class FirstGroupLast final : public CLI::Formatter {
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode) const override {
    std::vector<std::string> groups = app->get_groups();
    std::rotate(groups.begin(), groups.begin() + 1, groups.end());
    std::string text = make_description(app) + make_usage(app, name);
    for (const std::string& group : groups) {
      text += make_group(group, false, app->get_options([&group](const CLI::Option* option) {
        return option->get_group() == group;
      }));
      if (group != groups.back()) text += '\n';
    }
    return text + '\n' + make_footer(app);
  }
};

Compat to_compat(const std::string& name) {
  if (name == "python") return Compat::kPython;
  if (name == "java") return Compat::kJava;
  if (name == "java-fixed")
    throw CLI::ValidationError("--compat",
                               "there is no java-fixed: what the corrected Java program writes is "
                               "not known cell for cell (there are: python, java)");
  throw CLI::ValidationError("--compat",
                             "\"" + name + "\" is not a mode (there are: python, java)");
}

// Of --float-format.
std::optional<int> to_decimals(const std::string& text) {
  constexpr std::string_view kFixed = "fixed:";
  if (text == "shortest") return std::nullopt;
  const char* const end = text.data() + text.size();
  unsigned decimals = 0;
  if (text.starts_with(kFixed)) {
    const auto read = std::from_chars(text.data() + kFixed.size(), end, decimals);
    if (read.ec == std::errc() && read.ptr == end && decimals <= RowStyle::kMaxDecimals)
      return static_cast<int>(decimals);
  }
  throw CLI::ValidationError("--float-format", "\"" + text +
                                                   "\" is no format (there are: shortest, "
                                                   "and fixed:0 to fixed:" +
                                                   std::to_string(RowStyle::kMaxDecimals) + ")");
}

}  // namespace

// What nobody has named; on standard output, settle_outputs() knows better.
void name_output(Config& config) {
  if (config.compat != Compat::kNone) {
    if (config.top) throw CLI::ValidationError("--top with --compat needs an output: -c FILE");
    config.outputs.csv.push_back("-");
  } else if (config.top) {
    config.outputs.csv.push_back("/dev/null");
  } else if (config.features->default_output != "-") {
    config.outputs.csv.emplace_back(config.features->default_output);
    config.outputs.is_default_file = true;
  }
}

std::variant<Config, ExitCode> parse_options(int argc, const char* const* argv, OptionsFrom from,
                                             Host& host) {
  constexpr char kInput[] = "Input", kOutput[] = "Output", kStop[] = "When to stop",
                 kTimes[] = "Time-outs and gaps", kLimits[] = "Limits", kLive[] = "Live metering",
                 kOther[] = "Other";
  Config config;
  unsigned files_behind = 0;  // -c whose file is an argument of its own
  bool want_list = false, quality = false, print_config = false;

  CLI::App app("Flow meter: CICFlowMeter features of captures and, by eBPF, of live traffic.",
               "flowmeter-ebpf");
  app.formatter(std::make_shared<FirstGroupLast>());
  app.get_formatter()->column_width(36);
  app.footer(kFooter);
  app.set_help_flag("");  // set below: groups are printed in the order of their first option
  app.allow_extras();

  OptionSources sources(app, from, host);
  app.add_option_function<std::string>(
         "--config", [&](const std::string& path) { sources.complete(path); },
         "Take options from this file: a line is an option's\n"
         "long name = value. The command line goes before\n"
         "the environment (FLOWMETER_IDLE_TIMEOUT=60 is\n"
         "--idle-timeout 60), and that before the file")
      ->force_callback()
      ->configurable(false)
      ->type_name("FILE.toml")
      ->group(kOther);
  app.add_flag("--print-config", print_config,
               "Print what is in force and where it comes from,\n"
               "as a file for --config")
      ->configurable(false)
      ->group(kOther);
  // Next, so that what is wrong with the others is said as is wanted.
  app.add_option_function<std::string>(
         "--log-format",
         [&host](const std::string& name) {
           const auto format = log_format_of(name);
           if (!format)
             throw CLI::ValidationError(
                 "--log-format", "\"" + name + "\" is no format (there are: text, logfmt, json)");
           host.set_log_format(*format);
         },
         "Of lines on standard error: text, logfmt or json")
      ->type_name("FORMAT")
      ->default_str("text")
      ->group(kOther);
  app.add_option_function<std::string>(
         "--log-level",
         [&config, &host](const std::string& name) {
           const auto level = log_level_of(name);
           if (!level)
             throw CLI::ValidationError(
                 "--log-level",
                 "\"" + name + "\" is no level (there are: error, warning, info, debug)");
           host.set_log_level(*level);
           config.verbose = config.verbose || *level == LogLevel::kDebug;
         },
         "The least that is said: error, warning, info, or\n"
         "debug (-v, and libbpf's debugging)")
      ->type_name("LEVEL")
      ->default_str("info")
      ->group(kOther);

  app.add_option("-f,--file,-r,--read", config.captures,
                 "Replay a pcap or pcapng capture; - is standard input.\n"
                 "Several -f are one stream, in order")
      ->type_name("CAPTURE")
      ->type_size(1)
      ->allow_extra_args(false)
      ->group(kInput);
  app.add_option("-i,--iface,--interface", config.interfaces,
                 "Meter this network interface: a name, a glob\n"
                 "('veth*'), a regular expression ('/^(eth|ens)/')\n"
                 "or any. Several -i are one meter")
      ->type_name("IFACE")
      ->type_size(1)
      ->allow_extra_args(false)
      ->group(kInput);
  app.add_option("--netns", config.netns,
                 "Interfaces of this network namespace: a name,\na path or a PID")
      ->type_name("NETNS")
      ->group(kInput);

  app.add_option_function<std::vector<std::string>>(
         "-c,--csv",
         [&](const std::vector<std::string>& paths) {
           for (const std::string& path : paths)
             if (path.empty())
               files_behind++;
             else
               config.outputs.csv.push_back(path);
         },
         "Write the flows as CSV; - is standard output, and\nthe default where that is no terminal "
         "(realtime97:\noutput/live_flow_features.csv, appended to)")
      ->type_name("FILE ...")
      ->type_size(1)
      ->expected(0, 1)  // none: the Python tool's flag
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->group(kOutput);
  add_output_options(app, kOutput, config.outputs);
  // Its callback runs before those of the options below, which change what it sets.
  app.add_option_function<std::string>(
         "--features",
         [&](const std::string& name) {
           const NamedFeatureSet* set = find_feature_set(name);
           if (!set)
             throw CLI::ValidationError(
                 "--features",
                 "\"" + name + "\" is not a feature set (there are: " + feature_set_names() + ")");
           config.features = set;
           config.settings = set->settings;
         },
         "Columns, and the defaults of time-outs and gaps:\n"
         "cic82, netflowmeter114 (activity gap 100 s), or\n"
         "realtime97 (time-outs 5 s, activity gap 1 s, bulks\n"
         "of 1 packet or more within 0.1 s; HTTP, TLS, DNS)")
      ->type_name("SET")
      ->default_str(std::string(config.features->name))
      ->group(kOutput);
  app.add_flag("--overwrite", config.outputs.overwrite,
               "Replace output/live_flow_features.csv whatever it\n"
               "holds (a file that -c names is always replaced)")
      ->group(kOutput);
  app.add_option("--fields", config.fields, "Only these columns, in this order")
      ->type_name("A,B,...")
      ->group(kOutput);
  app.add_option("--extra", config.extra,
                 "These further columns behind the others\n(last in --list-fields)")
      ->type_name("A,B,...")
      ->group(kOutput);
  app.add_flag(
         "--quality", quality,
         "Further columns that say how far a row can be\ntrusted; short for --extra with them")
      ->group(kOutput);
  app.add_option_function<std::string>(
         "--label",
         [&](const std::string& text) {
           const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
           if (std::any_of(text.begin(), text.end(), is_control))
             throw CLI::ValidationError("--label",
                                        "a label is one line without control characters");
           config.outputs.style.label = text;
         },
         "A last column \"label\" with this text in each row")
      ->type_name("TEXT")
      ->group(kOutput);
  app.add_option_function<std::string>(
         "--float-format",
         [&](const std::string& text) { config.outputs.style.decimals = to_decimals(text); },
         "Reals with N decimals (0 to 64): fixed:N; or as the\nshortest decimal that reads back "
         "the same: shortest")
      ->type_name("FORMAT")
      ->default_str("shortest")
      ->group(kOutput);
  app.add_flag("--lowercase-columns", config.outputs.style.lowercase_columns,
               "Names of columns in lower case")
      ->group(kOutput);
  app.add_flag("--list-fields", want_list, "Print all columns with unit and definition")
      ->configurable(false)
      ->group(kOutput);

  app.add_option_function<std::string>(
         "--compat", [&](const std::string& name) { config.compat = to_compat(name); },
         "The rows of another program, quirks included:\n"
         "python is cicflowmeter 0.4.1,\n"
         "java is the Java CICFlowMeter 4.0")
      ->type_name("MODE")
      ->group(kOutput);

  app.add_flag("--top", config.top,
               "Live: show rates, losses and the greatest flows in\n"
               "this terminal (rows only with -c). Keys: b sorts by\n"
               "bytes, p by packets, q ends the run")
      ->group(kOutput);

  app.add_option_function<std::string>(
         "--duration",
         [&](const std::string& text) {
           uint64_t ns = 0;
           const std::string wrong = to_nanoseconds(text, &ns);
           if (!wrong.empty()) throw CLI::ValidationError("--duration", wrong);
           config.duration_s = static_cast<double>(ns) / 1e9;
         },
         "Live: stop after this time")
      ->type_name("SECONDS")
      ->group(kStop);
  add_count<uint64_t>(
      app, kStop, "--packets", 1, UINT64_MAX, [&](uint64_t n) { config.packets = n; }, "",
      "Stop after this many packets (live: at least)");

  fm_settings& s = config.settings;
  add_seconds(app, kTimes, "--idle-timeout", &s.idle_timeout_ns,
              "A longer silence ends a TCP or UDP flow");
  add_seconds(app, kTimes, "--icmp-idle-timeout", &s.icmp_idle_timeout_ns,
              "A longer silence ends an ICMP flow");
  add_seconds(app, kTimes, "--tcp-linger", &s.tcp_linger_ns,
              "A longer silence ends a closed TCP flow");
  add_seconds(app, kTimes, "--active-timeout", &s.active_timeout_ns,
              "A flow that lasts longer goes on in a new one");
  add_seconds(app, kTimes, "--activity-gap", &s.activity_gap_ns,
              "A longer gap is idle and parts active periods");
  add_seconds(app, kTimes, "--subflow-gap", &s.subflow_gap_ns, "A longer gap parts subflows");
  add_count<uint64_t>(
      app, kTimes, "--bulk-min-packets", 1, 1'000'000, [&](uint64_t n) { s.bulk_min_packets = n; },
      std::to_string(s.bulk_min_packets), "Payload packets in a row that make a bulk");
  add_seconds(app, kTimes, "--bulk-max-gap", &s.bulk_max_gap_ns,
              "A longer gap between them ends a bulk");
  add_seconds(app, kTimes, "--fragment-memory", &s.fragment_memory_ns,
              "How long a first fragment is remembered");

  add_count<uint32_t>(
      app, kLimits, "--max-flows", 64, kMaxMaxFlows, [&](uint32_t n) { config.max_flows = n; },
      std::to_string(kReplayMaxFlows) + ", live " + std::to_string(kLiveMaxFlows),
      ("Flows held at once; then old ones\nare forced out, and counted\n(datapath kernel: " +
       std::to_string(kLiveTimedMaxFlows) + ")")
          .c_str());
  add_count<uint32_t>(
      app, kLimits, "--max-fragments", 16, kMaxMaxFlows,
      [&](uint32_t n) { config.max_fragments = n; }, std::to_string(kMaxFragments),
      "First fragments remembered at once");
  add_count<uint32_t>(
      app, kLimits, "--ring-size", 1, 1024, [&](uint32_t n) { config.ring_mib = std::bit_ceil(n); },
      std::to_string(kRingMib),
      "Live: MiB of event streams, of all CPUs\ntogether (to a power of two)");
  add_count<uint32_t>(
      app, kLimits, "--batch", 1024, 1 << 22, [&](uint32_t n) { config.batch = n; },
      std::to_string(kBatch),
      "Live: events taken at a time, between looks\nat the clock and writing rows");

  app.add_option("--hook", config.hook,
                 "Where packets are met: tcx (both directions),\n"
                 "tc (clsact, for kernels without TCX), xdp or\n"
                 "xdp-generic (what is received; what is sent\n"
                 "by tcx), auto (tcx, else tc)")
      ->transform(
          CLI::CheckedTransformer(std::map<std::string, Hook>{{"auto", Hook::kAuto},
                                                              {"tcx", Hook::kTcx},
                                                              {"tc", Hook::kTc},
                                                              {"xdp", Hook::kXdp},
                                                              {"xdp-generic", Hook::kXdpGeneric}})
              .description(""))
      ->type_name("HOOK")
      ->default_str("auto")
      ->group(kLive);
  app.add_option("--attach-order", config.attach_order,
                 "Place among other programs at the hook:\nfirst or last")
      ->transform(
          CLI::CheckedTransformer(std::map<std::string, AttachOrder>{{"first", AttachOrder::kFirst},
                                                                     {"last", AttachOrder::kLast}})
              .description(""))
      ->type_name("ORDER")
      ->default_str("first")
      ->group(kLive);
  app.add_option("--datapath", config.datapath,
                 "Where times are kept: events (an event a packet\n"
                 "to the program) or kernel (in the flow map: no\n"
                 "events, less CPU, more memory a flow)")
      ->transform(
          CLI::CheckedTransformer(std::map<std::string, Datapath>{{"events", Datapath::kEvents},
                                                                  {"kernel", Datapath::kKernel}})
              .description(""))
      ->type_name("PATH")
      ->default_str("events")
      ->group(kLive);
  app.add_option("--flow-map", config.lru,
                 "What a full map does: hash (refuse new flows: the\n"
                 "program meters them) or lru (drop old ones)")
      ->transform(
          CLI::CheckedTransformer(std::map<std::string, bool>{{"hash", false}, {"lru", true}})
              .description(""))
      ->type_name("KIND")
      ->default_str("hash")
      ->group(kLive);
  app.add_flag("--per-interface", config.per_interface,
               "Flows of each interface apart; else a packet that\n"
               "passes several counts where it was met first")
      ->group(kLive);
  app.add_option("--pin", config.pin,
                 "Keep metering state in this directory of a bpffs:\n"
                 "it outlives the program, and a new start with\n"
                 "--pin goes on with the same flows")
      ->type_name("DIR")
      ->group(kLive);
  app.add_flag("--unpin", config.unpin,
               "With --pin: at the end write all flows, detach\nand remove the pins")
      ->group(kLive);

  app.add_flag("--print", config.print,
               "A line a finished flow on standard error, and a\n"
               "summary a minute (realtime97 on a terminal: always)")
      ->group(kLive);

  app.add_flag("--strict", config.strict, "A damaged capture is a failure (exit status 1)")
      ->group(kOther);
  app.add_flag("-v,--verbose", config.verbose, "Say more on standard error")->group(kOther);
  app.add_flag("-q,--quiet", config.quiet, "No account of packets, no progress")->group(kOther);
  app.set_version_flag("--version", std::string("flowmeter-ebpf ") + FLOWMETER_VERSION)
      ->configurable(false)
      ->group(kOther);
  app.set_help_flag("-h,--help", "Print this help")->configurable(false)->group(kOther);

  try {
    app.parse(argc, argv);
    const auto usage = [](const char* text) { throw CLI::ValidationError(text); };
    if (want_list)
      return print_out(host, columns_text(config.features->columns) +
                                 "\nfurther columns, for --extra and --fields:\n" +
                                 columns_text(columns_extra()));
    if (print_config) {
      for (CLI::Option* option : app.get_options([](CLI::Option*) { return true; }))
        if (option->get_type_name() == "SECONDS") option->capture_default_str();  // by --features
      app.get_option("--max-flows")->default_str(std::to_string(default_max_flows(config)));
      return print_out(host, sources.text());
    }
    if (config.captures.empty() == config.interfaces.empty())
      usage(config.interfaces.empty()
                ? "name a capture (-f) or an interface (-i); --help shows more"
                : "-f and -i cannot be used together");
    // The Python tool has -c as a flag and the output file as an argument of its own, anywhere.
    const std::vector<std::string> rest = app.remaining();
    const bool takes_file = files_behind > 0;
    if (!rest.empty() &&
        (!takes_file || rest.size() > 1 || (rest[0].size() > 1 && rest[0][0] == '-')))
      usage(("unknown option or argument \"" + rest.back() + "\"; --help shows what there is")
                .c_str());
    if (files_behind > rest.size()) usage("-c needs a file name (- is standard output)");
    if (takes_file) config.outputs.csv.push_back(rest[0]);
    if (config.outputs.none()) name_output(config);
    if (const std::string bad = settle_outputs(app, config.outputs); !bad.empty())
      usage(bad.c_str());
    if (config.compat != Compat::kNone) {
      if (!config.extra.empty() || quality)
        usage("--compat writes the other program's columns: leave out --extra and --quality");
      for (const char* option : {"--label", "--float-format", "--lowercase-columns"})
        if (app.count(option) > 0)
          usage((std::string("--compat writes what the other program does: leave out ") + option)
                    .c_str());
      if (config.outputs.csv.size() != 1 || !config.outputs.json.empty() ||
          !config.outputs.urls.empty() || config.outputs.table || config.outputs.rotation)
        usage("--compat writes one CSV, as the other program does: -c FILE and nothing else");
      if (is_compressed(config.outputs.csv.front()))
        usage("--compat does not compress: give the file another name");
      if (app.count("--features") > 0)
        usage("--compat has its own columns: it does not go with --features");
      if (config.datapath == Datapath::kKernel)
        usage("--compat needs an event of each packet, which --datapath kernel does not send");
      if (config.print) usage("--compat prints no flows: leave out --print");
      if (config.per_interface || !config.pin.empty())
        usage(
            "--compat keeps one table of flows, in this process: leave out --per-interface and "
            "--pin");
    }
    if (config.settings.with_application) {
      const std::string set(config.features->name);
      if (config.datapath == Datapath::kKernel)
        usage((set + " looks into payload, which --datapath kernel does not send").c_str());
      if (!config.pin.empty())
        usage(
            (set + " keeps what it saw of payload in this process only: leave out --pin").c_str());
    }
    if (config.interfaces.empty())
      for (const char* option :
           {"--duration", "--netns", "--hook", "--attach-order", "--datapath", "--flow-map",
            "--per-interface", "--pin", "--unpin", "--batch", "--ring-size", "--print"})
        if (app.count(option) > 0) usage((option + std::string(" goes with -i only")).c_str());
    if (config.lru && config.datapath == Datapath::kKernel)
      usage("--flow-map lru goes with --datapath events: what only the kernel has would be lost");
    if (app.count("--netns") > 0 && config.netns.empty())
      usage("--netns needs the name, the path or the PID of a network namespace");
    if (app.count("--pin") > 0 && config.pin.empty()) usage("--pin needs a directory");
    if (config.unpin && config.pin.empty()) usage("--unpin goes with --pin only");
    if (!config.pin.empty() && config.hook == Hook::kTc)
      usage("--pin needs BPF links: --hook tcx or xdp, not tc");
    if (quality) config.extra += (config.extra.empty() ? "" : ",") + std::string(kQualityColumns);
    if (config.top) {
      if (config.interfaces.empty()) usage("--top goes with -i only");
    }
  } catch (const CLI::ParseError& error) {
    return end_of_parsing(host, app, error);
  }
  if (config.quiet || config.top)
    config.print = false;
  else if (config.settings.with_application && !config.interfaces.empty())
    config.print = config.print || ::isatty(STDERR_FILENO);
  if (config.max_flows == 0) config.max_flows = default_max_flows(config);
  if (config.max_fragments == 0) config.max_fragments = kMaxFragments;
  if (config.ring_mib == 0) config.ring_mib = kRingMib;
  if (config.batch == 0) config.batch = kBatch;
  return config;
}

}  // namespace flowmeter

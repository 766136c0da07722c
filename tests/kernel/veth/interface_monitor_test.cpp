// SPDX-License-Identifier: BSD-3-Clause
// Interfaces that appear, change and disappear under a monitor, and the kernel's own packet
// counters.
#include "kernel/interface_monitor.h"

#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/sock_diag.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <regex>
#include <set>
#include <sstream>
#include <thread>

#include "base/unique_fd.h"
#include "veth/own_namespaces.h"

namespace flowmeter::testing {
namespace {

using Change = InterfaceMonitor::Change;
using Kind = Change::Kind;

// As `ip` reports them: name, MTU and whether it is up, by index.
std::map<unsigned, std::string> present() {
  std::map<unsigned, std::string> all;
  std::istringstream lines(run("ip -o link"));
  // 2: veth0@veth1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc ...
  const std::regex link(R"((\d+): ([^:@]+)[^<]*<([^>]*)> mtu (\d+) .*)"), up(R"(\bUP\b)");
  for (std::string line; std::getline(lines, line);) {
    std::smatch part;
    if (!std::regex_match(line, part, link)) {
      ADD_FAILURE() << line;
      continue;
    }
    all[static_cast<unsigned>(std::stoul(part[1]))] =
        part[2].str() + " mtu " + part[4].str() +
        (std::regex_search(part[3].str(), up) ? " up" : "");
  }
  return all;
}

std::string text(const Interface& interface) {
  return interface.name + " mtu " + std::to_string(interface.mtu) + (interface.is_up ? " up" : "");
}

// Applies the changes of a monitor, and fails if one change contradicts another.
class Follower {
 public:
  Follower() {
    auto monitor = InterfaceMonitor::open();
    if (monitor)
      monitor_ = std::move(*monitor);
    else
      ADD_FAILURE() << monitor.error().message();
  }

  InterfaceMonitor& monitor() { return *monitor_; }

  // The changes since the last time, as "+ name", "- name", "name" or "old > new".
  std::vector<std::string> poll() {
    std::vector<Change> changes;
    Status status = monitor_->poll(changes);
    EXPECT_TRUE(status) << status.error().message();
    std::vector<std::string> told;
    for (const Change& change : changes) {
      last_ = change;
      const Interface& interface = change.interface;
      const auto known = known_.find(interface.index);
      switch (change.kind) {
        case Kind::kAppeared:
          EXPECT_EQ(known, known_.end()) << interface.name << " appeared twice";
          told.push_back("+ " + interface.name);
          break;
        case Kind::kChanged:
          EXPECT_NE(known, known_.end()) << interface.name << " changed, but was not there";
          if (!change.old_name.empty()) {
            EXPECT_EQ(known->second.name, change.old_name);
            told.push_back(change.old_name + " > " + interface.name);
          } else {
            told.push_back(interface.name);
          }
          break;
        case Kind::kVanished:
          EXPECT_NE(known, known_.end()) << interface.name << " vanished, but was not there";
          if (known->second.peer == Interface::Peer::kNotYet) {  // that it was made is not told
            known->second.peer = interface.peer;
            known->second.peer_index = interface.peer_index;
          }
          EXPECT_EQ(known->second, interface) << "not its last state";
          told.push_back("- " + interface.name);
          known_.erase(interface.index);
          continue;
      }
      known_[interface.index] = interface;
    }
    return told;
  }

  std::map<unsigned, std::string> known() const {
    std::map<unsigned, std::string> all;
    for (const auto& [index, interface] : known_) all[index] = text(interface);
    return all;
  }
  const Change& last() const { return last_; }

  // From now on all but the first few notifications are lost.
  void shrink_buffer() {
    const int least = 1;
    EXPECT_EQ(::setsockopt(monitor_->fd(), SOL_SOCKET, SO_RCVBUF, &least, sizeof(least)), 0);
  }
  // How many were lost. A test that means to lose some must check that it did.
  uint32_t lost() const {
    uint32_t memory[SK_MEMINFO_VARS] = {};
    socklen_t size = sizeof(memory);
    EXPECT_EQ(::getsockopt(monitor_->fd(), SOL_SOCKET, SO_MEMINFO, memory, &size), 0);
    return memory[SK_MEMINFO_DROPS];
  }

 private:
  std::unique_ptr<InterfaceMonitor> monitor_;
  std::map<unsigned, Interface> known_;
  Change last_{};
};

using Told = std::vector<std::string>;

class InterfaceMonitorTest : public OwnNetworkNamespace {};

TEST_F(InterfaceMonitorTest, FirstTellsOfAllThatAreThere) {
  run("ip link add one type veth peer two && ip link set one mtu 9000 up");
  Follower follower;
  // Made between subscribing and listing: reported once.
  run("ip link add three type veth peer four");
  EXPECT_EQ(follower.poll().size(), present().size());
  EXPECT_EQ(follower.known(), present());
  EXPECT_EQ(follower.poll(), Told{});
}

TEST_F(InterfaceMonitorTest, EachChangeIsToldOnce) {
  Follower follower;
  follower.poll();
  struct Row {
    const char* claim;
    const char* command;
    std::set<std::string> told;
  };
  const Row rows[] = {
      {"a pair", "ip link add one type veth peer two", {"+ one", "+ two"}},
      {"MTU", "ip link set one mtu 1280", {"one"}},
      {"the same MTU again", "ip link set one mtu 1280", {}},
      {"another hardware address changes nothing", "ip link set one address 02:00:00:00:00:09", {}},
      {"up, without carrier", "ip link set one up", {"one"}},
      {"its peer; both get carrier, which changes nothing", "ip link set two up", {"two"}},
      {"an alternative name", "ip link property add dev one altname uplink", {"one"}},
      {"no alternative name", "ip link property del dev one altname uplink", {"one"}},
      {"down", "ip link set one down", {"one"}},
      {"renamed", "ip link set one name three", {"one > three"}},
      {"a name changes hands",
       "ip link set two down && ip link set two name one",
       {"two", "two > one"}},
      {"gone, with its peer", "ip link del three", {"- three", "- one"}},
      {"came and went",
       "ip link add five type veth peer six && ip link del five",
       {"+ five", "+ six", "- five", "- six"}},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.claim);
    run(row.command);
    const Told told = follower.poll();
    EXPECT_EQ(std::set<std::string>(told.begin(), told.end()), row.told);
    EXPECT_EQ(told.size(), row.told.size()) << "each once";
    EXPECT_EQ(follower.known(), present());
  }
}

TEST_F(InterfaceMonitorTest, DescriptorIsReadableWhenThereIsNews) {
  Follower follower;
  follower.poll();
  pollfd wait{follower.monitor().fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&wait, 1, 0), 0);
  run("ip link add one type veth peer two");
  EXPECT_EQ(::poll(&wait, 1, 0), 1);
  follower.poll();
  EXPECT_EQ(::poll(&wait, 1, 0), 0);
}

TEST_F(InterfaceMonitorTest, MovedToAnotherNamespaceAndBack) {
  run("ip link add one type veth peer two");
  Follower follower;
  follower.poll();
  const Child other([] { return ::unshare(CLONE_NEWNET) == 0; });
  ASSERT_TRUE(other.good());
  run("ip link set one netns " + std::to_string(other.pid()));
  EXPECT_EQ(follower.poll(), (Told{"- one", "two"}));
  EXPECT_EQ(follower.last().interface.peer, Interface::Peer::kElsewhere);
  run("nsenter -n -t " + std::to_string(other.pid()) + " ip link set one netns " +
      std::to_string(::getpid()));
  EXPECT_EQ(follower.poll(), (Told{"+ one", "two"}));
  EXPECT_EQ(follower.last().interface.peer, Interface::Peer::kHere);
  EXPECT_EQ(follower.known(), present());
}

TEST_F(InterfaceMonitorTest, LeavingABridgeIsNotGoingAway) {
  if (std::system("ip link add br0 type bridge 2>/dev/null") != 0)
    GTEST_SKIP() << "this kernel has no bridges";
  run("ip link add one type veth peer two");
  Follower follower;
  follower.poll();
  run("ip link set one master br0 && ip link set one nomaster");
  for (const std::string& told : follower.poll()) EXPECT_NE(told[0], '-') << told;
  EXPECT_EQ(follower.known(), present());
}

TEST_F(InterfaceMonitorTest, ReusedIndexIsAnotherInterface) {
  Follower follower;
  follower.poll();
  run("ip link add one index 77 type veth peer two");
  follower.poll();
  run("ip link del one && ip link add one index 77 type veth peer three");
  Told told = follower.poll();
  EXPECT_LT(std::ranges::find(told, "- one"), std::ranges::find(told, "+ one"));
  EXPECT_NE(std::ranges::find(told, "+ one"), told.end());
}

TEST_F(InterfaceMonitorTest, ReusedIndexWhileNotificationsWereLost) {
  Follower follower;
  run("ip link add one index 77 type veth peer two; ip link add seven index 78 type veth peer "
      "eight");
  follower.poll();
  follower.shrink_buffer();
  run("for i in 1 2 3 4 5 6 7 8 9; do ip link set one mtu 140$i; done; ip link del one; "
      "ip link add one index 77 type veth peer three; ip link set seven name renamed");
  Told told = follower.poll();
  ASSERT_GT(follower.lost(), 0u);
  EXPECT_LT(std::ranges::find(told, "- one"), std::ranges::find(told, "+ one"));
  EXPECT_NE(std::ranges::find(told, "+ one"), told.end());
  EXPECT_NE(std::ranges::find(told, "seven > renamed"), told.end()) << "is still the same one";
  EXPECT_EQ(follower.known(), present());
}

TEST_F(InterfaceMonitorTest, HundredsAtOnceOverflowAndAreListedAgain) {
  Follower follower;
  follower.poll();
  follower.shrink_buffer();
  std::string batch;
  const auto in_batch = [&](const std::string& command) { batch += command + "\n"; };
  const auto run_batch = [&] {
    run("ip -batch - <<'END'\n" + batch + "END\n");
    batch.clear();
  };
  for (int i = 0; i < 150; i++) {
    const std::string n = std::to_string(i);
    in_batch("link add v" + n + " type veth peer w" + n);
  }
  run_batch();
  const uint32_t lost = follower.lost();
  ASSERT_GT(lost, 0u);
  EXPECT_EQ(follower.poll().size(), 300u) << "each appeared once";
  EXPECT_EQ(follower.known(), present());

  // Every kind of change at once, and all notifications are lost.
  for (int i = 0; i < 150; i++) {
    const std::string n = std::to_string(i);
    if (i % 3 == 0) in_batch("link del v" + n);
    if (i % 3 == 1) in_batch("link set w" + n + " mtu 2000");
    if (i % 3 == 2) in_batch("link set v" + n + " name renamed" + n);
  }
  // An interface that stays takes the name of one that vanished.
  in_batch("link set v1 name v0");
  run_batch();
  ASSERT_GT(follower.lost(), lost);
  const Told told = follower.poll();
  EXPECT_EQ(told.size(), 100u + 50u + 50u + 1u);
  EXPECT_LT(std::ranges::find(told, "- v0"), std::ranges::find(told, "v1 > v0"));
  EXPECT_EQ(follower.known(), present());

  EXPECT_EQ(follower.poll(), Told{});
  run("ip link set v0 mtu 1300");
  EXPECT_EQ(follower.poll(), Told{"v0"}) << "notifications come again";
}

// Links come, change and go all the time, and notifications are lost. In the end the monitor's
// state is right.
TEST_F(InterfaceMonitorTest, BelievesWhatIsThereAfterAStorm) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  std::string batch;
  for (int i = 0; i < 1000; i++) {
    const std::string n = std::to_string(random() % 40);
    switch (random() % 5) {
      case 0:
      case 1:
        batch += "link add v" + n + " type veth peer w" + n;
        break;
      case 2:
        batch += "link del v" + n;
        break;
      case 3:
        batch += "link set w" + n + " mtu " + std::to_string(1000 + random() % 500);
        break;
      case 4:
        batch += "link set v" + n + " name v" + std::to_string(random() % 40);
        break;
    }
    batch += "\n";
  }
  // So many that a listing takes several datagrams, between which links come and go.
  std::string many;
  for (int i = 0; i < 100; i++)
    many += "link add x" + std::to_string(i) + " type veth peer y" + std::to_string(i) + "\n";
  run("ip -batch - <<'END'\n" + many + "END\n");
  for (bool losing : {false, true}) {
    SCOPED_TRACE(losing ? "losing" : "losing nothing");
    Follower follower;
    if (losing) follower.shrink_buffer();
    std::atomic<bool> over = false;
    std::thread storm([&] {
      run("ip -force -batch - 2>/dev/null <<'END' || true\n" + batch + "END\n");
      over = true;
    });
    size_t changes = 0;
    while (!over) {
      changes += follower.poll().size();
      std::this_thread::sleep_for(std::chrono::milliseconds(losing ? 5 : 1));
    }
    storm.join();
    changes += follower.poll().size();
    EXPECT_GT(changes, 100u);
    EXPECT_TRUE(follower.lost() > 0 || !losing);
    EXPECT_EQ(follower.known(), present());
  }
}

// Opens /dev/net/tun as an interface without link header.
UniqueFd open_tun(const char* name) {
  UniqueFd fd(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  struct ifreq request {};
  std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (fd && ::ioctl(fd.get(), TUNSETIFF, &request) != 0) fd = UniqueFd();
  return fd;
}

TEST_F(InterfaceMonitorTest, LinkTypeThatIsNotMetered) {
  const UniqueFd tun = open_tun("tun0");
  if (!tun) GTEST_SKIP() << "cannot open /dev/net/tun";
  Follower follower;
  follower.poll();
  auto found = find_interface("tun0");
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_FALSE(found->has_link_header);

  ASSERT_EQ(::ioctl(tun.get(), TUNSETLINK, ARPHRD_CAN), 0) << std::strerror(errno);
  EXPECT_EQ(follower.poll(), Told{"tun0"});
  EXPECT_FALSE(follower.last().is_known_link_type);
  found = find_interface("tun0");
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().message().find("tun0 has link type 280"), std::string::npos)
      << found.error().message();

  ASSERT_EQ(::ioctl(tun.get(), TUNSETLINK, ARPHRD_ETHER), 0);
  EXPECT_EQ(follower.poll(), Told{"tun0"});
  EXPECT_TRUE(follower.last().is_known_link_type);
  EXPECT_TRUE(follower.last().interface.has_link_header);
}

class InterfaceTest : public OwnNetworkNamespace {};

TEST_F(InterfaceTest, IsFoundByEitherName) {
  run("ip link add one type veth peer two && ip link property add dev one altname uplink && "
      "ip link set one mtu 9000 up");
  for (const char* name : {"one", "uplink"}) {
    auto interface = find_interface(name);
    ASSERT_TRUE(interface) << interface.error().message();
    EXPECT_EQ(interface->name, "one");
    EXPECT_EQ(interface->index, ::if_nametoindex("one"));
    EXPECT_EQ(interface->mtu, 9000u);
    EXPECT_TRUE(interface->is_up);
    EXPECT_TRUE(interface->has_link_header);
    EXPECT_FALSE(interface->is_loopback);
    EXPECT_EQ(interface->alternative_names, std::vector<std::string>{"uplink"});
  }
  auto loopback = find_interface("lo");
  ASSERT_TRUE(loopback);
  EXPECT_TRUE(loopback->is_loopback);
}

TEST_F(InterfaceTest, UnknownNameIsAnsweredWithThoseThereAre) {
  run("ip link add one type veth peer two");
  auto interface = find_interface("nosuch");
  ASSERT_FALSE(interface);
  const std::string message = interface.error().message();
  EXPECT_NE(message.find("no interface nosuch (there are: lo"), std::string::npos) << message;
  EXPECT_NE(message.find("one"), std::string::npos);
  std::string batch;
  for (int i = 0; i < 15; i++)
    batch += "link add x" + std::to_string(i) + " type veth peer y" + std::to_string(i) + "\n";
  run("ip -batch - <<'END'\n" + batch + "END\n");
  const std::string many = find_interface("nosuch").error().message();
  const size_t there = present().size();
  EXPECT_NE(many.find(" and " + std::to_string(there - 20) + " more)"), std::string::npos) << many;
}

TEST_F(InterfaceTest, CountersAreThoseOfIp) {
  run("ip link add one type veth peer two && ip link set one up && ip link set two up");
  const unsigned index = ::if_nametoindex("one");
  // The counters in stats64 of `ip -s -j link`.
  const auto by_ip = [] {
    const std::string json = run("ip -s -j link show dev one");
    std::smatch part;
    const std::regex pattern(
        R"re("stats64":\{"rx":\{"bytes":(\d+),"packets":(\d+),.*"tx":\{"bytes":(\d+),"packets":(\d+),)re");
    if (!std::regex_search(json, part, pattern)) {
      ADD_FAILURE() << json;
      return LinkCounters{};
    }
    return LinkCounters{std::stoull(part[2]), std::stoull(part[4]), std::stoull(part[1]),
                        std::stoull(part[3])};
  };
  const auto send = [](const char* interface, int count, size_t size) {
    const UniqueFd socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    struct sockaddr_ll to {};
    to.sll_family = AF_PACKET;
    to.sll_ifindex = static_cast<int>(::if_nametoindex(interface));
    std::vector<uint8_t> frame(size, 0xff);
    for (int i = 0; i < count; i++)
      ASSERT_EQ(::sendto(socket.get(), frame.data(), frame.size(), 0,
                         reinterpret_cast<struct sockaddr*>(&to), sizeof(to)),
                static_cast<ssize_t>(size))
          << std::strerror(errno);
  };
  auto before = link_counters(index);
  ASSERT_TRUE(before) << before.error().message();
  send("one", 7, 100);
  send("two", 11, 200);
  auto after = link_counters(index);
  // The receiver counts a little later.
  for (int i = 0; i < 200 && after && after->rx_packets < before->rx_packets + 11; i++) {
    ::usleep(10'000);
    after = link_counters(index);
  }
  ASSERT_TRUE(after) << after.error().message();
  EXPECT_EQ(after->tx_packets - before->tx_packets, 7u);
  EXPECT_EQ(after->tx_bytes - before->tx_bytes, 700u);
  EXPECT_EQ(after->rx_packets - before->rx_packets, 11u);
  EXPECT_EQ(after->rx_bytes - before->rx_bytes, 2200u);
  EXPECT_EQ(*after, by_ip());

  run("ip link del one");
  auto gone = link_counters(index);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().os_error, ENODEV);
  EXPECT_FALSE(link_counters(0));
}

}  // namespace
}  // namespace flowmeter::testing

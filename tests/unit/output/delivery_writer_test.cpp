// SPDX-License-Identifier: BSD-3-Clause
// What a writer accounts for rows that a server takes or refuses.
#include "output/delivery_writer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

#include "api/embedded_host.h"
#include "base/output_account.h"
#include "output/row_text.h"

namespace flowmeter {
namespace {

// A server that takes rows of "1" and refuses others, each alone. After each it is asked for the
// account.
class OneByOne final : public DeliveryWriter {
 public:
  OneByOne(const std::string& spool, Host& host)
      : DeliveryWriter("server", {.spool = spool}, host) {
    EXPECT_TRUE(open_spool("server", "server"));
  }

  OutputAccount account() const {
    OutputAccount account;
    account.written = written();
    account.dropped = given_up();
    describe(account);
    return account;
  }
  std::vector<OutputAccount> accounts;  // at each delivery

 private:
  Delivery deliver(std::string_view text, size_t at) override {
    accounts.push_back(account());
    const uint64_t taken = text[at] == '1';
    return {.end = at + 2, .taken = taken, .refused = 1 - taken, .reason = "no"};
  }
};

class DeliveryWriterTest : public ::testing::Test {
 protected:
  DeliveryWriterTest() {
    std::string name = ::testing::TempDir() + "delivery-XXXXXX";
    directory_ = ::mkdtemp(name.data());
  }
  ~DeliveryWriterTest() override { std::filesystem::remove_all(directory_); }

  // The accounts at each delivery and at the end.
  std::vector<OutputAccount> deliver(const std::string& spool, const std::string& rows) {
    OneByOne writer(spool, host_);
    RowQueue queue(1 << 20, OnFull::kBlock);
    EXPECT_TRUE(queue.append(rows, count_rows(rows)));
    queue.close(RowQueue::seconds(60));
    result_ = writer.run(queue);
    writer.accounts.push_back(writer.account());
    return writer.accounts;
  }

  std::string directory_;
  EmbeddedHost host_;
  Status result_ = Done{};
};

TEST_F(DeliveryWriterTest, IsDownWhileAllIsRefused) {
  std::vector<bool> up;
  for (const OutputAccount& account : deliver("", "1\n0\n0\n1\n0\n")) up.push_back(account.up);
  EXPECT_EQ(up, (std::vector<bool>{true, true, false, false, true, false}));
}

TEST_F(DeliveryWriterTest, CountsOfRowsNeverGoBack) {
  const std::string rows = "1\n0\n0\n1\n0\n";
  for (const std::string& spool : {std::string(), directory_}) {
    uint64_t written = 0, dropped = 0;
    const auto accounts = deliver(spool, rows);
    for (const OutputAccount& account : accounts) {
      EXPECT_GE(account.written, written);
      EXPECT_GE(account.dropped, dropped);
      written = account.written;
      dropped = account.dropped;
    }
    EXPECT_EQ(written, spool.empty() ? 2u : 5u) << "what was in the spool was written";
    EXPECT_EQ(written + dropped, 5u);
    EXPECT_EQ(accounts.back().delivery->refused, 3u);
    EXPECT_EQ(result_.error().message().find("output server: 3 rows refused (no"), 0u);
  }
}

}  // namespace
}  // namespace flowmeter

// SPDX-License-Identifier: BSD-3-Clause
// What another user could leave for a privileged program: links, directories and files of his own,
// directories that he may write to. Root plays the other user by chown.
#include "base/owned_directory.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

namespace flowmeter {
namespace {

constexpr uid_t kOther = 4242;
using enum OwnedDirectory::IfMissing;

std::string text_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

class OwnedDirectoryTest : public ::testing::Test {
 protected:
  OwnedDirectoryTest() {
    std::string name = std::filesystem::canonical(::testing::TempDir()).string() + "/owned-XXXXXX";
    top_ = ::mkdtemp(name.data());
  }
  ~OwnedDirectoryTest() override { std::filesystem::remove_all(top_); }

  std::string path(const std::string& name) const { return top_ + "/" + name; }
  std::string make_directory(const std::string& name, mode_t mode = 0700) const {
    EXPECT_EQ(::mkdir(path(name).c_str(), 0700), 0);
    EXPECT_EQ(::chmod(path(name).c_str(), mode), 0);
    return path(name);
  }
  std::string make_file(const std::string& name, mode_t mode = 0600) const {
    std::ofstream(path(name)) << "text";
    EXPECT_EQ(::chmod(path(name).c_str(), mode), 0);
    return path(name);
  }
  static void give_away(const std::string& path) {
    ASSERT_EQ(::lchown(path.c_str(), kOther, kOther), 0);
  }
  static OwnedDirectory opened(const std::string& path) {
    auto directory = OwnedDirectory::open(path, kFail);
    EXPECT_TRUE(directory) << directory.error().message();
    return std::move(*directory);
  }
  static void expect_refused(const std::string& path, const std::string& words) {
    auto directory = OwnedDirectory::open(path, kCreate);
    ASSERT_FALSE(directory) << path;
    EXPECT_NE(directory.error().message().find(words), std::string::npos)
        << directory.error().message();
  }

  std::string top_;
};

#define NEEDS_ROOT() \
  if (::geteuid() != 0) GTEST_SKIP() << "needs root for files of other users"

TEST_F(OwnedDirectoryTest, IsMadeForItsOwnerOnly) {
  EXPECT_FALSE(OwnedDirectory::open(path("new"), kFail));
  ASSERT_TRUE(OwnedDirectory::open(path("new/"), kCreate));
  struct stat status {};
  ASSERT_EQ(::stat(path("new").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0700u);
  EXPECT_TRUE(OwnedDirectory::open(path("new"), kCreate));
  EXPECT_FALSE(OwnedDirectory::open(path("a/b"), kCreate)) << "those above it are not made";
  EXPECT_FALSE(OwnedDirectory::open("", kCreate));
  expect_refused(make_file("file"), "is not a directory");
}

TEST_F(OwnedDirectoryTest, ARelativePathIsTheSame) {
  make_directory("a");
  make_directory("a/b");
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(path("a/b"));
  const auto found = OwnedDirectory::open("./../b/.", kFail);
  make_directory("a/b/c", 0777);
  auto shared = OwnedDirectory::open("c", kFail);
  std::filesystem::current_path(before);
  EXPECT_TRUE(found);
  EXPECT_FALSE(shared);
}

TEST_F(OwnedDirectoryTest, OthersMayNotWrite) {
  for (const mode_t mode : {0770u, 0707u, 0777u, 01777u}) {
    const std::string directory = make_directory("shared", mode);
    expect_refused(directory, "chmod go-w " + directory);
    std::filesystem::remove(directory);
  }
  make_directory("listed", 0755);
  EXPECT_TRUE(OwnedDirectory::open(path("listed"), kFail));
}

TEST_F(OwnedDirectoryTest, OthersMayNotWriteAboveIt) {
  const std::string above = make_directory("above", 0777);
  expect_refused(above + "/new", "chmod o-w " + above);
  EXPECT_FALSE(std::filesystem::exists(above + "/new"));
  ASSERT_EQ(::chmod(above.c_str(), 01777), 0);
  EXPECT_TRUE(OwnedDirectory::open(above + "/new", kCreate)) << "as in /tmp";
}

TEST_F(OwnedDirectoryTest, AnotherUsersIsRefused) {
  NEEDS_ROOT();
  give_away(make_directory("his", 0755));
  expect_refused(path("his"), "his belongs to user 4242: chown 0 " + path("his"));
  EXPECT_TRUE(OwnedDirectory::open(path("his/ours"), kCreate)) << "sudo at the user's home";
}

TEST_F(OwnedDirectoryTest, LinksOfOthersAreNotFollowed) {
  const std::string real = make_directory("real");
  ASSERT_EQ(::symlink("real", path("link").c_str()), 0);
  EXPECT_TRUE(OwnedDirectory::open(path("link"), kFail)) << "our own";
  EXPECT_TRUE(OwnedDirectory::open(path("link/inner"), kCreate));
  EXPECT_TRUE(std::filesystem::is_directory(real + "/inner"));
  std::filesystem::remove(path("link"));
  ASSERT_EQ(::symlink((top_ + "/real").c_str(), path("link").c_str()), 0);
  EXPECT_TRUE(OwnedDirectory::open(path("link"), kFail)) << "absolute";
  ASSERT_EQ(::symlink("loop", path("loop").c_str()), 0);
  expect_refused(path("loop"), "symbolic links");
  NEEDS_ROOT();
  give_away(path("link"));
  expect_refused(path("link"), path("link") + " belongs to user 4242");
  expect_refused(path("link/new"), path("link") + " belongs to user 4242");
  EXPECT_FALSE(std::filesystem::exists(real + "/new"));
}

TEST_F(OwnedDirectoryTest, StaysTheSameWhateverIsDoneToItsPath) {
  const auto directory = opened(make_directory("a"));
  make_directory("b");
  std::filesystem::rename(path("a"), path("moved"));
  ASSERT_EQ(::symlink("b", path("a").c_str()), 0);
  ASSERT_TRUE(directory.create_file("x"));
  EXPECT_TRUE(std::filesystem::exists(path("moved/x")));
  EXPECT_TRUE(std::filesystem::is_empty(path("b")));
}

TEST_F(OwnedDirectoryTest, ANewFileIsNeverWhatIsThere) {
  const auto directory = opened(make_directory("a"));
  const std::string precious = make_file("precious");
  ASSERT_EQ(::symlink("../precious", path("a/link").c_str()), 0);
  ASSERT_EQ(::symlink("../absent", path("a/dangling").c_str()), 0);
  ASSERT_EQ(::link(precious.c_str(), path("a/hard").c_str()), 0);
  ASSERT_EQ(::mkfifo(path("a/fifo").c_str(), 0600), 0);
  make_directory("a/directory");
  for (const char* name : {"link", "dangling", "hard", "fifo", "directory"}) {
    auto file = directory.create_file(name);
    ASSERT_FALSE(file) << name;
    EXPECT_EQ(file.error().os_error, EEXIST) << name;
  }
  EXPECT_EQ(text_of(precious), "text");
  EXPECT_FALSE(std::filesystem::exists(path("absent")));
  ASSERT_TRUE(directory.create_file("new"));
  struct stat status {};
  ASSERT_EQ(::stat(path("a/new").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
}

TEST_F(OwnedDirectoryTest, WhatIsNotOurFileIsNotOpened) {
  struct Case {
    const char* words;
    std::function<void(const std::string&)> make;
  };
  const std::string precious = make_file("precious");
  std::vector<Case> cases = {
      {"is a symbolic link: remove it",
       [&](const auto& name) { ASSERT_EQ(::symlink(precious.c_str(), name.c_str()), 0); }},
      {"another name (a hard link): remove it",
       [&](const auto& name) { ASSERT_EQ(::link(precious.c_str(), name.c_str()), 0); }},
      {"is not a regular file: remove it",
       [](const auto& name) { ASSERT_EQ(::mkfifo(name.c_str(), 0600), 0); }},
      {"is not a regular file: remove it",
       [](const auto& name) { ASSERT_EQ(::mkdir(name.c_str(), 0700), 0); }},
      {"chmod go-w",
       [](const auto& name) {
         std::ofstream(name) << "x";
         ASSERT_EQ(::chmod(name.c_str(), 0620), 0);
       }},
      {"No such file", [](const auto&) {}},
  };
  if (::geteuid() == 0)
    cases.push_back({"belongs to user 4242: remove it, or chown 0", [](const auto& name) {
                       std::ofstream(name) << "x";
                       give_away(name);
                     }});
  const auto directory = opened(make_directory("a"));
  for (const Case& each : cases) {
    each.make(path("a/x"));
    auto file = directory.open_file("x");
    ASSERT_FALSE(file) << each.words;
    EXPECT_NE(file.error().message().find(path("a/x")), std::string::npos);
    EXPECT_NE(file.error().message().find(each.words), std::string::npos) << file.error().message();
    std::filesystem::remove(path("a/x"));
  }
}

TEST_F(OwnedDirectoryTest, GivesBackItsFiles) {
  const auto directory = opened(make_directory("a"));
  EXPECT_TRUE(directory.check_writable());
  {
    auto file = directory.create_file("one");
    ASSERT_TRUE(file);
    ASSERT_EQ(::write(file->get(), "text", 4), 4);
  }
  ASSERT_TRUE(directory.create_file("two"));
  ASSERT_TRUE(directory.rename("one", "two"));
  ASSERT_TRUE(directory.sync());
  auto file = directory.open_file("two");
  ASSERT_TRUE(file);
  char text[8];
  EXPECT_EQ(::read(file->get(), text, sizeof(text)), 4);
  ASSERT_TRUE(directory.create_file("three"));
  auto names = directory.list();
  ASSERT_TRUE(names);
  std::sort(names->begin(), names->end());
  EXPECT_EQ(*names, (std::vector<std::string>{"three", "two"}));
  ASSERT_TRUE(directory.unlink("three"));
  EXPECT_EQ(directory.unlink("three").error().os_error, ENOENT);
  EXPECT_EQ(directory.rename("three", "two").error().os_error, ENOENT);
  EXPECT_EQ(directory.list()->size(), 1u);
}

}  // namespace
}  // namespace flowmeter

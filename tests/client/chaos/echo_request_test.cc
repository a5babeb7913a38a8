#include "client/chaos/echo_request.h"

#include <functional>
#include <map>
#include <set>

#include "tests/support/catch.h"

namespace tandem::client {
namespace {

using inference::ModelInferRequest;
using inference::ModelInferResponse;

ModelInferResponse ReplyOf(const ModelInferRequest& message) {
  ModelInferResponse reply;
  reply.set_id(message.id());
  reply.set_model_name(message.model_name());
  auto& output = *reply.add_outputs();
  output.set_name("OUTPUT0");
  output.set_datatype(message.inputs(0).datatype());
  *output.mutable_shape() = message.inputs(0).shape();
  reply.add_raw_output_contents(message.raw_input_contents(0));
  return reply;
}

TEST_CASE("The echo of a request is its reply, and no other request's", "[chaos]") {
  const EchoRequest request{42, 7};
  const ModelInferResponse reply = ReplyOf(MakeMessage(request));
  CHECK(IsReplyTo(request, reply));
  CHECK(!IsReplyTo({42, 8}, reply));
  CHECK(!IsReplyTo({43, 7}, reply));
  CHECK(!IsReplyTo({42, 7, kHangModel}, reply));
}

TEST_CASE("A reply that differs in anything is wrong", "[chaos]") {
  const EchoRequest request{42, 7};
  const std::map<std::string, std::function<void(ModelInferResponse&)>> changes = {
      {"id", [](auto& reply) { reply.set_id("8"); }},
      {"model", [](auto& reply) { reply.set_model_name("other"); }},
      {"name", [](auto& reply) { reply.mutable_outputs(0)->set_name("OUTPUT1"); }},
      {"type", [](auto& reply) { reply.mutable_outputs(0)->set_datatype("INT8"); }},
      {"shape", [](auto& reply) { reply.mutable_outputs(0)->set_shape(0, 2); }},
      {"dimensions", [](auto& reply) { reply.mutable_outputs(0)->add_shape(1); }},
      {"one output more", [](auto& reply) { reply.add_outputs(); }},
      {"no bytes", [](auto& reply) { reply.clear_raw_output_contents(); }},
      {"last byte", [](auto& reply) { reply.mutable_raw_output_contents(0)->back() ^= 1; }},
      {"fewer bytes", [](auto& reply) { reply.mutable_raw_output_contents(0)->pop_back(); }}};
  for (const auto& [name, change] : changes) {
    INFO(name);
    ModelInferResponse reply = ReplyOf(MakeMessage(request));
    change(reply);
    CHECK(!IsReplyTo(request, reply));
  }
}

TEST_CASE("Every request has bytes of its own, and only the poisoned ones are poison", "[chaos]") {
  std::set<std::string> seen;
  for (uint64_t number = 0; number < 1000; ++number) {
    const std::string plain = MakeMessage({1, number}).raw_input_contents(0);
    const std::string poisoned = MakeMessage({1, number, kPoisonModel, true}).raw_input_contents(0);
    CHECK(plain.size() == kEchoBytes);
    CHECK(plain[0] != '\xde');
    CHECK(poisoned[0] == '\xde');
    seen.insert(plain);
    seen.insert(poisoned);
  }
  CHECK(seen.size() == 2000);
}

TEST_CASE("The load goes to every model, half of it to the one without faults", "[chaos]") {
  std::map<std::string, int> requests;
  for (uint64_t number = 0; number < 600; ++number) ++requests[ModelOfNumber(number)];
  CHECK(requests ==
        std::map<std::string, int>{
            {kEchoModel, 300}, {kHangModel, 100}, {kGarbageModel, 100}, {kPoisonModel, 100}});
}

TEST_CASE("An id is read back as its number", "[chaos]") {
  uint64_t number = 0;
  CHECK(NumberOfId(MakeMessage({1, 12345}).id(), &number));
  CHECK(number == 12345);
  CHECK(!NumberOfId("", &number));
  CHECK(!NumberOfId("seven", &number));
}

}  // namespace
}  // namespace tandem::client

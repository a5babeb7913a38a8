#include "backends/worker/torch_errors.h"

#include <new>
#include <stdexcept>
#include <string>

#include "tests/support/catch.h"

namespace tandem::worker {

TEST_CASE("A TorchScript message is cut down to the line that says what went wrong") {
  CHECK(CleanMessage("The following operation failed in the TorchScript interpreter.\n"
                     "Traceback of TorchScript, serialized code (most recent call last):\n"
                     "  File \"code/__torch__.py\", line 4, in forward\n"
                     "    return torch.mm(x, y)\n"
                     "RuntimeError: mat1 and mat2 do not fit\n") == "mat1 and mat2 do not fit");
  CHECK(CleanMessage(
            "Expected 3 dimensions\nException raised from f at /a/b/c.cpp:12\nframe #0: g") ==
        "Expected 3 dimensions");
  CHECK(
      CleanMessage("Unknown builtin op: a::b.\nCould not find it:\n  File \"/x/y.py\", line 1\n") ==
      "Unknown builtin op: a::b. Could not find it:");
}

TEST_CASE("Paths, source places and addresses are taken out of a message") {
  const std::string clean = CleanMessage(
      "x INTERNAL ASSERT FAILED at \"../aten/src/ATen/a.cpp\":12, please report a bug to PyTorch. "
      "open /home/user/model.pt failed near 0x7fff12345678");
  CAPTURE(clean);
  CHECK(clean.find('/') == std::string::npos);
  CHECK(clean.find("0x7fff") == std::string::npos);
  CHECK(clean.find("an internal check of LibTorch failed") != std::string::npos);
}

TEST_CASE("A message is never empty and never long, and ends between characters") {
  CHECK(CleanMessage("") == "no reason was given");
  CHECK(CleanMessage("\n \n") == "no reason was given");
  std::string wide;
  for (int i = 0; i < 2000; ++i) wide += "\u00e9";
  const std::string clean = CleanMessage(wide);
  CHECK(clean.size() <= kMaxMessageBytes);
  CHECK(clean.substr(clean.size() - 3) == "...");
  CHECK((clean.size() - 3) % 2 == 0);
  CHECK(CleanMessage(std::string(1 << 20, 'a')).size() == kMaxMessageBytes);
}

TEST_CASE("Exceptions become statuses by what they mean") {
  const auto status_of = [](const auto& error) {
    try {
      throw error;
    } catch (...) {
      return StatusOfCurrentException();
    }
  };
  CHECK(absl::IsResourceExhausted(status_of(std::bad_alloc())));
  CHECK(absl::IsResourceExhausted(status_of(std::runtime_error("CUDA out of memory. Tried to"))));
  CHECK(absl::IsResourceExhausted(
      status_of(std::runtime_error("DefaultCPUAllocator: can't allocate memory: you tried"))));
  for (const char* library : {"CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
                              "cuDNN error: CUDNN_STATUS_ALLOC_FAILED"}) {
    CHECK(absl::IsResourceExhausted(status_of(std::runtime_error(library))));
  }
  CHECK(absl::IsInternal(
      status_of(std::runtime_error("CUDA error: an illegal memory access was encountered"))));
  CHECK(absl::IsInternal(status_of(std::runtime_error("a reason"))));
  CHECK(absl::IsInternal(status_of(42)));
  const absl::Status compiled = status_of(std::runtime_error(
      "run_func_( container_handle_, input_handles.data()) API call failed line 144"));
  CHECK(absl::IsInternal(compiled));
  CHECK(compiled.message().find("compiled for other sizes") != absl::string_view::npos);
  CHECK(compiled.message().find("run_func_") == absl::string_view::npos);
}

}  // namespace tandem::worker

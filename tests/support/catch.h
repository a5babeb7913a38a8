// Catch2 in the version that the system has: 2 on Debian 12, 3 on Debian 13. Tests include this and
// keep to what both know: TEST_CASE, SECTION, REQUIRE, CHECK, CAPTURE, INFO, GENERATE and Approx.
#pragma once

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>  // IWYU pragma: export
namespace tandem {
using Catch::Approx;
}
#else
#include <catch2/catch.hpp>  // IWYU pragma: export
namespace tandem {
using Catch::Detail::Approx;
}
#endif

// Matchers have other names in each.
#undef CHECK_THAT
#undef REQUIRE_THAT

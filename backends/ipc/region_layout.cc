#include "backends/ipc/region_layout.h"

namespace tandem::ipc {
namespace {

constexpr size_t AlignUp(size_t value, size_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

constexpr size_t kLanesOffset = AlignUp(sizeof(ControlRegion), alignof(LaneRings));

}  // namespace

size_t ControlRegionBytes(uint32_t lanes) { return kLanesOffset + lanes * sizeof(LaneRings); }

ControlRegion* RegionAt(std::byte* base) { return reinterpret_cast<ControlRegion*>(base); }

LaneRings* LaneAt(std::byte* base, uint32_t lane) {
  return reinterpret_cast<LaneRings*>(base + kLanesOffset + lane * sizeof(LaneRings));
}

}  // namespace tandem::ipc

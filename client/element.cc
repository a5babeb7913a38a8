#include "client/element.h"

namespace tandem::client {
namespace {

uint32_t BitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

float FloatOf(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

}  // namespace

float HalfToFloat(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1f;
  const uint32_t fraction = bits & 0x3ff;
  if (exponent == 0x1f) return FloatOf(sign | 0x7f800000 | (fraction << 13));
  if (exponent == 0) {
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return sign != 0 ? -magnitude : magnitude;
  }
  return FloatOf(sign | ((exponent + 112) << 23) | (fraction << 13));
}

uint16_t FloatToHalf(float value) {
  const uint32_t bits = BitsOf(value);
  const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000);
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  // From 65520 on, rounding to the nearest gives infinity.
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // Adding 0.5 lines the value up with the subnormals' last place, and rounds it there.
    const float aligned = FloatOf(magnitude) + 0.5f;
    return sign | static_cast<uint16_t>(BitsOf(aligned) - BitsOf(0.5f));
  }
  const uint32_t odd = (magnitude >> 13) & 1;
  return sign | static_cast<uint16_t>((magnitude - 0x38000000 + 0xfff + odd) >> 13);
}

Bf16::Bf16(double value) {
  const uint32_t raw = BitsOf(static_cast<float>(value));
  if ((raw & 0x7fffffff) > 0x7f800000) {
    bits = static_cast<uint16_t>((raw >> 16) | 0x40);
  } else {
    bits = static_cast<uint16_t>((raw + 0x7fff + ((raw >> 16) & 1)) >> 16);
  }
}

Bf16::operator double() const { return FloatOf(static_cast<uint32_t>(bits) << 16); }

}  // namespace tandem::client

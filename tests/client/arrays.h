// Arrays for tests, in one expression.
#pragma once

#include <string>
#include <vector>

#include "client/array.h"
#include "client/element.h"

namespace tandem::client {

template <typename T>
Array ArrayOf(std::string name, DataType type, Shape shape, const std::vector<T>& values) {
  Array array{std::move(name), type, std::move(shape), {}, false};
  for (const T value : values) AppendElement(array.bytes, value);
  return array;
}

template <typename T>
std::vector<T> ValuesOf(const Array& array) {
  std::vector<T> values;
  for (size_t i = 0; i < array.bytes.size() / sizeof(T); ++i) {
    values.push_back(ElementAt<T>(array.bytes, i));
  }
  return values;
}

}  // namespace tandem::client

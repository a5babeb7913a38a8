// Arrays for tests, in one expression.
#pragma once

#include <string>
#include <vector>

#include "client/array.h"
#include "client/element.h"

namespace tandem::client {

template <typename T>
Array ArrayOf(std::string name, DataType type, const Shape& shape, const std::vector<T>& values) {
  Array array;
  array.name = std::move(name);
  array.type = type;
  // Element by element: GCC 12 takes a moved or copied empty shape for an uninitialized one.
  array.shape.assign(shape.begin(), shape.end());
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

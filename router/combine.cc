#include "router/combine.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/shape.h"
#include "router/element_reader.h"

namespace tandem {
namespace {

absl::Status Misfit(const CombineMember& member, const std::string& what) {
  return absl::FailedPreconditionError(absl::StrCat("combine: output \"", member.tensor.name,
                                                    "\" of call \"", member.key, "\": ", what));
}

absl::Status CheckMember(const CombineMember& member) {
  const Tensor& tensor = member.tensor;
  if (!IsFloatingPoint(tensor.type) && !IsInteger(tensor.type)) {
    return Misfit(member, absl::StrCat("expected a numeric type, got ",
                                       std::string(DataTypeName(tensor.type))));
  }
  const auto size = ByteSize(tensor.type, tensor.shape);
  if (!size.ok()) return Misfit(member, std::string(size.status().message()));
  if (*size != tensor.byte_size()) {
    return Misfit(member, absl::StrCat("expected ", *size, " bytes for shape ",
                                       ShapeToString(tensor.shape), ", got ", tensor.byte_size()));
  }
  if (!std::isfinite(member.weight) || member.weight < 0) {
    return absl::InvalidArgumentError(absl::StrCat("combine: the weight of call \"", member.key,
                                                   "\" is ", member.weight,
                                                   "; expected a finite number above 0"));
  }
  return absl::OkStatus();
}

template <typename T>
CombinedTensor Make(std::string name, DataType type, Shape shape, const std::vector<T>& values) {
  CombinedTensor combined;
  combined.bytes.resize(values.size() * sizeof(T));
  if (!values.empty()) std::memcpy(combined.bytes.data(), values.data(), combined.bytes.size());
  combined.tensor.name = std::move(name);
  combined.tensor.type = type;
  combined.tensor.shape = std::move(shape);
  combined.tensor.pieces.push_back(combined.bytes);
  return combined;
}

absl::StatusOr<CombinedTensor> Mean(absl::Span<const CombineMember> members, bool weighted,
                                    std::string name) {
  const Shape& shape = members[0].tensor.shape;
  const auto weight_of = [weighted](const CombineMember& member) {
    return weighted && member.weight > 0 ? member.weight : 1.0;
  };
  double total = 0;
  for (const CombineMember& member : members) total += weight_of(member);
  // Weights are above 0, so their sum is too.
  if (!std::isfinite(total)) {
    return absl::InvalidArgumentError(
        "combine: the weights add up to more than a number can hold; send smaller ones");
  }
  std::vector<double> sums(static_cast<size_t>(*ElementCount(shape)));
  for (const CombineMember& member : members) {
    if (member.tensor.shape != shape) {
      return Misfit(member,
                    absl::StrCat("expected shape ", ShapeToString(shape), " as of call \"",
                                 members[0].key, "\", got ", ShapeToString(member.tensor.shape)));
    }
    // A share of the whole, since a large weight times an element could be too much for a double.
    const double share = weight_of(member) / total;
    const ElementReader reader(member.tensor);
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += share * reader.Float(i);
  }
  std::vector<float> means(sums.size());
  for (size_t i = 0; i < sums.size(); ++i) means[i] = static_cast<float>(sums[i]);
  return Make(std::move(name), DataType::kFp32, shape, means);
}

// Shape of the votes that a member casts.
absl::StatusOr<Shape> VoteShape(const CombineMember& member) {
  Shape shape = member.tensor.shape;
  if (IsInteger(member.tensor.type)) {
    if (shape.size() > 1 && shape.back() == 1) shape.pop_back();
    return shape;
  }
  if (shape.empty() || shape.back() == 0) {
    return Misfit(member, absl::StrCat("expected scores along the last dimension, got shape ",
                                       ShapeToString(shape)));
  }
  shape.pop_back();
  return shape;
}

struct Voter {
  ElementReader reader;
  // 0: the elements are the classes themselves.
  size_t classes;

  // Class that the row votes for; false for none.
  bool Choice(size_t row, int64_t* choice) const {
    if (classes == 0) {
      *choice = reader.Integer(row);
      return true;
    }
    bool found = false;
    double highest = 0;
    for (size_t i = 0; i < classes; ++i) {
      const double score = reader.Float(row * classes + i);
      if (std::isnan(score) || (found && score <= highest)) continue;
      found = true;
      highest = score;
      *choice = static_cast<int64_t>(i);
    }
    return found;
  }

  // What it adds to the class's sum of scores.
  double Score(size_t row, int64_t choice) const {
    const auto index = static_cast<size_t>(choice);
    if (choice < 0 || index >= classes) return 0;
    const double score = reader.Float(row * classes + index);
    return std::isnan(score) ? 0 : score;
  }
};

// Of a row: the class with most votes, of those the one with the highest sum of scores, of those
// the lowest; -1 where nobody voted. Sorts the votes.
int64_t Winner(size_t row, absl::Span<const Voter> voters, absl::Span<int64_t> votes) {
  std::sort(votes.begin(), votes.end());
  int64_t winner = -1;
  std::ptrdiff_t most = 0;
  double highest = 0;
  for (auto first = votes.begin(); first != votes.end();) {
    const auto end = std::upper_bound(first, votes.end(), *first);
    const std::ptrdiff_t count = end - first;
    if (count >= most) {
      double score = 0;
      for (const Voter& voter : voters) score += voter.Score(row, *first);
      if (count > most || score > highest) {
        winner = *first;
        most = count;
        highest = score;
      }
    }
    first = end;
  }
  return winner;
}

absl::StatusOr<CombinedTensor> MajorityVote(absl::Span<const CombineMember> members,
                                            std::string name) {
  Shape shape;
  std::vector<Voter> voters;
  const CombineMember* scorer = nullptr;
  for (const CombineMember& member : members) {
    const auto votes = VoteShape(member);
    if (!votes.ok()) return votes.status();
    if (voters.empty()) shape = *votes;
    if (*votes != shape) {
      return Misfit(member,
                    absl::StrCat("expected votes of shape ", ShapeToString(shape), " as of call \"",
                                 members[0].key, "\", got ", ShapeToString(*votes)));
    }
    size_t classes = 0;
    if (IsFloatingPoint(member.tensor.type)) {
      classes = static_cast<size_t>(member.tensor.shape.back());
      if (scorer != nullptr && scorer->tensor.shape.back() != member.tensor.shape.back()) {
        return Misfit(member,
                      absl::StrCat("expected scores for ", scorer->tensor.shape.back(),
                                   " classes as of call \"", scorer->key, "\", got ", classes));
      }
      scorer = &member;
    }
    voters.push_back({ElementReader(member.tensor), classes});
  }
  std::vector<int64_t> winners(static_cast<size_t>(*ElementCount(shape)));
  std::vector<int64_t> votes;
  for (size_t row = 0; row < winners.size(); ++row) {
    votes.clear();
    for (size_t i = 0; i < voters.size(); ++i) {
      int64_t choice = 0;
      if (!voters[i].Choice(row, &choice)) continue;
      if (choice < 0 && members[i].tensor.type == DataType::kUint64) {
        return Misfit(members[i],
                      absl::StrCat("it votes for the class ", static_cast<uint64_t>(choice),
                                   ", which the INT64 of the result cannot hold"));
      }
      votes.push_back(choice);
    }
    winners[row] = Winner(row, voters, absl::MakeSpan(votes));
  }
  return Make(std::move(name), DataType::kInt64, std::move(shape), winners);
}

}  // namespace

absl::StatusOr<CombinedTensor> Combine(CombineMethod method,
                                       absl::Span<const CombineMember> members,
                                       std::string output_name) {
  if (members.empty()) return absl::InvalidArgumentError("combine: there is nothing to combine");
  for (const CombineMember& member : members) {
    if (absl::Status status = CheckMember(member); !status.ok()) return status;
  }
  switch (method) {
    case CombineMethod::kMean:
    case CombineMethod::kWeightedMean:
      return Mean(members, method == CombineMethod::kWeightedMean, std::move(output_name));
    case CombineMethod::kMajorityVote:
      return MajorityVote(members, std::move(output_name));
    case CombineMethod::kNone:
      break;
  }
  return absl::InvalidArgumentError("combine: it names no method");
}

}  // namespace tandem

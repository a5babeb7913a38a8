// A merged reply as a table and as JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "client/reply.h"
#include "client/text_table.h"

namespace tandem::client {

std::string RenderReply(const PredictReply& reply, const Style& style);
nlohmann::json ReplyToJson(const PredictReply& reply);

}  // namespace tandem::client

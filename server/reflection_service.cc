#include "server/reflection_service.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <memory>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "reflection.pb.h"
#include "server/grpc_call.h"

namespace tandem::server {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptor;
using grpc::reflection::v1alpha::ServerReflectionRequest;
using grpc::reflection::v1alpha::ServerReflectionResponse;

// Longer than any question of an honest client. What protobuf does to find a symbol grows with the
// square of its parts.
constexpr size_t kMostQuestionBytes = 2048;

// One stream of questions.
class ReflectionCall final : public Responder {
 public:
  ReflectionCall(Call& call, const std::vector<std::string>& services)
      : call_(call), services_(services) {}

  void OnMessage(const grpc::ByteBuffer& message) override {
    if (draining_) return;
    if (message.Length() > kMostQuestionBytes) {
      call_.Finish(absl::InvalidArgumentError(absl::StrCat("the question has ", message.Length(),
                                                           " bytes; at most ", kMostQuestionBytes,
                                                           " are taken")));
      return;
    }
    ServerReflectionRequest request;
    if (const absl::Status parsed = ParseMessage(message, &request); !parsed.ok()) {
      call_.Finish(parsed);
      return;
    }
    writing_ = true;
    call_.Write(SerializeMessage(Answer(request)));
  }
  // The next question is read once this one's answer has gone.
  void OnWritten(bool) override {
    writing_ = false;
    if (draining_) return OnDrain();
    call_.Read();
  }
  void OnNoMessage() override { call_.Finish(absl::OkStatus()); }
  void OnDrain() override {
    draining_ = true;
    if (!writing_) call_.Finish(absl::UnavailableError("the server is shutting down"));
  }

 private:
  ServerReflectionResponse Answer(const ServerReflectionRequest& request) {
    ServerReflectionResponse response;
    response.set_valid_host(request.host());
    *response.mutable_original_request() = request;
    switch (request.message_request_case()) {
      case ServerReflectionRequest::kListServices:
        for (const std::string& service : services_) {
          response.mutable_list_services_response()->add_service()->set_name(service);
        }
        break;
      case ServerReflectionRequest::kFileByFilename:
        AddFile(pool_.FindFileByName(request.file_by_filename()), &response);
        break;
      case ServerReflectionRequest::kFileContainingSymbol:
        AddFile(pool_.FindFileContainingSymbol(request.file_containing_symbol()), &response);
        break;
      case ServerReflectionRequest::kFileContainingExtension:
        AddFile(FileOfExtension(request.file_containing_extension()), &response);
        break;
      case ServerReflectionRequest::kAllExtensionNumbersOfType:
        AddExtensions(request.all_extension_numbers_of_type(), &response);
        break;
      default:
        SetError(absl::StatusCode::kInvalidArgument, "the request asks for nothing", &response);
    }
    return response;
  }

  const FileDescriptor* FileOfExtension(
      const grpc::reflection::v1alpha::ExtensionRequest& wanted) const {
    const auto* type = pool_.FindMessageTypeByName(wanted.containing_type());
    if (type == nullptr) return nullptr;
    const auto* extension = pool_.FindExtensionByNumber(type, wanted.extension_number());
    return extension == nullptr ? nullptr : extension->file();
  }

  void AddExtensions(const std::string& name, ServerReflectionResponse* response) const {
    const auto* type = pool_.FindMessageTypeByName(name);
    if (type == nullptr) {
      return SetError(absl::StatusCode::kNotFound, "there is no such type", response);
    }
    std::vector<const google::protobuf::FieldDescriptor*> extensions;
    pool_.FindAllExtensions(type, &extensions);
    auto* numbers = response->mutable_all_extension_numbers_response();
    numbers->set_base_type_name(name);
    for (const auto* extension : extensions) numbers->add_extension_number(extension->number());
  }

  // The file and those that it needs, but for what the stream has had already.
  void AddFile(const FileDescriptor* file, ServerReflectionResponse* response) {
    if (file == nullptr) {
      return SetError(absl::StatusCode::kNotFound, "there is no such file or symbol", response);
    }
    google::protobuf::FileDescriptorProto description;
    file->CopyTo(&description);
    *response->mutable_file_descriptor_response()->add_file_descriptor_proto() =
        description.SerializeAsString();
    told_.insert(file);
    for (int i = 0; i < file->dependency_count(); ++i) {
      if (told_.count(file->dependency(i)) == 0) AddFile(file->dependency(i), response);
    }
  }

  static void SetError(absl::StatusCode code, const char* text,
                       ServerReflectionResponse* response) {
    response->mutable_error_response()->set_error_code(static_cast<int>(code));
    response->mutable_error_response()->set_error_message(text);
  }

  Call& call_;
  const std::vector<std::string>& services_;
  const DescriptorPool& pool_ = *DescriptorPool::generated_pool();
  std::set<const FileDescriptor*> told_;
  bool writing_ = false;
  bool draining_ = false;
};

}  // namespace

void ReflectionService::AddTo(Call::Methods& methods) {
  methods["/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"] = [this](Call& call) {
    return std::make_unique<ReflectionCall>(call, services_);
  };
  std::set<std::string> services;
  for (const auto& [path, responder] : methods) {
    const std::vector<std::string> parts = absl::StrSplit(path, '/');
    services.insert(parts[1]);
  }
  services_.assign(services.begin(), services.end());
}

}  // namespace tandem::server

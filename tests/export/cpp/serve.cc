// Serves an exported detector without Python, by the loader and the session that TensorFlow Serving
// runs, and compares its answers with those that come with the requests.
//
//   serve MODEL REQUESTS BAD_REQUESTS THREADS SECONDS [OP_LIBRARY]
//
// The files are TFRecords of PredictionLog, as warm-up requests are. First the model's own warm-up
// requests are replayed; then each bad request is sent, and after it a good one; then the threads
// send all of them in turn. Prints what a test reads, a line each; fails if any answer is wrong.

#include <dlfcn.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "google/protobuf/unknown_field_set.h"
#include "tensorflow/cc/saved_model/loader.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/framework/tensor.pb.h"
#include "tensorflow/core/lib/io/record_reader.h"
#include "tensorflow/core/platform/env.h"
#include "tensorflow/core/public/session.h"

namespace {

using tensorflow::Tensor;
using Tensors = std::map<std::string, Tensor>;

constexpr float kTolerance = 1e-4f;

struct Request {
  std::string signature;
  Tensors inputs;
  Tensors answer;  // what to expect; empty where nothing is said about it
};

[[noreturn]] void Fail(const std::string& message) {
  std::cout << "failed: " << message << std::endl;
  std::_Exit(1);
}

void Check(const absl::Status& status, const std::string& what) {
  if (!status.ok()) Fail(what + ": " + status.ToString());
}

// The fields `number` (strings, messages) of an encoded message. TensorFlow's headers have no
// classes for the messages of TensorFlow Serving, so they are read by the numbers of their fields.
std::vector<std::string> Fields(const std::string& message, int number) {
  google::protobuf::UnknownFieldSet fields;
  if (!fields.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
    Fail("a record is no message");
  }
  std::vector<std::string> found;
  for (int i = 0; i < fields.field_count(); ++i) {
    const auto& field = fields.field(i);
    if (field.number() == number &&
        field.type() == google::protobuf::UnknownField::TYPE_LENGTH_DELIMITED) {
      found.emplace_back(field.length_delimited());
    }
  }
  return found;
}

// map<string, TensorProto>: entries of key = 1, value = 2.
Tensors ReadTensors(const std::vector<std::string>& entries) {
  Tensors tensors;
  for (const std::string& entry : entries) {
    tensorflow::TensorProto proto;
    Tensor tensor;
    if (!proto.ParseFromString(Fields(entry, 2).at(0)) || !tensor.FromProto(proto)) {
      Fail("a record holds no tensor");
    }
    tensors[Fields(entry, 1).at(0)] = tensor;
  }
  return tensors;
}

// PredictionLog: predict_log = 6 of request = 1 and response = 2. PredictRequest: model_spec = 1
// with signature_name = 3, inputs = 2. PredictResponse: outputs = 1.
Request Decode(const std::string& record) {
  const std::string log = Fields(record, 6).at(0);
  const std::string request = Fields(log, 1).at(0);
  Request result;
  result.signature = Fields(Fields(request, 1).at(0), 3).at(0);
  result.inputs = ReadTensors(Fields(request, 2));
  for (const std::string& response : Fields(log, 2)) {
    result.answer = ReadTensors(Fields(response, 1));
  }
  return result;
}

std::vector<Request> ReadRequests(const std::string& path) {
  std::unique_ptr<tensorflow::RandomAccessFile> file;
  Check(tensorflow::Env::Default()->NewRandomAccessFile(path, &file), path);
  tensorflow::io::SequentialRecordReader reader(file.get());
  std::vector<Request> requests;
  tensorflow::tstring record;
  absl::Status status;
  while ((status = reader.ReadRecord(&record)).ok()) {
    requests.push_back(Decode(std::string(record)));
  }
  if (!absl::IsOutOfRange(status)) Check(status, path);
  return requests;
}

// What the server does with a PredictRequest.
absl::Status Predict(const tensorflow::SavedModelBundle& bundle, const Request& request,
                     Tensors* outputs) {
  const auto& signatures = bundle.GetSignatures();
  const auto signature = signatures.find(request.signature);
  if (signature == signatures.end()) return absl::NotFoundError(request.signature);
  std::vector<std::pair<std::string, Tensor>> feeds;
  for (const auto& [name, tensor] : request.inputs) {
    const auto input = signature->second.inputs().find(name);
    if (input == signature->second.inputs().end()) {
      return absl::InvalidArgumentError("there is no input " + name);
    }
    feeds.emplace_back(input->second.name(), tensor);
  }
  std::vector<std::string> names, fetches;
  for (const auto& [name, info] : signature->second.outputs()) {
    names.push_back(name);
    fetches.push_back(info.name());
  }
  std::vector<Tensor> tensors;
  const absl::Status status = bundle.GetSession()->Run(feeds, fetches, {}, &tensors);
  for (size_t i = 0; i < tensors.size(); ++i) (*outputs)[names[i]] = tensors[i];
  return status;
}

// What is wrong with an answer; nothing if it is as expected.
std::string Difference(const Tensors& expected, const Tensors& found) {
  if (expected.size() != found.size()) return "the outputs are others";
  for (const auto& [name, tensor] : expected) {
    const auto output = found.find(name);
    if (output == found.end()) return "there is no " + name;
    if (output->second.dtype() != tensor.dtype() || output->second.shape() != tensor.shape()) {
      return name + " is " + output->second.DebugString();
    }
    const auto a = tensor.flat<float>(), b = output->second.flat<float>();
    for (int64_t i = 0; i < a.size(); ++i) {
      if (!(std::abs(a(i) - b(i)) <= kTolerance)) {
        return name + "[" + std::to_string(i) + "] is " + std::to_string(b(i)) + ", not " +
               std::to_string(a(i));
      }
    }
  }
  return "";
}

void ExpectAnswer(const tensorflow::SavedModelBundle& bundle, const Request& request) {
  Tensors outputs;
  Check(Predict(bundle, request, &outputs), request.signature);
  const std::string difference = Difference(request.answer, outputs);
  if (!difference.empty()) Fail(request.signature + ": " + difference);
}

// Returns how many requests were answered, by all threads together.
int64_t SendFromThreads(const tensorflow::SavedModelBundle& bundle,
                        const std::vector<Request>& requests, const std::vector<Request>& bad,
                        int thread_count, double seconds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  std::atomic<int64_t> answered = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < thread_count; ++t) {
    threads.emplace_back([&, t] {
      // Every thread begins elsewhere and sends something even where there is no time.
      for (size_t i = 0; i == 0 || std::chrono::steady_clock::now() < end; ++i) {
        Tensors nothing;
        const Request& wrong = bad[(t + i) % bad.size()];
        if (Predict(bundle, wrong, &nothing).ok()) Fail("a bad request was answered");
        ExpectAnswer(bundle, requests[(t + i) % requests.size()]);
        ++answered;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return answered;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6) Fail("MODEL REQUESTS BAD_REQUESTS THREADS SECONDS [OP_LIBRARY]");
  if (argc > 6 && !dlopen(argv[6], RTLD_NOW | RTLD_LOCAL)) Fail(dlerror());
  const std::string model = argv[1];
  const std::vector<Request> requests = ReadRequests(argv[2]), bad = ReadRequests(argv[3]);

  tensorflow::SavedModelBundle bundle;
  Check(tensorflow::LoadSavedModel({}, {}, model, {"serve"}, &bundle), model);

  for (Request& request : ReadRequests(model + "/assets.extra/tf_serving_warmup_requests")) {
    Tensors outputs;
    Check(Predict(bundle, request, &outputs), "warm-up");
    std::cout << "warm-up: " << request.signature << std::endl;
  }
  for (const Request& request : bad) {
    Tensors outputs;
    const absl::Status status = Predict(bundle, request, &outputs);
    const std::string message(status.message());
    std::cout << "bad: " << absl::StatusCodeToString(status.code()) << " "
              << message.substr(0, message.find('\n')) << std::endl;
    ExpectAnswer(bundle, requests.front());
  }
  const int64_t answered =
      SendFromThreads(bundle, requests, bad, std::atoi(argv[4]), std::atof(argv[5]));
  std::cout << "answered: " << answered << std::endl;
  return 0;
}

add_library(tandem_torch_models STATIC torch_models.cc torch_recording_device.cc)
target_link_libraries(tandem_torch_models PRIVATE tandem_options tandem_torch_headers PUBLIC tandem_worker_torch)

tandem_test(torch
  SOURCES torch_autocast_test.cc torch_errors_test.cc torch_executor_test.cc torch_graphs_test.cc torch_signature_test.cc
    torch_silero_test.cc torch_thread_test.cc torch_warm_up_test.cc
  LIBS tandem_torch_models
  TOGETHER)

tandem_test(libtorch_programs
  SOURCES libtorch_programs_test.cc ../pool/recorded_events.cc ../pool/scripted_pool.cc
  LIBS tandem_torch_models tandem::pool
  WORKERS tandem-worker tandem-worker-cuda
  LABEL process)

# Shown as skipped where no GPU is visible.
tandem_test(gpu
  SOURCES gpu_test.cc ../pool/recorded_events.cc ../pool/scripted_pool.cc
  LIBS tandem_torch_models tandem_worker_torch_cuda tandem::pool
  WORKERS tandem-worker-cuda
  LABEL gpu
  TOGETHER)

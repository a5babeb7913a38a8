# The runtimes on LibTorch and the programs that hold them. The libraries' sources alone see LibTorch's headers.
include(Torch)

tandem_library(worker_torch torch_autocast.cc torch_compiled_executor.cc torch_errors.cc
  torch_executor.cc torch_graphs.cc torch_module.cc torch_outputs.cc torch_package.cc torch_parameters.cc torch_runtime.cc torch_signature.cc
  torch_thread.cc torch_types.cc torch_values.cc torch_warm_up.cc)
target_link_libraries(tandem_worker_torch PUBLIC tandem::worker tandem::worker_compiled tandem_torch_cpu PRIVATE tandem_torch_headers)

tandem_library(worker_torch_cuda torch_cuda_device.cc torch_cuda_graph.cc torch_cuda_pinned.cc torch_cuda_runtimes.cc)
target_link_libraries(tandem_worker_torch_cuda PUBLIC tandem_worker_torch tandem_torch_cuda
  PRIVATE tandem_torch_cuda_headers)

tandem_library(worker_torch_cpu torch_cpu_runtimes.cc)
target_link_libraries(tandem_worker_torch_cpu PUBLIC tandem_worker_torch PRIVATE tandem_torch_headers)

# The code of a compiled model names libtorch.so as needed, which would bring all of CUDA. A CPU worker has an empty
# library of that name loaded, and all that such code calls is in libtorch_cpu.so.
add_library(tandem_empty_libtorch SHARED empty_libtorch.cc)
set_target_properties(tandem_empty_libtorch PROPERTIES OUTPUT_NAME torch LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)

add_executable(tandem-worker main.cc)
# Before LibTorch's own folder, which holds the real one.
target_link_options(tandem-worker BEFORE PRIVATE LINKER:-rpath,${CMAKE_BINARY_DIR}/lib)
target_link_libraries(tandem-worker PRIVATE tandem_options -Wl,--no-as-needed tandem_empty_libtorch -Wl,--as-needed
  tandem::worker tandem_worker_torch_cpu)

add_executable(tandem-worker-cuda main.cc)
target_link_libraries(tandem-worker-cuda PRIVATE tandem_options tandem::worker tandem_worker_torch_cuda)

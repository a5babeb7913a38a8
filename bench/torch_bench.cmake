add_executable(bench-libtorch-loop libtorch_loop.cc)
target_link_libraries(bench-libtorch-loop PRIVATE tandem_options tandem_torch_headers tandem_torch_cpu
  CLI11::CLI11 Threads::Threads)

add_executable(bench-libtorch-loop-cuda libtorch_loop.cc)
target_link_libraries(bench-libtorch-loop-cuda PRIVATE tandem_options tandem_torch_headers tandem_torch_cuda
  CLI11::CLI11 Threads::Threads)

# Finds LibTorch in TANDEM_TORCH_DIR: a LibTorch folder or Python's torch package, with include/ and lib/. Python's
# wheels put CUDA's runtime beside it, in nvidia/cu13.
#
# Torch's include folder carries old copies of protobuf and fmt, so it is given as a folder of its own target and
# reaches nothing but the sources that link tandem_torch_headers.
if(NOT EXISTS ${TANDEM_TORCH_DIR}/lib/libtorch_cpu.so)
  message(FATAL_ERROR "LibTorch not found: set TANDEM_TORCH_DIR to a folder that holds lib/libtorch_cpu.so (./dev build does), or TANDEM_WITH_TORCH=OFF")
endif()
get_filename_component(TANDEM_TORCH_REAL_DIR ${TANDEM_TORCH_DIR} REALPATH)
set(tandem_torch_lib ${TANDEM_TORCH_REAL_DIR}/lib)

set(tandem_cuda_dir ${TANDEM_TORCH_REAL_DIR}/../nvidia/cu13)
get_filename_component(tandem_cuda_dir ${tandem_cuda_dir} ABSOLUTE)
find_file(TANDEM_CUDART libcudart.so.13
  PATHS ${tandem_cuda_dir}/lib ${tandem_torch_lib} NO_DEFAULT_PATH)
find_path(TANDEM_CUDA_INCLUDE cuda_runtime_api.h
  PATHS ${tandem_cuda_dir}/include /usr/local/cuda/include NO_DEFAULT_PATH)
if(NOT TANDEM_CUDART OR NOT TANDEM_CUDA_INCLUDE)
  message(FATAL_ERROR "CUDA's runtime not found beside LibTorch: install the wheels nvidia-cuda-runtime, nvidia-cuda-cupti and nvidia-cuda-crt 13.0 next to torch (./dev build does)")
endif()
get_filename_component(tandem_cudart_lib ${TANDEM_CUDART} DIRECTORY)

# Whoever links this may include torch.
add_library(tandem_torch_headers INTERFACE)
target_include_directories(tandem_torch_headers SYSTEM INTERFACE ${TANDEM_TORCH_REAL_DIR}/include)
target_compile_definitions(tandem_torch_headers INTERFACE _GLIBCXX_USE_CXX11_ABI=1)
# GCC 12 warns without cause of strings that torch's headers put together (GCC bug 105651);
# clang-tidy, given the same flags, does not know the warning.
target_compile_options(tandem_torch_headers INTERFACE "$<$<CXX_COMPILER_ID:GNU>:-Wno-restrict;-Wno-unknown-warning-option>")

add_library(tandem_torch_cpu INTERFACE)
target_link_libraries(tandem_torch_cpu INTERFACE ${tandem_torch_lib}/libtorch_cpu.so ${tandem_torch_lib}/libc10.so)
# libtorch_cpu.so finds its own libraries; --allow-shlib-undefined spares the linker the search for them.
target_link_options(tandem_torch_cpu INTERFACE -Wl,--allow-shlib-undefined
  -Wl,-rpath,${tandem_torch_lib} -Wl,-rpath,${tandem_cudart_lib})

add_library(tandem_torch_cuda_headers INTERFACE)
target_link_libraries(tandem_torch_cuda_headers INTERFACE tandem_torch_headers)
target_include_directories(tandem_torch_cuda_headers SYSTEM INTERFACE ${TANDEM_CUDA_INCLUDE})

# libtorch_cuda registers its kernels when it is loaded: nothing names it, and it must stay.
add_library(tandem_torch_cuda INTERFACE)
target_link_libraries(tandem_torch_cuda INTERFACE tandem_torch_cpu -Wl,--no-as-needed
  ${tandem_torch_lib}/libtorch.so ${tandem_torch_lib}/libtorch_cuda.so ${tandem_torch_lib}/libc10_cuda.so ${TANDEM_CUDART} -Wl,--as-needed)

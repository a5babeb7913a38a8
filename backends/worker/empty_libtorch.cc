// Stands in for the libtorch.so of LibTorch in a CPU worker. It holds nothing: see torch.cmake.

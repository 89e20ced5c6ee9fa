#pragma once

/// Marks a formula as callable from host and from device code, so that every backend includes the same text.
#ifdef __CUDACC__
#define TERRANE_HOST_DEVICE __host__ __device__
#else
#define TERRANE_HOST_DEVICE
#endif

/// Before a loop of few, known rounds: on a device its arrays then lie in registers.
#ifdef __CUDA_ARCH__
#define TERRANE_UNROLL _Pragma("unroll")
#else
#define TERRANE_UNROLL
#endif

#pragma once

/// Marks a formula as callable from host and from device code, so that every backend includes the same text.
#ifdef __CUDACC__
#define TERRANE_HOST_DEVICE __host__ __device__
#else
#define TERRANE_HOST_DEVICE
#endif

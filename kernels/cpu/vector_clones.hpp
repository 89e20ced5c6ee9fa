#pragma once

/// Put before a leaf function whose loops the compiler vectorises: it is then compiled for several
/// instruction sets, and the loader picks one for the machine. Because contraction into fused multiply-adds
/// is switched off for the whole program, all of them give the same bits. Leaf means: no OpenMP pragma
/// inside, since the bodies of parallel regions are compiled only once; call the function from the region.
/// Sanitizers can't follow the loader's choice and get one version.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && \
    !defined(__clang__)
#define TERRANE_VECTOR_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define TERRANE_VECTOR_CLONES
#endif

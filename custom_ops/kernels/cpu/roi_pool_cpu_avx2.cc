// The CPU kernels for one instruction set; build.py gives this file its compiler flags.
#define KERAS_FRCNN_ISA avx2
#include "roi_pool_cpu_kernels.h"

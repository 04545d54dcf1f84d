// RoIAlign's CPU kernels for one instruction set; build.py gives this file its compiler flags.
#define KERAS_FRCNN_ISA avx512
#include "roi_align_cpu_kernels.h"
